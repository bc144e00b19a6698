"""What can go wrong up to the web server, and with what it says.

Each row says where it is known from: specifications by their name, others by that of docs/sources.md.
"""

from collections.abc import Callable
from typing import Final

from loadgen.check.finding import FOR_A_MOCK, Finding, KnownFailure, http, in_steps, rpc_error, text
from loadgen.errors import (
    HttpRefused,
    NameNotFound,
    RemoteProtocolError,
    TimedOut,
    TlsFailed,
    TransportError,
    Unauthorized,
)


def _any_rpc_error(finding: Finding) -> bool:
    return isinstance(finding.error, HttpRefused) and finding.error.rpc_error is not None


def _no_way(*reasons: str) -> Callable[[Finding], bool]:
    """TCP comes to nothing for one of these reasons; Autodiscover lists those of all that it has tried."""
    met = text(TransportError, *reasons)
    return lambda finding: finding.step != "autodiscover" and met(finding)


def _autodiscover_refuses(finding: Finding) -> bool:
    """A server's own ``error CODE: text`` stands among what was tried."""
    return finding.step == "autodiscover" and (
        ": error " in finding.text or not isinstance(finding.error, TransportError)
    )


def _offers_none_of_ours(finding: Finding) -> bool:
    error = finding.error
    return isinstance(error, Unauthorized) and not {name.lower() for name in error.schemes}.intersection(
        finding.tried
    )


WEB_FAILURES: Final = (
    KnownFailure(
        "name_not_found",
        lambda finding: isinstance(finding.error, NameNotFound),
        "The name of the target, or of a server, has no address in the DNS that this machine asks.",
        f"Correct the name, or give the address yourself with --resolve NAME=ADDRESS. {FOR_A_MOCK}",
        "getaddrinfo(3)",
    ),
    KnownFailure(
        "refused",
        _no_way("Connection refused"),
        "The machine answers, but nothing listens on this port.",
        "Check the port, and that the web server (or its load balancer) runs and listens on this address.",
        "connect(2), ECONNREFUSED",
    ),
    KnownFailure(
        "unreachable",
        _no_way("unreachable", "No route to host"),
        "No network leads to this address from here.",
        "Check address, route and VPN; a firewall may also answer so.",
        "connect(2), EHOSTUNREACH and ENETUNREACH",
    ),
    KnownFailure(
        "tcp_timeout",
        text(TimedOut, "no TCP connection within"),
        "Nobody answers at this address: packets are dropped on the way, as firewalls do.",
        "Check the address, and let the firewall pass this port from this machine.",
        "connect(2), ETIMEDOUT",
    ),
    KnownFailure(
        "tls_name_mismatch",
        text(TlsFailed, "the certificate is for", "mismatch", "is not valid for"),
        "The server's certificate is for other names than the one that you asked for.",
        "Use one of the names that stand in it (with --resolve if the DNS lacks it), or get a certificate "
        "for this name.",
        "RFC 9525 6",
    ),
    KnownFailure(
        "tls_expired",
        text(TlsFailed, " expired on", "has expired"),
        "The server's certificate is out of date, or the clock of this machine is wrong.",
        "Renew the certificate of the server; check the time here.",
        "X509_V_ERR_CERT_HAS_EXPIRED, RFC 5280 6.1.3",
    ),
    KnownFailure(
        "tls_unknown_authority",
        text(TlsFailed, "not trusted here", "self-signed", "unable to get local issuer", "self signed"),
        "The certificate comes from an authority that this machine does not trust.",
        "Give the authority's certificate with --ca-file; look at it before you do.",
        "X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY and _DEPTH_ZERO_SELF_SIGNED_CERT",
    ),
    KnownFailure(
        "tls_client_certificate",
        text(TlsFailed, "client certificate"),
        "The server wants to see a client certificate, and does not like what it got.",
        "Give one that it trusts with --client-certificate and --client-key.",
        "RFC 8446 6.2, certificate_required",
    ),
    KnownFailure(
        "tls_protocol",
        lambda finding: isinstance(finding.error, TlsFailed),
        "No common way to speak TLS was found, or the port does not speak it at all.",
        "Use http:// if there is no TLS on this port; for an old server try --tls-minimum 1.0.",
        "RFC 8446 6.2, protocol_version and handshake_failure",
    ),
    KnownFailure(
        "no_ticket",
        text(Unauthorized, "there is no Kerberos"),
        "The server lets nobody in but with Kerberos, and this machine has no ticket for the user.",
        "Get one with kinit, install Python's gssapi and krb5, or have NTLM enabled: see docs/security.md.",
        "RFC 4559 4.1; RFC 4178 4.2.2, reject",
    ),
    KnownFailure(
        "scheme_not_offered",
        _offers_none_of_ours,
        "The server offers none of the authentication schemes that were to be tried.",
        "Choose one that it offers with --auth, or have it enabled on the virtual directory /rpc.",
        "RFC 9110 11.6.1, [MS-RPCH] 2.1.2.1",
    ),
    KnownFailure(
        "wrong_password",
        lambda finding: (
            isinstance(finding.error, Unauthorized)
            and (finding.error.refused or finding.step == "autodiscover")
        ),
        "The server has heard user and password and does not take them: one of them is wrong, the account is "
        "locked, or it was banned for failing too often (Gromox: for a minute, after ten failures).",
        "Try user (address, or DOMAIN\\name) and password in a browser at the same address; wait before you "
        "try again.",
        "RFC 9110 15.5.2; Gromox",
    ),
    KnownFailure(
        "authentication_unfinished",
        http(401),
        "The server offers what was tried, but breaks off before it is finished: a proxy in between that "
        "does not keep connections does that to NTLM.",
        "Try --auth basic (over https), or connect behind the proxy.",
        "RFC 4559 6, [MS-NTHT] 3.1",
    ),
    KnownFailure(
        "client_certificate_refused",
        http(403, "Client Cert"),
        "The web server wants a client certificate for this path.",
        "Give --client-certificate.",
        "IIS substatus 403.7",
    ),
    KnownFailure(
        "forbidden",
        http(403),
        "The web server knows the user but does not let him use this path: TLS is required, Outlook Anywhere "
        "is disabled for the mailbox, or an address filter holds.",
        "Use https; enable it (Set-CASMailbox -MAPIBlockOutlookRpcHttp $false); see the web server's log.",
        "IIS substatus 403.4 and 403.6; Set-CASMailbox",
    ),
    KnownFailure(
        "no_rpc_proxy",
        http(404),
        "The web server has nothing at this path: no RPC proxy is installed there.",
        "Check that the target is the Outlook Anywhere host; install the feature RPC over HTTP Proxy, or let "
        "the reverse proxy pass /rpc.",
        "[MS-RPCH] 2.2.2",
    ),
    KnownFailure(
        "path_not_understood",
        http(400),
        "The web server does not understand the request's path or query.",
        "Choose the server's --dialect: Gromox takes its path in lower case only, and wants ?SERVER:PORT.",
        "Gromox, recorded in http-edges (mixed case path, no query)",
    ),
    KnownFailure(
        "method_not_allowed",
        lambda finding: isinstance(finding.error, HttpRefused) and finding.error.status in (405, 501),
        "A web server or proxy in between does not know the methods RPC_IN_DATA and RPC_OUT_DATA.",
        "Check that the path leads to an RPC proxy, and that proxies in between pass unknown methods.",
        "RFC 9110 15.5.6; [MS-RPCH] 2.1.2.1",
    ),
    KnownFailure(
        "request_timeout",
        http(408),
        "The web server waited for more of a request than came.",
        "A proxy in between may hold bodies back: it must pass requests on without buffering them.",
        "Gromox, http_conn_timeout; RFC 9110 15.5.9",
    ),
    KnownFailure(
        "too_large",
        http(413),
        "A web server or proxy in between does not allow bodies of one gigabyte, which channels announce.",
        "Raise its limit: requestFiltering maxAllowedContentLength in IIS, client_max_body_size in nginx.",
        "RFC 9110 15.5.14; [MS-RPCH] 2.1.2.1.2",
    ),
    KnownFailure(
        "server_unavailable",
        rpc_error(0x6BA),
        "The RPC proxy took the user, but got no connection to the server and port that it was asked for.",
        "Check the server's name (as the proxy resolves it), its services, and the proxy's ValidPorts.",
        "[MS-RPCH] 2.1.2.1.3, RPC_S_SERVER_UNAVAILABLE",
    ),
    KnownFailure(
        "server_too_busy",
        rpc_error(0x6BB),
        "The server behind the RPC proxy has too much to do.",
        "Try again later; look at its queues and limits.",
        "[MS-ERREF] 2.2, RPC_S_SERVER_TOO_BUSY",
    ),
    KnownFailure(
        "port_not_allowed",
        rpc_error(0x5, 0x6B5, 0x6A6),
        "The RPC proxy does not allow this server and port.",
        "Add server and port to its ValidPorts (HKLM\\Software\\Microsoft\\Rpc\\RpcProxy), by both names.",
        "white paper, ValidPorts; [MS-ERREF] 2.2, ERROR_ACCESS_DENIED",
    ),
    KnownFailure(
        "out_of_memory",
        rpc_error(0xE, 0x6B9),
        "The RPC proxy has no memory or no resources left for another connection.",
        "Give it fewer users, or more memory; see docs/limits.md.",
        "white paper, 61 KB a connection; ERROR_OUTOFMEMORY, RPC_S_OUT_OF_RESOURCES",
    ),
    KnownFailure(
        "rpc_error",
        _any_rpc_error,
        "The RPC proxy refuses with a Windows error code.",
        "Look the code up ('net helpmsg', as a decimal number), and read the proxy's event log.",
        "[MS-RPCH] 2.1.2.1.3",
    ),
    KnownFailure(
        "front_end_full",
        http(503, "L-202"),
        "All connection contexts of the server are in use, or were since it started.",
        "Raise context_num in http.cfg of Gromox and start it anew.",
        "Gromox",
    ),
    KnownFailure(
        "request_queue_full",
        http(503, "Service Unavailable"),
        "HTTP.sys answers by itself: the application pool is stopped, or its request queue is full.",
        "Start the application pool, or raise its queue length (1000) and its workers.",
        "white paper, HTTP.sys; httperr.log says QueueFull or AppOffline",
    ),
    KnownFailure(
        "bad_gateway",
        lambda finding: isinstance(finding.error, HttpRefused) and finding.error.status in (502, 504),
        "A reverse proxy answers, and does not reach the web server behind it.",
        "Check the reverse proxy's backend and its time-outs.",
        "RFC 9110 15.6.3 and 15.6.5",
    ),
    KnownFailure(
        "http_error",
        lambda finding: isinstance(finding.error, HttpRefused),
        "The web server refuses the request.",
        "Its log says why; --trace shows the whole conversation.",
        "RFC 9110 15",
    ),
    KnownFailure(
        "redirect_loop",
        text(RemoteProtocolError, "Autodiscover goes", "redirects in a circle"),
        "Servers send the client from one to another without end.",
        "Correct the redirects, or give --autodiscover off and what it would have told.",
        "[MS-OXDISCO] 3.1.5",
    ),
    KnownFailure(
        "autodiscover_refuses",
        _autodiscover_refuses,
        "The Autodiscover service answers, but says nothing of this mailbox.",
        "Check the mailbox address; or give server and DN in a users file with --autodiscover off.",
        "[MS-OXDSCLI] 2.2.4.1.1.3",
    ),
    KnownFailure(
        "no_autodiscover",
        in_steps(TransportError, "autodiscover"),
        "No Autodiscover service was found, or none that answers for this mailbox.",
        "Give its address with --autodiscover, or server and DN in a users file with --autodiscover off.",
        "[MS-OXDISCO] 3.1.5",
    ),
)
