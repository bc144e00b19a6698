"""What the rest of the client knows of a connection, whatever carries it."""

import asyncio
from collections.abc import Callable
from typing import Protocol, TypeVar

from loadgen.client.transport.tap import Tap
from loadgen.errors import PeerError
from loadgen.protocol.http_authentication import HttpScheme
from loadgen.protocol.rts_options import RtsOptions
from loadgen.protocol.security import Level
from loadgen.protocol.security_context import Mechanism
from loadgen.wire.rpc import RpcRequest

ResponseT = TypeVar("ResponseT")
Probe = Callable[[str, int, int], None]
"""Told of each layer of a connection that is passed: its name, when it began and ended (monotonic_ns)."""


class ConnectionOptions(RtsOptions, frozen=True, gc=False):
    """What a connection announces, how it is secured, and how long its owner waits.

    ``auth`` are the schemes to try with the web server, in this order; what a server has taken is tried first
    from then on. With ``verification`` calls repeat under their signature what was agreed upon. A ``tap``
    hears all that is sent and received.
    """

    connect_timeout_s: float = 30.0
    call_timeout_s: float = 900.0
    auth: tuple[HttpScheme, ...] = ("basic",)
    rpc_security: Level = "none"
    rpc_mechanism: Mechanism = "ntlm"
    verification: bool = False
    tap: Tap | None = None


class RpcConnection(Protocol):
    """One bound RPC connection, whatever carries it.

    ``on_lost`` is called once if the connection goes away by itself. Bytes are those of TCP payload, before
    TLS where there is any.
    """

    on_lost: Callable[[PeerError], None] | None
    bytes_sent: int
    bytes_received: int

    async def call(self, request: RpcRequest[ResponseT], timeout: float | None = None) -> ResponseT:  # noqa: ASYNC109 - deadlines share one timer
        """Call a method and wait for its answer, ``timeout`` seconds at most.

        Raises :class:`RpcFault`, :class:`TimedOut`, :class:`WireError` for an answer that cannot be read (the
        connection outlives all three), or what ended the connection.
        """

    def begin(self, request: RpcRequest[object], timeout: float | None = None) -> "asyncio.Future[bytes]":
        """Call a method whose response stub may take long, without a task that waits for it."""

    async def close(self) -> None:
        """Close, and wait until the sockets are closed; pending calls raise :class:`ConnectionLost`."""

    def abort(self) -> None:
        """Close without waiting for anything, not even for what is still to be sent."""
