"""One process of the mock, as the supervisor starts it: its task comes in, its reports go out.

The first line of standard input is a :class:`Task`; the first line of standard output is a :class:`Started`,
and then each line in is a question, to which a line out is the answer. When standard input ends, so does the
process, which thus never outlives its supervisor.
"""

import asyncio
import ctypes
import gc
import resource
import signal
import sys
from collections.abc import Callable, Mapping
from typing import Any, Final, Literal

import msgspec
import uvloop

from loadgen.wire import emsmdb, nspi, rfr
from loadgen.wire.pdu import SyntaxId
from mock_server.counters import merged
from mock_server.directory import Directory
from mock_server.faults import Delays
from mock_server.limits.port_pool import PortPool
from mock_server.limits.shared_cells import SharedCells
from mock_server.roles.cas import ClientAccessRole
from mock_server.roles.dsproxy import DirectoryProxyRole
from mock_server.roles.endpoint_mapper import endpoint_mapper_role
from mock_server.roles.global_catalog import global_catalog_roles
from mock_server.roles.one_process import services
from mock_server.roles.public_folders import public_folder_roles
from mock_server.roles.referral import referral_roles
from mock_server.roles.reverse_proxy import ReverseProxyRole
from mock_server.roles.role import Role
from mock_server.roles.rpc_server import RpcServerRole
from mock_server.roles.store import store_roles
from mock_server.topology import ServerTable, Topology
from mock_server.topology_file import TopologySource

RoleName = Literal["reverse_proxy", "client_access", "mailbox", "public_folders", "global_catalog"]

REPORT: Final = b""
"""Asks for :class:`~mock_server.counters.RoleCounters`."""

DELAYS: Final = b"delays"
"""Asks for :class:`~mock_server.faults.Delays`."""

_PR_SET_PDEATHSIG: Final = 1


class Task(msgspec.Struct, frozen=True):
    """What a process is to be: number ``index`` among the servers of ``role``.

    ``number`` tells the processes of one server apart, which share the descriptor ``cells``; ``source`` says
    where the topology was read, for what is read again.
    """

    role: RoleName
    index: int
    topology: Topology
    number: int = 0
    cells: int | None = None
    source: TopologySource | None = None


class Started(msgspec.Struct, frozen=True):
    """Whether the process listens; ``error`` says why not."""

    error: str | None = None


def roles_of(task: Task) -> tuple[Role, ...]:
    """The services of the task's server."""
    topology, index = task.topology, task.index
    directory = topology.directory()
    if task.role == "reverse_proxy":
        return (ReverseProxyRole(topology, topology.reverse_proxy[index]),)
    if task.role == "client_access":
        return _client_access_roles(task, directory)
    if task.role == "mailbox":
        return _mailbox_roles(topology, index, directory)
    if task.role == "public_folders":
        return _public_folder_roles(topology, topology.public_folders[index], directory)
    return _global_catalog_roles(topology, topology.global_catalog[index], directory)


def _client_access_roles(task: Task, directory: Directory) -> tuple[Role, ...]:
    server = task.topology.client_access[task.index]
    cells = SharedCells(task.cells, task.number, server.processes)
    speaks = task.number == 0
    front = ClientAccessRole(task.topology, server, directory, cells, speaks=speaks, source=task.source)
    if task.topology.manners.one_process:
        front.access.inner |= services(task.topology, server, directory)
    return front, *front.access.inner.values()


def _mailbox_roles(topology: Topology, index: int, directory: Directory) -> tuple[Role, ...]:
    server = topology.mailbox[index]
    catalogs = topology.global_catalogs_of(index)
    referral = (rfr.INTERFACE, topology.ports.referral_tcp)
    proxy = DirectoryProxyRole(
        server.address,
        topology.ports.directory,
        [catalog.address for catalog in catalogs],
        PortPool(topology.limits, server.sources),
    )
    return (
        *store_roles(topology, server, directory),
        *referral_roles(topology, server, directory, catalogs),
        proxy,
        endpoint_mapper_role(topology, server, (*_store_services(topology), referral)),
    )


def _public_folder_roles(topology: Topology, server: ServerTable, directory: Directory) -> tuple[Role, ...]:
    mapper = endpoint_mapper_role(topology, server, _store_services(topology))
    return (*public_folder_roles(topology, server, directory), mapper)


def _global_catalog_roles(topology: Topology, server: ServerTable, directory: Directory) -> tuple[Role, ...]:
    mapper = endpoint_mapper_role(topology, server, ((nspi.INTERFACE, topology.ports.directory_tcp),))
    return (*global_catalog_roles(topology, server, directory), mapper)


def _store_services(topology: Topology) -> tuple[tuple[SyntaxId, int], ...]:
    port = topology.ports.store_tcp
    return (emsmdb.INTERFACE, port), (emsmdb.ASYNC_INTERFACE, port)


class _Control(asyncio.Protocol):
    """Standard input: a line asks for what ``answers`` tell, and its end for ours."""

    def __init__(self, answers: Mapping[bytes, Callable[[], object]], end: asyncio.Event) -> None:
        self._answers = answers
        self._end = end
        self._begun = b""

    def data_received(self, data: bytes) -> None:
        *questions, self._begun = (self._begun + data).split(b"\n")
        for question in questions:
            _say(msgspec.json.encode(self._answers[question]()))

    def connection_lost(self, _error: Exception | None) -> None:
        self._end.set()


async def serve(task: Task) -> int:
    """Run the task's roles until standard input ends, or a bug of ours shows; the exit status."""
    end = asyncio.Event()
    loop = asyncio.get_running_loop()
    bugs: list[object] = []

    def on_error(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """A connection that breaks is ordinary; anything else is a bug, which the mock does not outlive."""
        error = context.get("exception")
        if not isinstance(error, OSError):
            loop.default_exception_handler(context)
            bugs.append(error)
            end.set()

    loop.set_exception_handler(on_error)
    roles = roles_of(task)
    gc.freeze()  # the directory lives as long as the process; no collection need look at it again
    for role in roles:
        await role.start()
    answers: dict[bytes, Callable[[], object]] = {
        REPORT: lambda: merged(role.report() for role in roles),
        DELAYS: lambda: Delays.merged(role.delays for role in roles if isinstance(role, RpcServerRole)),
    }
    await loop.connect_read_pipe(lambda: _Control(answers, end), sys.stdin)
    _say(msgspec.json.encode(Started()))
    await end.wait()
    return 1 if bugs else 0


def main() -> int:
    """What ``python -m mock_server --role`` does; the exit status."""
    _die_with_parent()
    _take_all_descriptors()
    task = msgspec.json.decode(sys.stdin.buffer.readline(), type=Task)
    try:
        return uvloop.run(serve(task))
    except OSError as error:
        _say(msgspec.json.encode(Started(error=str(error))))
        return 3


def _say(line: bytes) -> None:
    sys.stdout.buffer.write(line + b"\n")
    sys.stdout.buffer.flush()


def _die_with_parent() -> None:
    """The end of standard input says the same, but a stuck process would not hear it."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def _take_all_descriptors() -> None:
    """A virtual connection costs a client access server four of them, far more than the usual soft limit."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
