"""What can go wrong between the RPC proxy and an open mailbox; sources as in :mod:`web_failures`."""

from typing import Final

from loadgen.check.finding import Finding, KnownFailure, fault, in_steps, mapi, text
from loadgen.errors import (
    BindRefused,
    ConnectionLost,
    MapiError,
    RemoteProtocolError,
    RpcFault,
    TimedOut,
    WireError,
    WrongAnswer,
)

_ACCESS_DENIED: Final = 0x80070005
_LOGON_FAILED: Final = 0x80040111
_UNKNOWN_USER: Final = (0x80040115, 0x3EB)
_WRONG_SERVER: Final = 0x478


def _cut_short(finding: Finding) -> bool:
    return isinstance(finding.error, ConnectionLost) and finding.cut_short > 0


def _names_no_directory(finding: Finding) -> bool:
    error = finding.error
    called = isinstance(error, MapiError) and error.call == "RfrGetNewDSA"
    return called or (isinstance(error, WrongAnswer) and finding.step == "referral")


RPC_FAILURES: Final = (
    KnownFailure(
        "truncated_pdu",
        _cut_short,
        "The connection ended in the middle of a PDU.",
        "Something in between cuts connections or loses data: compare traces (--trace) on both sides of it.",
        "[C706] 12.6.3.1, frag_length",
    ),
    KnownFailure(
        "window_out_of_range",
        text(RemoteProtocolError, "ReceiveWindowSize"),
        "The server announces a receive window that the specification does not allow.",
        "Its RPC over HTTP is faulty: report it to its maker, with a trace.",
        "[MS-RPCH] 2.2.3.5.1, 8192 to 262144",
    ),
    KnownFailure(
        "timeout_out_of_range",
        text(RemoteProtocolError, "ConnectionTimeout"),
        "The server announces a connection time-out that the specification does not allow.",
        "Set it to 120 s to 4 h: MinConnectionTimeout of the RPC proxy, http_conn_timeout in Gromox.",
        "[MS-RPCH] 2.2.3.5.3, 120000 to 14400000",
    ),
    KnownFailure(
        "corrupted_signature",
        text(RemoteProtocolError, "signature", "is not signed", "verifier is of type"),
        "An answer's signature is wrong: it was changed on the way, or the server has another key.",
        "Trust nothing on this connection; compare with --rpc-security none over TLS, and look for proxies.",
        "[MS-RPCE] 3.3.1.5.2, [MS-NLMP] 3.4",
    ),
    KnownFailure(
        "rts_error",
        lambda finding: (
            finding.step.startswith("rts_") and isinstance(finding.error, RemoteProtocolError | WireError)
        ),
        "The proxy sends an RTS PDU that has no place there, or bytes that are no PDU at all.",
        "A proxy in between may add to the stream; --trace shows what. Else report it to its maker.",
        "[MS-RPCH] 3.2, RPC error 0x6C0",
    ),
    KnownFailure(
        "malformed",
        lambda finding: isinstance(finding.error, WireError | RemoteProtocolError),
        "The server sends something that its specification does not allow.",
        "Try another --dialect; else report it to the server's maker, or to us, with a trace.",
        "[C706] 12, [MS-OXCRPC]",
    ),
    KnownFailure(
        "interface_not_supported",
        text(BindRefused, "the interface is not supported"),
        "The service behind this port does not speak the interface that it was asked for.",
        "The port belongs to another service: choose the server's --dialect.",
        "[C706] 12.6.4.4, provider rejection 2, reason 1; Gromox, recorded in rpc-edges",
    ),
    KnownFailure(
        "encoding_not_supported",
        text(BindRefused, "its encoding is not supported"),
        "The service does not take the NDR encoding of 32 bits.",
        "Report it to the server's maker, with a trace: every server has to take it.",
        "[C706] 12.6.4.4, provider rejection 2, reason 2",
    ),
    KnownFailure(
        "credentials_refused",
        text(BindRefused, "authentication refused: fault 0x00000005"),
        "The service has heard user and password and does not take them: one of them is wrong, or the "
        "account is locked.",
        "Check user (address, or DOMAIN\\name) and password; wait before you try again.",
        "[MS-RPCE] 3.3.1.5.2, ERROR_ACCESS_DENIED to a leg of the authentication",
    ),
    KnownFailure(
        "authentication_type_refused",
        text(BindRefused, "authentication type", "checksum", "authentication refused"),
        "The server does not take the security that was to protect the calls.",
        "Try --rpc-mechanism negotiate, or --rpc-security none over TLS.",
        "[MS-RPCE] 2.2.2.5, bind_nak reasons 8 and 9",
    ),
    KnownFailure(
        "bind_limit",
        text(BindRefused, "limit", "congestion"),
        "The server takes no more associations at the moment.",
        "Try again later; look at its limits.",
        "[C706] 12.6.3.1, bind_nak reasons 1 and 2",
    ),
    KnownFailure(
        "bind_refused",
        lambda finding: isinstance(finding.error, BindRefused),
        "The server refuses the bind.",
        "--trace shows its answer; try another --dialect.",
        "[C706] 12.6.3.1 and 12.6.4.5",
    ),
    KnownFailure(
        "access_denied",
        fault(0x5, 0x80070005),
        "The server faults the call with access denied: its user is not known, or calls are to be protected "
        "better.",
        "Check the password; try --rpc-security privacy (over TCP nothing else says who calls), or none; "
        "Gromox wants HTTP Basic if RPC has NTLM.",
        "[MS-RPCE] 3.3.1.5.2, ERROR_ACCESS_DENIED; Gromox, recorded in rpc-badpassword",
    ),
    KnownFailure(
        "level_too_low",
        mapi(0x970),
        "The store demands that calls are protected better.",
        "Give --rpc-security privacy.",
        "[MS-OXCRPC] 3.1.4.1, ecNotEncrypted; Set-RpcClientAccess -EncryptionRequired",
    ),
    KnownFailure(
        "session_security",
        fault(0x721),
        "The server could not verify what we signed.",
        "Something in between changes calls; try --rpc-security none over TLS to find out.",
        "[MS-RPCE] 3.3.1.5.2, RPC_S_SEC_PKG_ERROR",
    ),
    KnownFailure(
        "no_such_method",
        fault(0x1C010002, 0x1C010003, 0x6F7),
        "The server does not understand a call: opnum, presentation context or parameters.",
        "Try another --dialect; else report it with a trace.",
        "[C706] appendix E; Gromox, recorded in rpc-edges",
    ),
    KnownFailure(
        "rpc_fault",
        lambda finding: isinstance(finding.error, RpcFault),
        "The server ends the call with a fault.",
        "Look the status up in [MS-ERREF], and into the server's log.",
        "[C706] 12.6.4.7",
    ),
    KnownFailure(
        "wrong_server",
        mapi(_WRONG_SERVER),
        "The mailbox is on another server than the one that was asked.",
        "Put the server that is named here into the users file (column server), or leave it to Autodiscover.",
        "[MS-OXCSTOR] 2.2.1.1.2 and 3.2.5.1, ecWrongServer",
    ),
    KnownFailure(
        "wrong_dn",
        lambda finding: isinstance(finding.error, WrongAnswer) and "knows it as" in finding.text,
        "The mailbox has another distinguished name (legacyExchangeDN) than the one that was given.",
        "Correct the column dn of the users file, or leave it empty so that it is discovered.",
        "[MS-OXNSPI] 3.1.4.1.13; [MS-OXOABK] 2.2.1",
    ),
    KnownFailure(
        "mailbox_access_denied",
        mapi(_ACCESS_DENIED, 0x4B6),
        "The store does not let this user open the session: the DN belongs to someone else, or the user has "
        "no rights there.",
        "Check that user and mailbox belong together; Gromox opens sessions for the user's own DN only.",
        "[MS-OXCRPC] 3.1.4.1, ecAccessDenied; Gromox, recorded in rpc-edges",
    ),
    KnownFailure(
        "mapi_disabled",
        mapi(0x7D8, 0x96C, 0x4E0, 0x4E1),
        "MAPI, or Outlook Anywhere, or online mode is disabled for this mailbox.",
        "Enable it with Set-CASMailbox: MAPIEnabled, MAPIBlockOutlookRpcHttp, MAPIBlockOutlookNonCachedMode.",
        "[MS-OXCRPC] 3.1.4.1: ecProtocolDisabled, ecMailboxDisabled, ecRpcHttpDisallowed",
    ),
    KnownFailure(
        "version_refused",
        mapi(0x4DF, 0x80040110),
        "The store does not let clients of this version in.",
        "See MAPIBlockOutlookVersions of the server and of Set-CASMailbox.",
        "[MS-OXCRPC] 3.1.4.1, ecClientVerDisallowed, ecVersionMismatch",
    ),
    KnownFailure(
        "unknown_user",
        mapi(*_UNKNOWN_USER),
        "The store knows nobody by this distinguished name.",
        "Check the column dn of the users file, or leave it empty so that it is discovered; the mailbox may "
        "also be new and not known everywhere.",
        "[MS-OXCRPC] 3.1.4.1, ecUnknownUser; Gromox, recorded in rpc-edges",
    ),
    KnownFailure(
        "code_page_refused",
        mapi(_LOGON_FAILED, call="EcDoConnectEx"),
        "The store does not open a session on these terms; Gromox says so to an unknown code page.",
        "Report it with a trace; the code page that is sent is 1252.",
        "Gromox, recorded in rpc-edges",
    ),
    KnownFailure(
        "directory_sessions",
        mapi(_LOGON_FAILED, call="NspiBind"),
        "The directory does not let this user in, or he has all sessions that it allows (50).",
        "Close other clients of this user, or raise the limit (NSPI max sessions per user).",
        "KB949469",
    ),
    KnownFailure(
        "too_many_sessions",
        mapi(0x4DE, 0x80040112),
        "The user has all the sessions that the store allows (32), or the store has no context handle left.",
        "Close other clients of this user; see docs/limits.md.",
        "KB842022",
    ),
    KnownFailure(
        "no_referral",
        _names_no_directory,
        "The referral service names no directory server for this user: it does not know his distinguished "
        "name, or knows no global catalog.",
        "Check the column dn of the users file, or leave it empty so that it is discovered; look whether the "
        "server reaches a global catalog.",
        "[MS-OXABREF] 3.1.4.1",
    ),
    KnownFailure(
        "stale_session",
        mapi(0x80004005),
        "The server does not know the session any more, or fails in a way that it does not name.",
        "Its log says why.",
        "Gromox, recorded in rpc-edges (stale CXH)",
    ),
    KnownFailure(
        "not_in_directory",
        in_steps(WrongAnswer, "directory"),
        "The directory does not have this mailbox: it is unknown, hidden, or too new.",
        "Check the address of the mailbox, and that it is not hidden from address lists.",
        "[MS-OXNSPI] 3.1.4.1.17",
    ),
    KnownFailure(
        "closed_without_answer",
        lambda finding: isinstance(finding.error, ConnectionLost),
        "The server closed the connection without an answer: it does not allow this port (Gromox knows 6001, "
        "6002, 6004), has no more room for connections, or a proxy in between cut it.",
        "Choose the server's --dialect; look at the server's log; Gromox may have to be started anew "
        "(context_num).",
        "Gromox, recorded in http-edges (unknown port)",
    ),
    KnownFailure(
        "no_answer",
        lambda finding: isinstance(finding.error, TimedOut),
        "The server took the request and said nothing.",
        "A proxy in between may hold bodies back until they are complete; Gromox waits for the IN channel. "
        "--trace shows how far it came.",
        "[MS-RPCH] 3.2.2.3.1; Gromox",
    ),
)
