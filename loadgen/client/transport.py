"""Virtual connections over asyncio: the only file with client sockets."""

from collections.abc import Callable, Sequence
from typing import Protocol, TypeVar

from msgspec import Struct

from loadgen.client.account import Credentials, RpcProxy
from loadgen.errors import PeerError
from loadgen.wire.pdu import SyntaxId
from loadgen.wire.rpc import RpcRequest

ResponseT = TypeVar("ResponseT")
Probe = Callable[[str, int, int], None]


class ConnectionOptions(Struct, frozen=True, gc=False):
    """What a virtual connection announces and how long it waits; defaults are those of Windows."""

    receive_window: int = 65536
    channel_lifetime: int = 1 << 30
    client_keepalive_ms: int = 300_000
    connect_timeout_s: float = 30.0
    establishment_timeout_s: float = 60.0
    call_timeout_s: float = 900.0


class RpcConnection(Protocol):
    """One RPC connection, whatever carries it."""

    on_lost: Callable[[PeerError], None] | None
    bytes_sent: int
    bytes_received: int

    async def call(self, request: RpcRequest[ResponseT], timeout: float | None = None) -> ResponseT:
        """Call a method and return its answer."""

    async def close(self) -> None:
        """Close in an orderly way and wait until the sockets are closed."""

    def abort(self) -> None:
        """Cut at once."""


class VirtualConnection:
    """An open virtual connection."""

    on_lost: Callable[[PeerError], None] | None
    bytes_sent: int
    bytes_received: int

    async def call(self, request: RpcRequest[ResponseT], timeout: float | None = None) -> ResponseT:
        """Call a method and return its answer."""
        raise NotImplementedError

    async def close(self) -> None:
        """Close in an orderly way and wait until the sockets are closed."""

    def abort(self) -> None:
        """Cut at once."""


async def open_virtual_connection(
    proxy: RpcProxy,
    server: str,
    port: int,
    interfaces: Sequence[SyntaxId],
    credentials: Credentials,
    options: ConnectionOptions = ConnectionOptions(),  # noqa: B008 - frozen
    probe: Probe | None = None,
) -> VirtualConnection:
    """Open a virtual connection to ``server:port`` and bind ``interfaces`` on it."""
    raise NotImplementedError
