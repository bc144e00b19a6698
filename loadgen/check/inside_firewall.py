"""Opening a connection straight to a server over TCP: its name, its endpoint mapper, its port, bind."""

from collections.abc import Callable, Coroutine, Sequence
from typing import Any, Final, TypeAlias

from msgspec.structs import replace

from loadgen.check.journal import Journal, since
from loadgen.check.network import look_up
from loadgen.check.opening import Layers, at_server
from loadgen.check.result import Service, opening_steps
from loadgen.check.subject import Subject
from loadgen.client.inside import Inside, TcpServer
from loadgen.client.transport import (
    Probe,
    TcpConnection,
    mapped_port,
    open_mapper,
    open_service,
    open_tcp_connection,
)
from loadgen.errors import PeerError
from loadgen.trace.dialogue import interface_name
from loadgen.wire.pdu import SyntaxId

_LAYERS: Final = ("connect_tcp", "rpc_bind")
_REFUSALS: Final = frozenset(("credentials_refused", "access_denied"))
"""What a wrong password may be called: servers lock accounts that try one too often."""

_Connect: TypeAlias = Callable[[Probe], Coroutine[Any, Any, TcpConnection]]


class InsideOpener:
    """An :class:`~loadgen.check.opening.Opener` inside the firewall."""

    def __init__(self, subject: Subject, inside: Inside, journal: Journal) -> None:
        self._subject = subject
        self._inside = inside
        self._journal = journal
        self._connections: list[TcpConnection] = []

    async def open(
        self, service: Service, server: str, interfaces: Sequence[SyntaxId]
    ) -> TcpConnection | None:
        """A connection to a service, or None after writing down which step failed."""
        journal, subject = self._journal, self._subject
        if subject.options.rpc_security != "none" and journal.failures & _REFUSALS:
            why = "user and password were refused, and are not tried again"
            journal.skipped(opening_steps(service, "tcp"), why)
            return None
        connection = None
        there = await self._find(service, server, interfaces[0])
        if there is not None:
            how = there, interfaces, subject.account.credentials, subject.options
            steps = f"tcp_{service}", f"bind_{service}"
            connection, layers = await self._connect(
                there, steps, lambda probe: open_tcp_connection(*how, probe)
            )
        if connection is None:
            journal.skipped(opening_steps(service, "tcp"), f"no way to {server}")
            return None
        self._connections.append(connection)
        names = ", ".join(map(interface_name, interfaces))
        journal.passed(f"bind_{service}", names, layers.ms["rpc_bind"])
        return connection

    async def open_quietly(
        self, service: Service, server: str, interfaces: Sequence[SyntaxId]
    ) -> TcpConnection:
        """A connection that is no step of its own; raises :class:`~loadgen.errors.PeerError`."""
        subject, at = self._subject, at_server(service)
        how = interfaces, subject.account.credentials, subject.options
        connection = await open_service(self._inside, server, at, *how)
        self._connections.append(connection)
        return connection

    async def finish(self) -> None:
        """Closes what is open."""
        for connection in self._connections:
            await connection.close()

    async def _find(self, service: Service, server: str, interface: SyntaxId) -> TcpServer | None:
        """Where the service is: its static port, or what the endpoint mapper of the server says."""
        journal, ports = self._journal, self._inside.ports
        static: int = getattr(ports, at_server(service))
        port = static or ports.endpoint_mapper
        given = self._inside.addresses.get(server.lower(), ())
        addresses = await journal.run(f"dns_{service}", look_up(server, port, given, self._subject.timeout_s))
        if not addresses:
            return None
        there = TcpServer(server, port, addresses)
        if static:
            why = f"the port is static: {static}"
            journal.skipped((f"mapper_{service}", f"map_{service}"), why)
            return there
        mapped = await self._map(service, there, interface)
        return replace(there, port=mapped) if mapped else None

    async def _map(self, service: Service, mapper: TcpServer, interface: SyntaxId) -> int | None:
        credentials, options = self._subject.account.credentials, self._subject.options
        step = f"map_{service}"
        asked, _ = await self._connect(
            mapper,
            (f"mapper_{service}", step),
            lambda probe: open_mapper(mapper, credentials, options, probe),
        )
        if asked is None:
            return None
        try:
            return await self._journal.run(step, _ask(asked, mapper, interface))
        finally:
            await asked.close()

    async def _connect(
        self, peer: TcpServer, steps: tuple[str, str], connect: _Connect
    ) -> tuple[TcpConnection | None, Layers]:
        """A bound connection; of its two steps, TCP is written down, and what comes after it if it fails."""
        journal, layers = self._journal, Layers(_LAYERS)
        tcp, beyond = steps
        where = f"{peer.host}:{peer.port}"
        connection: TcpConnection | None = None
        try:
            connection = await connect(layers.passed)
        except PeerError as error:
            if layers.layer == "connect_tcp":
                journal.failed(tcp, error, since(layers.began_ns))
                return None, layers
            journal.failed(beyond, error, since(layers.began_ns))
        journal.passed(tcp, where, layers.ms["connect_tcp"])
        return connection, layers


async def _ask(asked: TcpConnection, mapper: TcpServer, interface: SyntaxId) -> tuple[int, str]:
    port = await mapped_port(asked, mapper, interface)
    return port, f"{interface_name(interface)} is at port {port}"
