"""Each known failure is recognised by what it looks like, and by nothing before it."""

import pytest

from loadgen.check.finding import Finding
from loadgen.check.known_failures import KNOWN_FAILURES, known
from loadgen.errors import (
    BindRefused,
    ConnectionLost,
    HttpRefused,
    MapiError,
    NameNotFound,
    RemoteProtocolError,
    RpcFault,
    TimedOut,
    TlsFailed,
    TransportError,
    Unauthorized,
    WireError,
    WrongAnswer,
    named,
)
from loadgen.wire.http import rpc_error

OFFERED = ("Basic", "Negotiate")


def refused(reason: str) -> HttpRefused:
    return HttpRefused(503, reason, rpc_error(reason))


CASES = {
    "mapper_refused": [("mapper_store", TransportError("MBX1:135: Connection refused"))],
    "mapper_timeout": [("mapper_store", TimedOut("MBX1:135: no TCP connection within 15 s"))],
    "endpoint_not_registered": [
        ("map_store", BindRefused("MBX1:135: the endpoint mapper has no port for a4f1db00-ca47"))
    ],
    "no_endpoint_mapper": [
        ("map_store", BindRefused("MBX1:135: the interface is not supported")),
        ("map_store", ConnectionLost("MBX1:135: the server closed the connection")),
        ("map_store", WireError("rpc_vers", 0, "72")),
    ],
    "endpoint_refused": [("tcp_directory", TransportError("GC1:6104: Connection refused"))],
    "endpoint_timeout": [("tcp_directory", TimedOut("GC1:6104: no TCP connection within 15 s"))],
    "name_not_found": [
        ("dns", NameNotFound("mail.example.org: Name or service not known")),
        ("dns_directory", NameNotFound("gc1.example.org: Name or service not known")),
    ],
    "refused": [("tcp", TransportError("mail:443: Connection refused"))],
    "unreachable": [("tcp", TransportError("mail:443: No route to host"))],
    "tcp_timeout": [("tcp", TimedOut("mail:443: no TCP connection within 15 s"))],
    "tls_name_mismatch": [
        ("tls", TlsFailed("TLS: the certificate is for other.example.org, not for mail")),
        ("autodiscover", TlsFailed("TLS: Hostname mismatch, certificate is not valid for 'mail'.")),
    ],
    "tls_expired": [
        ("tls", TlsFailed("TLS: the certificate of mail expired on 2026-01-01 00:00 UTC")),
        ("autodiscover", TlsFailed("TLS: certificate has expired")),
    ],
    "tls_unknown_authority": [
        ("tls", TlsFailed("TLS: the certificate of m is self-signed; if it is the right one, give it")),
        ("tls", TlsFailed("TLS: the certificate of m comes from an authority that is not trusted here (x)")),
        ("autodiscover", TlsFailed("TLS: unable to get local issuer certificate")),
    ],
    "tls_client_certificate": [("tls", TlsFailed("TLS: the server wants a client certificate"))],
    "tls_protocol": [("tls", TlsFailed("TLS: the server does not speak TLS on this port"))],
    "no_ticket": [
        ("http", Unauthorized("Unauthorized", (), why="no NTLM here, and there is no Kerberos: no ticket"))
    ],
    "scheme_not_offered": [("http", Unauthorized("Unauthorized", ("Digest",)))],
    "wrong_password": [
        ("http", Unauthorized("Unauthorized", OFFERED, refused=True)),
        ("autodiscover", Unauthorized("Unauthorized", OFFERED)),
    ],
    "authentication_unfinished": [("http", Unauthorized("Unauthorized", OFFERED))],
    "client_certificate_refused": [("http", HttpRefused(403, "Client Certificate Required"))],
    "forbidden": [("http", HttpRefused(403, "Forbidden"))],
    "no_rpc_proxy": [("http", HttpRefused(404, "Not Found"))],
    "path_not_understood": [("http", HttpRefused(400, "Bad Request"))],
    "method_not_allowed": [
        ("http", HttpRefused(405, "Method Not Allowed")),
        ("http", HttpRefused(501, "Not Implemented")),
    ],
    "request_timeout": [("http", HttpRefused(408, "Request Timeout"))],
    "too_large": [("http", HttpRefused(413, "Request Entity Too Large"))],
    "server_unavailable": [("rts_store", refused("RPC Error: 6ba"))],
    "server_too_busy": [("rts_store", refused("RPC Error: 6bb"))],
    "port_not_allowed": [("rts_store", refused("RPC Error: 5"))],
    "out_of_memory": [("rts_store", refused("RPC Error: e"))],
    "rpc_error": [("rts_store", refused("RPC Error: 6c0"))],
    "front_end_full": [("http", refused("L-202 Service Unavailable"))],
    "request_queue_full": [("http", refused("Service Unavailable"))],
    "bad_gateway": [("http", HttpRefused(502, "Bad Gateway")), ("http", HttpRefused(504, "Timeout"))],
    "http_error": [("http", HttpRefused(500, "Internal Server Error"))],
    "redirect_loop": [
        ("autodiscover", RemoteProtocolError("Autodiscover goes in a circle: a redirects to b")),
        ("mailbox", RemoteProtocolError("the mailbox redirects in a circle: A, B, A")),
    ],
    "autodiscover_refuses": [
        ("autodiscover", TransportError("Autodiscover for a@b: https://b/x: error 500: unknown")),
        ("autodiscover", WrongAnswer("redirected to http://c, which is not https")),
    ],
    "no_autodiscover": [
        ("autodiscover", TransportError("Autodiscover for a@b: https://b: no answer")),
        ("autodiscover", TransportError("Autodiscover for a@b: https://b: Connection refused; c: 404")),
        ("autodiscover", TransportError("Autodiscover for a@b: https://b: Network is unreachable")),
    ],
    "truncated_pdu": [],
    "window_out_of_range": [("rts_store", RemoteProtocolError("ReceiveWindowSize 1"))],
    "timeout_out_of_range": [("rts_store", RemoteProtocolError("ConnectionTimeout 7 ms"))],
    "corrupted_signature": [
        ("mailbox", RemoteProtocolError("the answer to call 2: the server's signature is wrong: no")),
        ("mailbox", RemoteProtocolError("the answer to call 2 is not signed")),
    ],
    "rts_error": [
        ("rts_store", RemoteProtocolError("Ping while waiting for CONN/A3 (RPC error 0x6C0)")),
        ("rts_store", WireError("rpc_vers", 0, "60")),
    ],
    "malformed": [("mailbox", WireError("RopSize", 0, "1")), ("referral", RemoteProtocolError("call 9"))],
    "interface_not_supported": [
        ("bind_store", BindRefused("EMSMDB refused: the interface is not supported"))
    ],
    "encoding_not_supported": [("bind_store", BindRefused("EMSMDB refused: its encoding is not supported"))],
    "credentials_refused": [("bind_store", BindRefused(f"authentication refused: fault {named(0x5)}"))],
    "authentication_type_refused": [
        ("bind_store", BindRefused("bind refused: the authentication type is not recognised")),
        ("bind_store", BindRefused("bind refused: invalid checksum")),
        ("bind_store", BindRefused(f"authentication refused: fault {named(0x721)}")),
    ],
    "bind_limit": [("bind_store", BindRefused("bind refused: temporary congestion"))],
    "bind_refused": [("bind_store", BindRefused("bind refused: reason 77"))],
    "access_denied": [("referral", RpcFault(5)), ("referral", RpcFault(0x80070005))],
    "level_too_low": [("mailbox", MapiError("EcDoConnectEx", 0x970))],
    "session_security": [("referral", RpcFault(0x721))],
    "no_such_method": [("referral", RpcFault(0x6F7)), ("referral", RpcFault(0x1C010003))],
    "rpc_fault": [("referral", RpcFault(0x6D9))],
    "wrong_server": [("mailbox", MapiError("RopLogon", 0x478))],
    "wrong_dn": [("directory", WrongAnswer("the directory has no /o=X; but knows it as /o=Y"))],
    "mailbox_access_denied": [
        ("mailbox", MapiError("EcDoConnectEx", 0x80070005)),
        ("mailbox", MapiError("EcDoConnectEx", 0x4B6)),
    ],
    "mapi_disabled": [("mailbox", MapiError("EcDoConnectEx", code)) for code in (0x7D8, 0x96C, 0x4E0)],
    "version_refused": [("mailbox", MapiError("EcDoConnectEx", code)) for code in (0x4DF, 0x80040110)],
    "unknown_user": [("mailbox", MapiError("EcDoConnectEx", code)) for code in (0x3EB, 0x80040115)],
    "code_page_refused": [("mailbox", MapiError("EcDoConnectEx", 0x80040111))],
    "directory_sessions": [("directory", MapiError("NspiBind", 0x80040111))],
    "too_many_sessions": [("mailbox", MapiError("EcDoConnectEx", 0x4DE))],
    "no_referral": [
        ("referral", MapiError("RfrGetNewDSA", 0x80004005)),
        ("referral", WrongAnswer("RfrGetNewDSA names no server")),
    ],
    "stale_session": [("mailbox", MapiError("EcDoRpcExt2", 0x80004005))],
    "not_in_directory": [("directory", WrongAnswer("the directory does not know /o=X"))],
    "closed_without_answer": [("rts_store", ConnectionLost("the server closed the OUT channel"))],
    "no_answer": [("rts_store", TimedOut("waiting for CONN/A3 did not come within 60 s"))],
}


@pytest.mark.parametrize("name", CASES)
def test_a_failure_is_named(name):
    for step, error in CASES[name]:
        row = known(Finding(step, error, ("basic", "negotiate")))
        assert row is not None, error
        assert row.name == name, error


def test_a_connection_that_ends_within_a_pdu_is_told_from_one_that_just_ends():
    lost = ConnectionLost("the server closed the OUT channel")
    assert known(Finding("rts_store", lost, (), 20)).name == "truncated_pdu"
    assert known(Finding("rts_store", lost, (), 0)).name == "closed_without_answer"


def test_what_is_new_is_not_taken_for_something_known():
    assert known(Finding("mailbox", MapiError("RopLogon", 0x12345678))) is None


def test_every_row_is_tried_and_says_something():
    assert [row.name for row in KNOWN_FAILURES] == [*CASES]
    for row in KNOWN_FAILURES:
        assert row.meaning.endswith("."), row.name
        assert row.remedy.endswith("."), row.name
        assert row.source, row.name
