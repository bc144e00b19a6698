"""Who speaks on an HTTP connection: Basic, NTLM and Negotiate ([RFC 7617], [RFC 4559], [MS-NTHT])."""

from base64 import b64decode, b64encode
from collections.abc import Callable, Mapping
from typing import Final, Literal, TypeAlias

import msgspec

from loadgen.errors import PeerError, WireError
from loadgen.wire.http import parse_basic
from mock_server.accounts import Accounts, LogonProblem, LogonRefused
from mock_server.counters import ProxyStatistics
from mock_server.negotiation import Acceptor, SpnegoAcceptor
from mock_server.ntlm import NtlmAcceptor, NtlmServer

HttpScheme: TypeAlias = Literal["basic", "ntlm", "negotiate", "anonymous"]

_ACCEPTORS: Final[Mapping[str, Callable[[NtlmServer], Acceptor]]] = {
    "ntlm": NtlmAcceptor,
    "negotiate": SpnegoAcceptor,
}
_NAMES: Final = {"negotiate": "Negotiate", "ntlm": "NTLM"}


class Verdict(msgspec.Struct, frozen=True):
    """What a request proves: the ``user``'s alias ("" for nobody in particular), or None.

    ``lines`` are headers for the answer: in a 401 what is asked for, else the last token of a negotiation.
    """

    user: str | None
    lines: tuple[str, ...] = ()


class HttpPolicy:
    """What all connections of a client access server have in common."""

    def __init__(
        self, schemes: tuple[HttpScheme, ...], server: NtlmServer, statistics: ProxyStatistics
    ) -> None:
        self.schemes = schemes
        self.server = server
        self.statistics = statistics

    @property
    def accounts(self) -> Accounts:
        """Who may log on."""
        return self.server.accounts

    @property
    def offers(self) -> tuple[str, ...]:
        """The headers of a 401 that begins anew, in the order of IIS: the strongest first."""
        offers = [f"WWW-Authenticate: {name}" for scheme, name in _NAMES.items() if scheme in self.schemes]
        if "basic" in self.schemes:
            offers.append(f'WWW-Authenticate: Basic realm="{self.server.domain}"')
        return tuple(offers)

    def connection(self) -> "HttpAuthentication":
        """A new connection."""
        return HttpAuthentication(self)


class HttpAuthentication:
    """One connection: whoever has proven themselves by NTLM is believed until it ends."""

    def __init__(self, policy: HttpPolicy) -> None:
        self._policy = policy
        self._acceptor: Acceptor | None = None
        self._anybody = "" if "anonymous" in policy.schemes else None
        self._user = self._anybody

    def check(self, authorization: str | None) -> Verdict:
        """What a request proves whose ``Authorization`` header is this, or is missing."""
        if authorization is None:
            return self._refuse(None) if self._user is None else Verdict(self._user)
        scheme, _, credentials = authorization.partition(" ")
        try:
            return self._check(scheme.lower(), credentials, authorization)
        except LogonRefused as refusal:
            return self._refuse(refusal.problem)
        except PeerError:
            return self._refuse(LogonProblem.BAD_TOKEN)

    def _check(self, scheme: str, credentials: str, authorization: str) -> Verdict:
        if scheme not in self._policy.schemes:
            return self._refuse(None) if self._anybody is None else Verdict(self._anybody)
        if scheme == "basic":
            return Verdict(self._policy.accounts.log_on(*parse_basic(authorization)).alias)
        try:
            token = b64decode(credentials.strip(), validate=True)
        except ValueError:
            raise WireError("Authorization", len(scheme) + 1, "not base64") from None
        return self._step(scheme, token)

    def _step(self, scheme: str, token: bytes) -> Verdict:
        """A leg of a negotiation; the first one may come at any time."""
        acceptor = self._acceptor or _ACCEPTORS[scheme](self._policy.server)
        answer = acceptor.step(token)
        text = f" {b64encode(answer).decode('ascii')}" if answer else ""
        line = f"WWW-Authenticate: {_NAMES[scheme]}{text}"
        if not acceptor.complete:
            self._acceptor = acceptor
            return Verdict(None, (line,))
        self._acceptor = None
        if acceptor.user is None:
            raise LogonRefused(LogonProblem.UNKNOWN_USER)
        self._user = acceptor.user.alias
        return Verdict(self._user, (line,) if answer else ())

    def _refuse(self, problem: LogonProblem | None) -> Verdict:
        """Nobody speaks from now on; ``problem`` None is a request that only asks what is offered."""
        self._acceptor = None
        self._user = self._anybody
        self._policy.statistics.unauthorized += 1
        if problem is not None:
            self._policy.statistics.refused_logons[problem.name] += 1
        return Verdict(None, self._policy.offers)
