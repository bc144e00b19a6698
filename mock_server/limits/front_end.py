"""The limits of one client access server, as each of its processes keeps them."""

from typing import Final

from mock_server.limits.port_pool import PortPool
from mock_server.limits.request_queue import RequestQueue
from mock_server.limits.shared_cells import SharedCells
from mock_server.limits.table import LimitMeter
from mock_server.limits.worker_processes import WorkerProcesses
from mock_server.topology import ClientAccessServer, Topology

OUT_OF_MEMORY: Final = 0xE
"""The Windows error with which an RPC proxy without memory refuses a channel ([MS-ERREF] 2.2)."""

NO_CONTEXT: Final = (
    b"HTTP/1.1 503 L-202 Service Unavailable\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
)
"""What Gromox says to a connection for which it has no context."""

_CHANNELS: Final = 2


class FrontEndLimits:
    """Ports, memory, contexts, request queues and workers. Channels take half of a connection's memory each.

    ``cells`` are those of the server, and one of its processes ``speaks`` for it.
    """

    def __init__(
        self,
        topology: Topology,
        server: ClientAccessServer,
        cells: SharedCells | None = None,
        *,
        speaks: bool = True,
    ) -> None:
        limits = topology.limits
        cells = cells or SharedCells()
        contexts = limits.scaled(limits.front_end_contexts)
        self.ports = PortPool(limits, server.sources, cells, speaks=speaks)
        self.memory = LimitMeter(
            "memory", limits.memory_budget, cells.count(), parts=_CHANNELS, speaks=speaks
        )
        self.contexts = LimitMeter("front_end_contexts", contexts, cells.count(), speaks=speaks)
        self.workers = WorkerProcesses(limits, speaks=speaks)
        own, default = cells.moment(), cells.moment()
        self._default_pool = RequestQueue("DefaultAppPool", limits, default, speaks=speaks)
        self._rpc_pool = (
            RequestQueue("MSExchangeOutlookAnywhere", limits, own, speaks=speaks)
            if topology.http.own_application_pool
            else self._default_pool
        )

    def queue_for(self, path: str) -> RequestQueue:
        """Where a request for ``path`` (in lower case) waits."""
        return self._rpc_pool if path.startswith("/rpc") else self._default_pool

    def report(self, now: float) -> dict[str, float]:
        """The counters of all limits that are on; of two queues, RPC's is the one of the limit."""
        return {
            **self.ports.report(),
            **self.memory.report(),
            **self.contexts.report(),
            **self.workers.report(),
            **self._default_pool.report(now),
            **self._rpc_pool.report(now),
        }
