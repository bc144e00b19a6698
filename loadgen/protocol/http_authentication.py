"""How a channel proves who the user is to the web server ([MS-RPCH] 2.1.2.1, RFC 9110 section 11)."""

import re
from typing import Protocol

from msgspec import Struct

from loadgen.wire.http import basic_authorization

_QUOTED = re.compile(r'"[^"]*"')
_SCHEME = re.compile(r"(?:^|,)\s*([^\s,=\"]+)(?=\s*(?:,|$)|\s+[^=\s])")


class Leg(Struct, frozen=True, gc=False):
    """One request. Only the final one announces a body: the connection must be free after the others."""

    authorization: str | None
    final: bool


class Authentication(Protocol):
    """The client's side of one scheme, for one channel."""

    def first_leg(self) -> Leg:
        """What the first request carries."""

    def answer(self, challenges: tuple[str, ...]) -> Leg | None:
        """The next leg after a 401 with these ``WWW-Authenticate`` values; None if there is none."""


class BasicAuthentication:
    """HTTP Basic, sent before it is asked for. It keeps no state, so the channels of a user can share one."""

    __slots__ = ("_leg",)

    def __init__(self, user: str, password: str) -> None:
        self._leg = Leg(basic_authorization(user, password), final=True)

    def first_leg(self) -> Leg:
        """The one and only leg."""
        return self._leg

    def answer(self, challenges: tuple[str, ...]) -> None:
        """Nothing: the credentials have been refused."""


def schemes(challenges: tuple[str, ...]) -> tuple[str, ...]:
    """The names of the schemes in ``WWW-Authenticate`` values, one or several to a value."""
    return tuple(scheme for value in challenges for scheme in _SCHEME.findall(_QUOTED.sub('""', value)))
