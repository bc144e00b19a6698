"""Opening a virtual connection to a service, seen as three steps: HTTP, RTS, bind."""

from collections.abc import Sequence
from time import monotonic_ns
from typing import Final

from msgspec.structs import replace

from loadgen.check.journal import Journal, since
from loadgen.check.subject import Subject
from loadgen.client.account import RpcProxy
from loadgen.client.transport import Probe, VirtualConnection, open_virtual_connection
from loadgen.errors import HttpRefused, PeerError, Unauthorized
from loadgen.trace.dialogue import interface_name
from loadgen.wire import rfr
from loadgen.wire.pdu import SyntaxId

_AFTER: Final = {
    "connect_tcp": "connect_tls",
    "connect_tls": "http_auth",
    "http_auth": "rts_establish",
    "rts_establish": "rpc_bind",
}
"""Which layer comes after one that is passed."""


class Opener:
    """Opens connections for one subject; ``closed`` is why there is no use in trying once more."""

    def __init__(self, subject: Subject, proxy: RpcProxy, journal: Journal) -> None:
        self._subject = subject
        self._proxy = proxy
        self._journal = journal
        self._unanswered: tuple[PeerError, float] | None = None
        self._connections: list[VirtualConnection] = []
        self.closed = ""

    async def offered(self, server: str, port: int) -> tuple[str, ...]:
        """The schemes that the web server offers to somebody who says nothing of himself; () if none."""
        options = replace(self._subject.options, auth=("anonymous",))
        try:
            connection = await open_virtual_connection(
                self._proxy, server, port, (rfr.INTERFACE,), self._subject.account.credentials, options
            )
        except Unauthorized as error:
            return tuple(dict.fromkeys(error.schemes))
        except PeerError:
            return ()
        connection.abort()
        return ()

    async def open(
        self, service: str, server: str, port: int, interfaces: Sequence[SyntaxId]
    ) -> VirtualConnection | None:
        """A connection to a service, or None after writing down which step failed."""
        rts, bind = f"rts_{service}", f"bind_{service}"
        if self.closed:
            self._journal.skipped((rts, bind), self.closed)
            return None
        layers = _Layers(tls=self._proxy.tls)
        where = f"{server}:{port}"
        try:
            connection = await self.open_quietly(server, port, interfaces, layers.passed)
        except PeerError as error:
            self._failed(error, layers, rts, bind, where)
            return None
        self._http_passed(layers)
        self._journal.passed(rts, where, layers.ms["rts_establish"])
        self._journal.passed(bind, ", ".join(map(interface_name, interfaces)), layers.ms["rpc_bind"])
        return connection

    async def open_quietly(
        self, server: str, port: int, interfaces: Sequence[SyntaxId], probe: Probe | None = None
    ) -> VirtualConnection:
        """A connection that is no step of its own; raises :class:`~loadgen.errors.PeerError`."""
        subject = self._subject
        connection = await open_virtual_connection(
            self._proxy, server, port, interfaces, subject.account.credentials, subject.options, probe
        )
        self._connections.append(connection)
        return connection

    async def finish(self) -> None:
        """Closes what is open. If no connection has shown anything of HTTP, its step is what failed."""
        for connection in self._connections:
            await connection.close()
        if self._unanswered is not None and not self._journal.outcome("http"):
            self._journal.failed("http", *self._unanswered)

    def _failed(self, error: PeerError, layers: "_Layers", rts: str, bind: str, where: str) -> None:
        journal, ms = self._journal, since(layers.began_ns)
        if layers.layer == "rpc_bind":
            self._http_passed(layers)
            journal.passed(rts, where, layers.ms["rts_establish"])
            journal.failed(bind, error, ms)
            return
        refused = isinstance(error, HttpRefused) and error.rpc_error is None
        if refused and layers.layer != "rts_establish" and not journal.outcome("http"):
            journal.failed("http", error, ms)
            self.closed = "the web server does not let this user through"
            journal.skipped((rts, bind), self.closed)
            return
        if layers.layer == "rts_establish" or isinstance(error, HttpRefused):
            self._http_passed(layers)
        else:
            self._unanswered = self._unanswered or (error, ms)
        journal.failed(rts, error, ms)
        journal.skipped((bind,), f"no virtual connection to {where}")

    def _http_passed(self, layers: "_Layers") -> None:
        if not self._journal.outcome("http"):
            self._journal.passed("http", "", layers.ms.get("http_auth", since(layers.began_ns)))


class _Layers:
    """How far an opening has come, and how long each layer took; another scheme begins anew."""

    def __init__(self, *, tls: bool) -> None:
        self.ms: dict[str, float] = {}
        self.layer = "connect_tcp"
        self.began_ns = monotonic_ns()
        self._tls = tls

    def passed(self, layer: str, started_ns: int, ended_ns: int) -> None:
        """A probe of the transport."""
        self.ms[layer] = (ended_ns - started_ns) / 1e6
        self.began_ns = ended_ns
        self.layer = _AFTER.get(layer, "")
        if self.layer == "connect_tls" and not self._tls:
            self.layer = "http_auth"
