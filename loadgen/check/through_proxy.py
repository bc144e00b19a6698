"""Opening a virtual connection through the RPC proxy: HTTP, RTS, bind."""

from collections.abc import Sequence
from typing import Final

from msgspec.structs import replace

from loadgen.check.journal import Journal, since
from loadgen.check.opening import Layers, at_server
from loadgen.check.result import Service
from loadgen.check.subject import Subject
from loadgen.client.account import RpcProxy
from loadgen.client.dialect import Ports
from loadgen.client.transport import Probe, VirtualConnection, open_virtual_connection
from loadgen.errors import HttpRefused, PeerError, Unauthorized
from loadgen.trace.dialogue import interface_name
from loadgen.wire import rfr
from loadgen.wire.pdu import SyntaxId

_LAYERS: Final = ("connect_tcp", "connect_tls", "http_auth", "rts_establish", "rpc_bind")


class ProxyOpener:
    """An :class:`~loadgen.check.opening.Opener` over HTTP.

    ``closed`` is why there is no use in trying once more.
    """

    def __init__(self, subject: Subject, proxy: RpcProxy, ports: Ports, journal: Journal) -> None:
        self._subject = subject
        self._proxy = proxy
        self._ports = ports
        self._journal = journal
        self._unanswered: tuple[PeerError, float] | None = None
        self._connections: list[VirtualConnection] = []
        self.closed = ""

    async def offered(self, server: str) -> tuple[str, ...]:
        """The schemes that the web server offers to somebody who says nothing of himself; () if none."""
        options = replace(self._subject.options, auth=("anonymous",))
        try:
            connection = await open_virtual_connection(
                self._proxy,
                server,
                self._ports.referral,
                (rfr.INTERFACE,),
                self._subject.account.credentials,
                options,
            )
        except Unauthorized as error:
            return tuple(dict.fromkeys(error.schemes))
        except PeerError:
            return ()
        connection.abort()
        return ()

    async def open(
        self, service: Service, server: str, interfaces: Sequence[SyntaxId]
    ) -> VirtualConnection | None:
        """A connection to a service, or None after writing down which step failed."""
        rts, bind = f"rts_{service}", f"bind_{service}"
        if self.closed:
            self._journal.skipped((rts, bind), self.closed)
            return None
        layers = Layers(tuple(layer for layer in _LAYERS if self._proxy.tls or layer != "connect_tls"))
        where = f"{server}:{self._port_of(service)}"
        try:
            connection = await self.open_quietly(service, server, interfaces, layers.passed)
        except PeerError as error:
            self._failed(error, layers, rts, bind, where)
            return None
        self._http_passed(layers)
        self._journal.passed(rts, where, layers.ms["rts_establish"])
        self._journal.passed(bind, ", ".join(map(interface_name, interfaces)), layers.ms["rpc_bind"])
        return connection

    async def open_quietly(
        self, service: Service, server: str, interfaces: Sequence[SyntaxId], probe: Probe | None = None
    ) -> VirtualConnection:
        """A connection that is no step of its own; raises :class:`~loadgen.errors.PeerError`."""
        subject = self._subject
        port = self._port_of(service)
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

    def _port_of(self, service: Service) -> int:
        port: int = getattr(self._ports, at_server(service))
        return port

    def _failed(self, error: PeerError, layers: Layers, rts: str, bind: str, where: str) -> None:
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

    def _http_passed(self, layers: Layers) -> None:
        if not self._journal.outcome("http"):
            self._journal.passed("http", "", layers.ms.get("http_auth", since(layers.began_ns)))
