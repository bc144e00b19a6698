"""Opening a connection to a service, seen as steps, whatever the way there is."""

from collections.abc import Sequence
from time import monotonic_ns
from typing import Protocol

from loadgen.check.result import Service
from loadgen.client.inside import Service as ServerService
from loadgen.client.transport import RpcConnection
from loadgen.wire.pdu import SyntaxId


class Opener(Protocol):
    """Opens connections to services of servers, for one subject."""

    async def open(
        self, service: Service, server: str, interfaces: Sequence[SyntaxId]
    ) -> RpcConnection | None:
        """A connection to a service, or None after writing down which step failed."""

    async def open_quietly(
        self, service: Service, server: str, interfaces: Sequence[SyntaxId]
    ) -> RpcConnection:
        """A connection that is no step of its own; raises :class:`~loadgen.errors.PeerError`."""

    async def finish(self) -> None:
        """Closes what is open, and writes down what has not been so far."""


class Layers:
    """How far an opening has come, and how long each layer took; another attempt begins anew."""

    def __init__(self, order: tuple[str, ...]) -> None:
        self.ms: dict[str, float] = {}
        self.layer = order[0]
        self.began_ns = monotonic_ns()
        self._following = dict(zip(order, (*order[1:], ""), strict=True))

    def passed(self, layer: str, started_ns: int, ended_ns: int) -> None:
        """A probe of the transport."""
        self.ms[layer] = (ended_ns - started_ns) / 1e6
        self.began_ns = ended_ns
        self.layer = self._following[layer]


def at_server(service: Service) -> ServerService:
    """What servers have: public folders are in a store, too."""
    return "store" if service == "public_folders" else service
