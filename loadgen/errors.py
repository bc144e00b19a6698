"""Everything that can go wrong, and how a report counts it. This module imports nothing.

A peer's error is a result to record: every such class carries the ``outcome`` under which it counts, and the
set of outcomes is closed, so no report ever groups by message text. An error of ours stops the run.
At the end are two tables: what a server's limit looks like from outside, and the names of error codes.
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
        super().__init__(f"RPC fault {named(status)}")
        self.status = status


class MapiError(PeerError):
    """A call or ROP that came back with an error code ([MS-OXCDATA] 2.4)."""

    outcome = "mapi_error"

    def __init__(self, call: str, code: int) -> None:
        super().__init__(f"{call} returned {named(code)}")
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


def named(code: int) -> str:
    """An error code in hexadecimal, and its name if there is one."""
    return f"0x{code:08X} {_NAMES.get(code, '')}".rstrip()


_NAMES = {
    # Of Windows, as a fault or in the answer of an RPC proxy ([MS-ERREF] 2.2).
    0x5: "ERROR_ACCESS_DENIED",
    0xE: "ERROR_OUTOFMEMORY",
    0x46A: "ERROR_NOT_ENOUGH_SERVER_MEMORY",
    0x6A6: "RPC_S_INVALID_BINDING",
    0x6B5: "RPC_S_UNKNOWN_IF",
    0x6B9: "RPC_S_OUT_OF_RESOURCES",
    0x6BA: "RPC_S_SERVER_UNAVAILABLE",
    0x6BB: "RPC_S_SERVER_TOO_BUSY",
    0x6BE: "RPC_S_CALL_FAILED",
    0x6BF: "RPC_S_CALL_FAILED_DNE",
    0x6C0: "RPC_S_PROTOCOL_ERROR",
    0x6C6: "RPC_S_INVALID_BOUND",
    0x6D1: "RPC_S_PROCNUM_OUT_OF_RANGE",
    0x6D8: "EPT_S_CANT_PERFORM_OP",
    0x6D9: "EPT_S_NOT_REGISTERED",
    0x6E4: "RPC_S_CANNOT_SUPPORT",
    0x6F7: "RPC_X_BAD_STUB_DATA",
    0x71A: "RPC_S_CALL_CANCELLED",
    0x71C: "RPC_S_COMM_FAILURE",
    0x71D: "RPC_S_UNSUPPORTED_AUTHN_LEVEL",
    0x721: "RPC_S_SEC_PKG_ERROR",
    # Of DCE RPC, as a fault ([C706] appendix E).
    0x16C9A0D6: "ept_s_not_registered",
    0x1C000001: "nca_s_fault_int_div_by_zero",
    0x1C000002: "nca_s_fault_addr_error",
    0x1C000003: "nca_s_fault_fp_div_zero",
    0x1C000004: "nca_s_fault_fp_underflow",
    0x1C000005: "nca_s_fault_fp_overflow",
    0x1C000006: "nca_s_fault_invalid_tag",
    0x1C000007: "nca_s_fault_invalid_bound",
    0x1C000008: "nca_s_rpc_version_mismatch",
    0x1C000009: "nca_s_unspec_reject",
    0x1C00000A: "nca_s_bad_actid",
    0x1C00000B: "nca_s_who_are_you_failed",
    0x1C00000C: "nca_s_manager_not_entered",
    0x1C00000D: "nca_s_fault_cancel",
    0x1C00000E: "nca_s_fault_ill_inst",
    0x1C00000F: "nca_s_fault_fp_error",
    0x1C000010: "nca_s_fault_int_overflow",
    0x1C000012: "nca_s_fault_unspec",
    0x1C000013: "nca_s_fault_remote_comm_failure",
    0x1C000014: "nca_s_fault_pipe_empty",
    0x1C000015: "nca_s_fault_pipe_closed",
    0x1C000016: "nca_s_fault_pipe_order",
    0x1C000017: "nca_s_fault_pipe_discipline",
    0x1C000018: "nca_s_fault_pipe_comm_error",
    0x1C000019: "nca_s_fault_pipe_memory",
    0x1C00001A: "nca_s_fault_context_mismatch",
    0x1C00001B: "nca_s_fault_remote_no_memory",
    0x1C00001C: "nca_s_invalid_pres_context_id",
    0x1C00001D: "nca_s_unsupported_authn_level",
    0x1C00001F: "nca_s_invalid_checksum",
    0x1C000020: "nca_s_invalid_crc",
    0x1C000021: "nca_s_fault_user_defined",
    0x1C000022: "nca_s_fault_tx_open_failed",
    0x1C000023: "nca_s_fault_codeset_conv_error",
    0x1C000024: "nca_s_fault_object_not_found",
    0x1C000025: "nca_s_fault_no_client_stub",
    0x1C010001: "nca_s_comm_failure",
    0x1C010002: "nca_s_op_rng_error",
    0x1C010003: "nca_s_unk_if",
    0x1C010006: "nca_s_wrong_boot_time",
    0x1C010009: "nca_s_you_crashed",
    0x1C01000B: "nca_s_proto_error",
    0x1C010013: "nca_s_out_args_too_big",
    0x1C010014: "nca_s_server_too_busy",
    0x1C010015: "nca_s_fault_string_too_long",
    0x1C010017: "nca_s_unsupported_type",
    # Of a mailbox store or a directory, in the answer of a call ([MS-OXCDATA] 2.4, [MS-OXNSPI] 2.2.1.2).
    0x3EB: "ecUnknownUser",
    0x3ED: "ecExiting",
    0x3EF: "ecUnknownCodePage",
    0x3F0: "ecServerOOM",
    0x3F2: "ecLoginPerm",
    0x463: "ecNoReceiveFolder",
    0x467: "ecInvalidRecips",
    0x468: "ecNoReplicaHere",
    0x469: "ecNoReplicaAvailable",
    0x478: "ecWrongServer",
    0x47D: "ecBufferTooSmall",
    0x47F: "ecServerPaused",
    0x480: "ecServerBusy",
    0x489: "ecFxErrorMarker",
    0x48B: "ecNotPrivateMDB",
    0x4B6: "ecRpcFormat",
    0x4B9: "ecNullObject",
    0x4D9: "ecQuotaExceeded",
    0x4DA: "ecMaxSubmissionExceeded",
    0x4DC: "ecSendAsDenied",
    0x4DD: "ecShutoffQuotaExceeded",
    0x4DE: "ecMaxObjsExceeded",
    0x4DF: "ecClientVerDisallowed",
    0x4E0: "ecRpcHttpDisallowed",
    0x4E1: "ecCachedModeRequired",
    0x4FF: "ecNoCreateRight",
    0x501: "ecNoReadRight",
    0x503: "ecDstNullObject",
    0x505: "ecTooManyRecips",
    0x50C: "ecMailboxInTransit",
    0x7D8: "ecProtocolDisabled",
    0x7EE: "ecRejected",
    0x96C: "ecMailboxDisabled",
    0x970: "ecNotEncrypted",
    0x40380: "MAPI_W_ERRORS_RETURNED",
    0x40680: "MAPI_W_PARTIAL_COMPLETION",
    0x80004005: "MAPI_E_CALL_FAILED",
    0x80030005: "STG_E_ACCESSDENIED",
    0x80040102: "MAPI_E_NO_SUPPORT",
    0x80040103: "MAPI_E_BAD_CHARWIDTH",
    0x80040107: "MAPI_E_INVALID_ENTRYID",
    0x80040108: "MAPI_E_INVALID_OBJECT",
    0x80040109: "MAPI_E_OBJECT_CHANGED",
    0x8004010A: "MAPI_E_OBJECT_DELETED",
    0x8004010B: "MAPI_E_BUSY",
    0x8004010D: "MAPI_E_NOT_ENOUGH_DISK",
    0x8004010E: "MAPI_E_NOT_ENOUGH_RESOURCES",
    0x8004010F: "MAPI_E_NOT_FOUND",
    0x80040110: "MAPI_E_VERSION",
    0x80040111: "MAPI_E_LOGON_FAILED",
    0x80040112: "MAPI_E_SESSION_LIMIT",
    0x80040114: "MAPI_E_UNABLE_TO_ABORT",
    0x80040115: "MAPI_E_NETWORK_ERROR",
    0x80040116: "MAPI_E_DISK_ERROR",
    0x80040117: "MAPI_E_TOO_COMPLEX",
    0x8004011A: "MAPI_E_COMPUTED",
    0x8004011E: "MAPI_E_UNKNOWN_CPID",
    0x8004011F: "MAPI_E_UNKNOWN_LCID",
    0x80040305: "MAPI_E_TOO_BIG",
    0x80040401: "MAPI_E_TIMEOUT",
    0x80040403: "MAPI_E_TABLE_TOO_BIG",
    0x80040405: "MAPI_E_INVALID_BOOKMARK",
    0x80040600: "MAPI_E_CORRUPT_STORE",
    0x80040604: "MAPI_E_COLLISION",
    0x80040607: "MAPI_E_NO_RECIPIENTS",
    0x80040608: "MAPI_E_SUBMITTED",
    0x8004060C: "MAPI_E_STORE_FULL",
    0x80040700: "MAPI_E_AMBIGUOUS_RECIP",
    0x80040800: "SYNC_E_OBJECT_DELETED",
    0x80040801: "SYNC_E_IGNORE",
    0x80040802: "SYNC_E_CONFLICT",
    0x80070005: "MAPI_E_NO_ACCESS",
    0x8007000E: "MAPI_E_NOT_ENOUGH_MEMORY",
    0x80070057: "MAPI_E_INVALID_PARAMETER",
}
