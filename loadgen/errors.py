"""Everything that can go wrong, and how a report counts it. This module imports nothing.

A peer's error is a result to record: every such class carries the ``outcome`` under which it counts, and the
set of outcomes is closed, so no report ever groups by message text. An error of ours stops the run.
"""


class LoadgenError(Exception):
    """Root of all errors that this project raises on purpose."""

    outcome = "internal_error"


class LocalProtocolError(LoadgenError):
    """We misused a protocol: a bug of ours, which stops the run."""


class ProfileError(LoadgenError):
    """A profile, a campaign or an option is wrong; the text names the file and the key."""

    outcome = "wrong_profile"


class PeerError(LoadgenError):
    """The other side, or the way to it, failed: a result to record."""


class WireError(PeerError):
    """Bytes that do not follow their specification.

    ``field`` is the name that the specification gives, ``offset`` counts from the start of the structure that
    was being read.
    """

    outcome = "malformed"

    def __init__(self, field: str, offset: int, problem: str) -> None:
        super().__init__(f"{field} at byte {offset}: {problem}")
        self.field = field
        self.offset = offset
        self.problem = problem


class RemoteProtocolError(PeerError):
    """The peer sent something well formed that it may not send now."""

    outcome = "protocol_error"


class TransportError(PeerError):
    """A connection could not be opened."""

    outcome = "unreachable"


class ConnectionLost(TransportError):
    """A connection that was open went away."""

    outcome = "connection_lost"


class TimedOut(PeerError):
    """No answer within the time allowed."""

    outcome = "timeout"


class HttpRefused(PeerError):
    """An HTTP answer other than the one that opens the channel.

    ``rpc_error`` is the Windows error code of a ``503 RPC Error: <hex>`` ([MS-RPCH] 2.1.2.1.3), else None.
    """

    outcome = "http_refused"

    def __init__(self, status: int, reason: str, rpc_error: int | None = None) -> None:
        super().__init__(f"HTTP {status} {reason}".rstrip())
        self.status = status
        self.reason = reason
        self.rpc_error = rpc_error


class Unauthorized(HttpRefused):
    """HTTP 401 that the credentials at hand cannot answer; ``schemes`` is what the server offers."""

    outcome = "unauthorized"

    def __init__(self, reason: str, schemes: tuple[str, ...]) -> None:
        super().__init__(401, reason)
        self.schemes = schemes


class BindRefused(PeerError):
    """bind_nak, or a presentation context that was rejected ([C706] 12.6.3.1 and 12.6.4.5)."""

    outcome = "bind_refused"


class RpcFault(PeerError):
    """A fault PDU ([C706] 12.6.4.7); ``status`` is its code."""

    outcome = "rpc_fault"

    def __init__(self, status: int) -> None:
        super().__init__(f"RPC fault 0x{status:08X}")
        self.status = status


class MapiError(PeerError):
    """A call or ROP that came back with an error code ([MS-OXCDATA] 2.4)."""

    outcome = "mapi_error"

    def __init__(self, call: str, code: int) -> None:
        super().__init__(f"{call} returned 0x{code:08X}")
        self.call = call
        self.code = code


class WrongAnswer(PeerError):
    """A well-formed answer that does not say what it should: a lost write, a foreign name, a wrong count."""

    outcome = "wrong_answer"
