"""What one make of server does otherwise than another, as data: whoever does a thing looks here how.

The defaults are those of Exchange 2007 behind IIS. What is said of Gromox was seen on a running 3.10;
each table holds the part of it that clients can notice.
"""

from collections.abc import Mapping
from typing import Final, Literal, TypeAlias

from msgspec import Struct

from loadgen.wire.properties import (
    PidTagAddressType,
    PidTagDisplayName,
    PidTagEmailAddress,
    PidTagEntryId,
    PidTagSendRichInfo,
    PropertyTag,
)

DialectName: TypeAlias = Literal["exchange2007", "gromox"]


class Naming(Struct, frozen=True):
    r"""What users and servers are called.

    ``common_name`` is a format string for the last part of a user's DN: of ``alias``, and of ``number``,
    which is the user's number from 1 as 8 hexadecimal digits, lowest byte first. With ``own_servers`` each
    user's server has a name of its own, ``<GUID>@<domain>``. Without ``domain_names`` nobody logs on as
    ``DOMAIN\name``.
    """

    common_name: str = "{alias}"
    own_servers: bool = False
    domain_names: bool = True


class HttpManners(Struct, frozen=True):
    """How channels are asked for and refused.

    With ``exact_paths`` the case of paths counts, and what is not a channel's path is answered with 400.
    Requests shorter than ``shortest_echo`` bytes get no answer. With ``hears_out`` a wrong password is
    refused only ``refusal_delay_s`` after the whole announced body has come, and whoever shows none is cut
    off at once. After ``failures_to_ban`` refusals on a connection its user is refused for ``ban_s`` seconds.
    ``ntlm`` is the name under which NTLM is offered; ``realm`` None is the domain. ``timeout_reply`` goes out
    before a connection is closed that is silent for too long.
    """

    exact_paths: bool = False
    expects_continue: bool = True
    shortest_echo: int = 0
    hears_out: bool = False
    refusal_delay_s: float = 0.0
    failures_to_ban: int = 0
    ban_s: float = 0.0
    ntlm: str = "NTLM"
    realm: str | None = None
    timeout_reply: bytes = b""


class ProxyManners(Struct, frozen=True):
    """What the proxy roles of [MS-RPCH] do with channels.

    ``says_why``: refusals are answered by an RPC error, else by the end of the connection. With
    ``drops_excess`` bytes beyond an IN channel's Content-Length are ignored. With ``echoes_window`` CONN/C2
    announces the client's own window. An OUT channel waits ``partner_s`` seconds for its IN channel, if not
    0. With ``keepalive_pings`` clients are pinged at half their own keep-alive interval, which is at least a
    minute, else at half the connection timeout. Recycling of the OUT channel begins
    ``recycle_early`` bytes before its end, or half-way if that is later.
    """

    says_why: bool = True
    drops_excess: bool = False
    echoes_window: bool = False
    partner_s: float = 0.0
    keepalive_pings: bool = False
    recycle_early: int = 0


class RpcManners(Struct, frozen=True):
    """How binds are answered and calls refused; statuses are those of fault PDUs.

    With ``one_context`` only the first presentation context of a bind counts, in whatever transfer syntax.
    ``trailer`` follows the results of a bind. With ``fixed_fragment`` clients may send ``max_fragment`` bytes
    whatever they offer. A call before the bind is answered with ``unbound``, or ends the connection if that
    is None. With ``bare_faults`` these name neither context nor length, nor whether the call was carried out.
    With ``cancel_clears`` a CO_CANCEL takes all presentation contexts. With ``shared_handles`` context
    handles are good on each connection, and outlive them. With ``basic_alone`` RPC security needs a password,
    which HTTP Basic has brought. ``http_user``: who logged on at HTTP is whose calls without security are.
    """

    max_fragment: int = 5840
    fixed_fragment: bool = False
    one_context: bool = False
    trailer: bytes = b""
    handle_attributes: int = 0
    opnum_out_of_range: int = 0x1C010002
    unknown_context: int = 0x1C00001C
    bare_faults: bool = False
    unbound: int | None = None
    cancel_clears: bool = False
    shared_handles: bool = False
    spnego: bool = True
    basic_alone: bool = False
    http_user: bool = False


class StoreManners(Struct, frozen=True):
    """What EMSMDB answers; codes are return values of calls.

    ``dn_prefix`` None is the one that all users' names begin with. ``aux_out`` is the whole auxiliary buffer
    of EcDoConnectEx, b"" what Exchange tells. With ``plain`` answers are neither compressed nor obfuscated.
    Mail arrives ``delivery_s`` seconds after it was submitted. ``unknown_handle`` None is a fault.
    ``refused_columns`` may not stand among those of recipients, and ``refused_code_pages`` not in
    EcDoConnectEx.
    """

    dn_prefix: str | None = None
    plain: bool = False
    aux_out: bytes = b""
    unknown_user: int = 0x3EB
    nobody: int = 0x3EB
    unknown_handle: int | None = None
    refused_code_pages: frozenset[int] = frozenset()
    refused_columns: frozenset[PropertyTag] = frozenset()
    delivery_s: float = 0.0


class Dialect(Struct, frozen=True):
    """All of it. With ``one_process`` the front end is the whole server, and names in requests are free."""

    naming: Naming = Naming()
    http: HttpManners = HttpManners()
    proxy: ProxyManners = ProxyManners()
    rpc: RpcManners = RpcManners()
    store: StoreManners = StoreManners()
    one_process: bool = False


_EMPTY_VERIFIER: Final = bytes(8)
_AUX_OUT: Final = bytes.fromhex(
    "0000 0400 1c00 1c00 0800 0117 03000000 0c00 010a 0c000000 00840c24 0800 0148 01000000"
)
"""AUX_EXORGINFO, AUX_CLIENT_CONTROL and AUX_ENDPOINT_CAPABILITIES behind their RPC_HEADER_EXT."""

_REQUEST_TIMEOUT: Final = b"HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"

DIALECTS: Final[Mapping[DialectName, Dialect]] = {
    "exchange2007": Dialect(),
    "gromox": Dialect(
        naming=Naming(common_name="01000000{number}-{alias}", own_servers=True, domain_names=False),
        http=HttpManners(
            exact_paths=True,
            expects_continue=False,
            shortest_echo=1,
            hears_out=True,
            refusal_delay_s=1.0,
            failures_to_ban=10,
            ban_s=60.0,
            ntlm="Negotiate",
            realm="msrpc realm",
            timeout_reply=_REQUEST_TIMEOUT,
        ),
        proxy=ProxyManners(
            says_why=False,
            drops_excess=True,
            echoes_window=True,
            partner_s=10.0,
            keepalive_pings=True,
            recycle_early=64 << 20,
        ),
        rpc=RpcManners(
            max_fragment=8192,
            fixed_fragment=True,
            one_context=True,
            trailer=_EMPTY_VERIFIER,
            handle_attributes=2,
            opnum_out_of_range=0x6F7,
            unknown_context=0x1C010003,
            bare_faults=True,
            unbound=5,
            cancel_clears=True,
            shared_handles=True,
            spnego=False,
            basic_alone=True,
            http_user=True,
        ),
        store=StoreManners(
            dn_prefix="",
            plain=True,
            aux_out=_AUX_OUT,
            unknown_user=0x80040115,
            nobody=0x80070005,
            unknown_handle=0x80004005,
            refused_code_pages=frozenset((1200,)),
            refused_columns=frozenset(
                (
                    PidTagSendRichInfo,
                    PidTagAddressType,
                    PidTagDisplayName,
                    PidTagEmailAddress,
                    PidTagEntryId,
                )
            ),
            delivery_s=1.0,
        ),
        one_process=True,
    ),
}
"""By the name that a topology's ``dialect`` has."""
