"""How a channel proves who the user is to the web server ([MS-RPCH] 2.1.2.1, RFC 9110 section 11, RFC 4559).

Each channel authenticates for itself, a successor anew. Which scheme to use is tried in the order of
:func:`candidates`, each on connections of its own, as a server may close those that it has refused.
"""

import re
from base64 import b64decode, b64encode
from collections.abc import Iterable, Iterator, Sequence
from typing import Final, Literal, Protocol, TypeAlias

from msgspec import Struct

from loadgen.errors import RemoteProtocolError, Unauthorized, WireError
from loadgen.protocol.credentials import Credentials
from loadgen.protocol.security_context import Mechanism, SecurityContext, missing_ticket
from loadgen.wire import spnego
from loadgen.wire.http import basic_authorization

HttpScheme: TypeAlias = Literal["negotiate", "ntlm", "basic", "anonymous"]
STRONGEST_FIRST: Final[tuple[HttpScheme, ...]] = ("negotiate", "ntlm", "basic")
"""What is tried if nothing else is said."""

_SERVICE: Final = "HTTP"
_AUTHENTICATE: Final = b"NTLMSSP\0\3"
"""In SPNEGO the server has a word more to say after this, which may come with the answer that opens."""
_TOKEN: Final = re.compile(r"(?:^|,)\s*(NTLM|Negotiate)\s+([A-Za-z0-9+/]+=*)\s*(?=,|$)", re.IGNORECASE)
_QUOTED = re.compile(r'"[^"]*"')
_SCHEME = re.compile(r"(?:^|,)\s*([^\s,=\"]+)(?=\s*(?:,|$)|\s+[^=\s])")


class Leg(Struct, frozen=True, gc=False):
    """One request. Only the final one announces a body: the connection must be free after the others."""

    authorization: str | None
    final: bool


class Authentication(Protocol):
    """The client's side of one scheme, for one channel."""

    def bind(self, end_point: bytes) -> None:
        """The channel runs over TLS, to the owner of this certificate."""

    def first_leg(self) -> Leg:
        """What the first request carries."""

    def answer(self, challenges: tuple[str, ...]) -> Leg | None:
        """The next leg after a 401 with these ``WWW-Authenticate`` values; None if there is none.

        Raises :class:`RemoteProtocolError` for a challenge that makes no sense, and :class:`Unauthorized` if
        the server says that it knows nothing of what it was told.
        """


class _Unconditional:
    """One leg that always says the same. It keeps no state, so the channels of a user can share it."""

    __slots__ = ("_leg",)

    def __init__(self, authorization: str | None) -> None:
        self._leg = Leg(authorization, final=True)

    def bind(self, end_point: bytes) -> None:
        """It makes no difference."""

    def first_leg(self) -> Leg:
        """The one and only leg."""
        return self._leg

    def answer(self, challenges: tuple[str, ...]) -> None:
        """Nothing: there is no more to say."""


class AnonymousAuthentication(_Unconditional):
    """No word of who it is; the server may know by a client certificate."""

    __slots__ = ()

    def __init__(self) -> None:
        super().__init__(None)


class BasicAuthentication(_Unconditional):
    """HTTP Basic, sent before it is asked for."""

    __slots__ = ()

    def __init__(self, user: str, password: str) -> None:
        super().__init__(basic_authorization(user, password))


class TokenAuthentication:
    """NTLM or Negotiate: legs without body, each answered by 401, until the last one ([MS-NTHT] 2.2.1).

    A server may challenge in the name of the other scheme: Gromox offers raw NTLM as Negotiate. A Kerberos
    token is final at once. Channel bindings go into what answers a challenge, so never with Kerberos.
    """

    __slots__ = ("_context", "_credentials", "_end_point", "_host", "_name")

    def __init__(self, name: str, mechanism: Mechanism, credentials: Credentials, host: str) -> None:
        self._name = name
        self._credentials = credentials
        self._host = host
        self._context = SecurityContext(mechanism, credentials, _SERVICE, host)
        self._end_point = b""

    def bind(self, end_point: bytes) -> None:
        """What NTLM will say of the certificate, to servers with Extended Protection."""
        self._end_point = end_point

    def first_leg(self) -> Leg:
        """The first token, before any challenge."""
        return self._leg(self._context.first_token(), final=self._context.has_ticket)

    def answer(self, challenges: tuple[str, ...]) -> Leg | None:
        """The leg that answers the challenge, if there is one; the last token is sent with the body."""
        token = next(_tokens(challenges), None)
        if token is None or self._context.complete:
            return None
        if _is_rejection(token):
            self._rejected(challenges)
            return None
        said = self._context.answer(token, self._end_point)
        return self._leg(said, final=_AUTHENTICATE in said or self._context.complete)

    def _rejected(self, challenges: tuple[str, ...]) -> None:
        """A refused ticket leaves no more to say; a refused NTLM is refused whoever the user is."""
        if self._context.has_ticket:
            return
        missing = missing_ticket(self._credentials, _SERVICE, self._host)
        others = tuple(name for name in schemes(challenges) if name.lower() != self._name.lower())
        why = f"{self._name} takes no NTLM here, and there is no Kerberos: {missing}"
        raise Unauthorized("Unauthorized", others, why=why)

    def _leg(self, token: bytes, *, final: bool) -> Leg:
        return Leg(f"{self._name} {b64encode(token).decode('ascii')}", final)


class Candidate(Struct, frozen=True, gc=False):
    """One way to authenticate: what is said under which name."""

    scheme: HttpScheme
    name: str

    def authentication(self, credentials: Credentials, host: str) -> Authentication:
        """The client's side of it, for a channel to ``host``."""
        if self.scheme == "anonymous":
            return AnonymousAuthentication()
        if self.scheme == "basic":
            return BasicAuthentication(credentials.name, credentials.password)
        return TokenAuthentication(self.name, self.scheme, credentials, host)


_NAMES: Final[dict[HttpScheme, tuple[str, ...]]] = {
    "negotiate": ("Negotiate",),
    "ntlm": ("NTLM", "Negotiate"),
    "basic": ("Basic",),
    "anonymous": ("",),
}


def candidates(preferred: Sequence[HttpScheme], wanted: HttpScheme | None = None) -> tuple[Candidate, ...]:
    """What to try, in this order, but what the server is known to want before all else.

    NTLM goes by two names, since some servers know it as Negotiate alone.
    """
    order = sorted(preferred, key=lambda scheme: scheme != wanted)
    return tuple(Candidate(scheme, name) for scheme in order for name in _NAMES[scheme])


def still_possible(left: Iterable[Candidate], offered: Sequence[str]) -> tuple[Candidate, ...]:
    """Those candidates that a server has not ruled out by what it offers in a 401."""
    names = {name.lower() for name in offered}
    return tuple(candidate for candidate in left if candidate.name.lower() in names)


def _tokens(challenges: tuple[str, ...]) -> Iterator[bytes]:
    for value in challenges:
        for match in _TOKEN.finditer(_QUOTED.sub('""', value)):
            try:
                yield b64decode(match[2], validate=True)
            except ValueError:
                raise RemoteProtocolError(f"the challenge of {match[1]} is not base64") from None


def _is_rejection(token: bytes) -> bool:
    """Whether a server ends SPNEGO without a word of any mechanism ([RFC 4178] 4.2.2)."""
    try:
        said = spnego.decode(token)
    except WireError:
        return False
    return (
        isinstance(said, spnego.NegTokenResp) and said.neg_state == spnego.REJECT and not said.response_token
    )


def schemes(challenges: tuple[str, ...]) -> tuple[str, ...]:
    """The names of the schemes in ``WWW-Authenticate`` values, one or several to a value."""
    return tuple(scheme for value in challenges for scheme in _SCHEME.findall(_QUOTED.sub('""', value)))
