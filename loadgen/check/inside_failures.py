"""What can go wrong inside the firewall, between a server's name and the port of a service.

Sources as in :mod:`web_failures`.
"""

from collections.abc import Callable
from typing import Final

from loadgen.check.finding import FOR_A_MOCK, Finding, KnownFailure, text
from loadgen.errors import BindRefused, ConnectionLost, PeerError, TimedOut, TransportError, WireError


def _at(begin: str, fits: Callable[[Finding], bool]) -> Callable[[Finding], bool]:
    """A failure of a step that begins so."""
    return lambda finding: finding.step.startswith(begin) and fits(finding)


def _is(*kinds: type[PeerError]) -> Callable[[Finding], bool]:
    return lambda finding: isinstance(finding.error, kinds)


_REFUSED: Final = text(TransportError, "Connection refused")
_SILENCE: Final = text(TimedOut, "no TCP connection within")

INSIDE_FAILURES: Final = (
    KnownFailure(
        "mapper_refused",
        _at("mapper_", _REFUSED),
        "The machine answers, but has no endpoint mapper, or a firewall refuses its port.",
        "Check the server's name, that its service RPC (RpcSs) runs, and tcp.endpoint_mapper of --dialect; "
        f"with static ports there (tcp.store …) no mapper is asked. {FOR_A_MOCK}",
        "[MS-RPCE] 2.1.1.1, port 135; connect(2), ECONNREFUSED",
    ),
    KnownFailure(
        "mapper_timeout",
        _at("mapper_", _SILENCE),
        "Nobody answers at the endpoint mapper's port: a firewall drops packets to it, or nobody is there.",
        "Let port 135 pass from this machine; from outside the network use a client type over HTTP.",
        "[MS-RPCE] 2.1.1.1, port 135; connect(2), ETIMEDOUT",
    ),
    KnownFailure(
        "endpoint_not_registered",
        _at("map_", text(BindRefused, "the endpoint mapper has no port")),
        "The server has an endpoint mapper, but nobody has told it of this service.",
        "Check that it is the right server (mailbox_server, public_folder_server), and that the service runs "
        "there: Information Store for mail, System Attendant for referral, Active Directory for the "
        "directory.",
        "[C706] appendix O, ept_s_not_registered (0x16C9A0D6)",
    ),
    KnownFailure(
        "no_endpoint_mapper",
        _at("map_", _is(ConnectionLost, BindRefused, WireError)),
        "What listens on the endpoint mapper's port is no endpoint mapper, or does not let this machine ask.",
        "Check the server's name and tcp.endpoint_mapper of --dialect; --trace shows the answer.",
        "[C706] appendix O, [MS-RPCE] 2.2.1.2",
    ),
    KnownFailure(
        "endpoint_refused",
        _at("tcp_", _REFUSED),
        "Nothing listens on the port of the service: it was stopped after it had told the endpoint mapper, "
        "or the static port is another one.",
        "Start the service anew; compare tcp.store, tcp.referral and tcp.directory of --dialect with the "
        "server's registry (TCP/IP Port).",
        "connect(2), ECONNREFUSED; KB270836",
    ),
    KnownFailure(
        "endpoint_timeout",
        _at("tcp_", _SILENCE),
        "The endpoint mapper answers, but the port that it tells does not: a firewall drops packets to it.",
        "Let dynamic ports pass (1025 to 5000, from Windows Server 2008 on 49152 to 65535), or make the "
        "server's ports static and let those pass.",
        "connect(2), ETIMEDOUT; KB270836, KB929851",
    ),
)
