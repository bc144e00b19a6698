"""Everything that can go wrong, and how a report counts it. This module imports nothing.

A peer's error is a result to record: every such class carries the ``outcome`` under which it counts, and the
set of outcomes is closed, so no report ever groups by message text. An error of ours stops the run.
What a server's limit looks like from outside is the table at the end.
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
    """The other side, or the way to it, failed: a result to record.

    ``step`` is where on the way to a mailbox it was met, as ``loadgen check`` calls its steps; "" if nobody
    has noted that.
    """

    step = ""


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


class NameNotFound(TransportError):
    """A server's name has no address, as far as this machine can find out."""


class TlsFailed(PeerError):
    """No TLS with the server; the text says why, and what its certificate says if that is the reason."""

    outcome = "tls_failed"


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
    """HTTP 401 that is not to be answered on this connection.

    ``schemes`` is what the server offers. ``refused`` says that the credentials have been heard and rejected;
    else another scheme, or another connection, may do.
    """

    outcome = "unauthorized"

    def __init__(
        self, reason: str, schemes: tuple[str, ...], *, refused: bool = False, why: str = ""
    ) -> None:
        super().__init__(401, reason)
        if why:
            self.args = (f"{self}: {why}; offered: {', '.join(schemes) or 'nothing'}",)
        self.schemes = schemes
        self.refused = refused


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


def limits_of(error: PeerError) -> tuple[str, ...]:
    """The limits that a refusal or a cut may mean, the likeliest first; () if it means none.

    The one table of what a limit looks like from outside; each row says whence. The first that fits holds.
    """
    match error:
        case HttpRefused(rpc_error=0x6BA):
            # RPC_S_SERVER_UNAVAILABLE: the proxy got no connection to the server ([MS-RPCH] 2.1.2.1.3).
            return ("ports",)
        case HttpRefused(rpc_error=0xE):
            # ERROR_OUTOFMEMORY: a virtual connection takes 61 KB of the CAS (white paper).
            return ("memory",)
        case HttpRefused(status=503, reason=reason) if reason.startswith("L-202"):
            # Gromox without a free context for a connection (its manual, http(8gx), context_num).
            return ("front_end_contexts",)
        case HttpRefused(status=503, reason=reason) if reason.startswith("Service Unavailable"):
            # HTTP.sys answers by itself when the queue of the application pool is full (white paper).
            return ("request_queue",)
        case MapiError(call="NspiBind", code=0x80040111):
            # MAPI_E_LOGON_FAILED, from the 51st session of a user on (KB949469).
            return ("nspi_sessions",)
        case MapiError(call="EcDoConnectEx", code=0x4DE | 0x80040112 | 0x8007000E):
            # ecMaxObjsExceeded and its like: from the 33rd session of a user on (KB842022), or from the
            # 60,001st context handle of a store on (white paper).
            return ("mapi_sessions", "context_handles")
        case RpcFault(status=0x6B9 | 0xE):
            # RPC_S_OUT_OF_RESOURCES, ERROR_OUTOFMEMORY: the runtime has no handle left (white paper).
            return ("context_handles",)
        case TransportError():
            # Cut at accept or later: no memory for one more, a worker that was replaced, or no port behind
            # DSProxy, which can say so in no other way (white paper).
            return ("nonpaged_pool", "memory", "worker_recycling", "ports")
        case _:
            return ()
