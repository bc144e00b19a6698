"""Who speaks on an HTTP connection: Basic, NTLM and Negotiate ([RFC 7617], [RFC 4559], [MS-NTHT])."""

from base64 import b64decode, b64encode
from collections import Counter
from collections.abc import Callable, Mapping
from time import monotonic
from typing import Final, Literal, TypeAlias

import msgspec

from loadgen.errors import PeerError, WireError
from loadgen.wire.http import parse_basic
from mock_server.counters import ProxyStatistics
from mock_server.dialect import HttpManners
from mock_server.security.accounts import Accounts, LogonProblem, LogonRefused
from mock_server.security.negotiation import Acceptor, SpnegoAcceptor
from mock_server.security.ntlm import NtlmAcceptor, NtlmServer

HttpScheme: TypeAlias = Literal["basic", "ntlm", "negotiate", "anonymous"]

_ACCEPTORS: Final[Mapping[str, Callable[[NtlmServer], Acceptor]]] = {
    "ntlm": NtlmAcceptor,
    "negotiate": SpnegoAcceptor,
}


class Verdict(msgspec.Struct, frozen=True):
    """What a request proves: the ``user``'s alias ("" for nobody in particular), or None.

    ``lines`` are headers for the answer: in a 401 what is asked for, else the last token of a negotiation.
    ``is_final`` says that credentials were shown and are of no use; ``by_password`` that they were a
    password.
    """

    user: str | None
    lines: tuple[str, ...] = ()
    is_final: bool = False
    by_password: bool = False


class HttpPolicy:
    """What all connections of a client access server have in common."""

    def __init__(
        self,
        schemes: tuple[HttpScheme, ...],
        server: NtlmServer,
        statistics: ProxyStatistics,
        manners: HttpManners = HttpManners(),  # noqa: B008 - frozen
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self.schemes = schemes
        self.server = server
        self.statistics = statistics
        self.manners = manners
        self.clock = clock
        self.banned: dict[str, float] = {}
        """Users who are refused whatever they show, and until when."""
        self._names = {"negotiate": "Negotiate", "ntlm": manners.ntlm}
        self._schemes = {
            name: scheme
            for scheme in schemes
            if scheme in self._names
            for name in (scheme, self.name(scheme).lower())
        }

    @property
    def accounts(self) -> Accounts:
        """Who may log on."""
        return self.server.accounts

    @property
    def offers(self) -> tuple[str, ...]:
        """The headers of a 401 that begins anew, in the order of IIS: the strongest first."""
        offers = [f"WWW-Authenticate: {name}" for key, name in self._names.items() if key in self.schemes]
        if "basic" in self.schemes:
            offers.append(f'WWW-Authenticate: Basic realm="{self.manners.realm or self.server.domain}"')
        return tuple(offers)

    def scheme(self, name: str) -> str:
        """The scheme that clients call ``name`` in an ``Authorization`` header, "" if it isn't taken."""
        if name.lower() == "basic":
            return "basic" if "basic" in self.schemes else ""
        return self._schemes.get(name.lower(), "")

    def name(self, scheme: str) -> str:
        """What a scheme is called in headers."""
        return self._names[scheme]

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
        self._failures: Counter[str] = Counter()

    def check(self, authorization: str | None) -> Verdict:
        """What a request proves whose ``Authorization`` header is this, or is missing."""
        if authorization is None:
            return self._refuse(None) if self._user is None else Verdict(self._user)
        scheme, _, credentials = authorization.partition(" ")
        try:
            return self._check(self._policy.scheme(scheme), credentials, authorization)
        except LogonRefused as refusal:
            return self._refuse(refusal.problem)
        except PeerError:
            return self._refuse(LogonProblem.BAD_TOKEN)

    def _check(self, scheme: str, credentials: str, authorization: str) -> Verdict:
        if not scheme:
            return self._refuse(None) if self._anybody is None else Verdict(self._anybody)
        if scheme == "basic":
            return Verdict(self._log_on(*parse_basic(authorization)), by_password=True)
        try:
            token = b64decode(credentials.strip(), validate=True)
        except ValueError:
            raise WireError("Authorization", len(scheme) + 1, "not base64") from None
        return self._step(scheme, token)

    def _log_on(self, name: str, password: str) -> str:
        """The alias of the user; whoever has tried too often is banned for a while."""
        policy, manners = self._policy, self._policy.manners
        if policy.banned.get(name, 0.0) > policy.clock():
            raise LogonRefused(LogonProblem.WRONG_PASSWORD)
        try:
            return policy.accounts.log_on(name, password).alias
        except LogonRefused:
            self._failures[name] += 1
            if self._failures[name] == manners.failures_to_ban:
                policy.banned[name] = policy.clock() + manners.ban_s
            raise

    def _step(self, scheme: str, token: bytes) -> Verdict:
        """A leg of a negotiation; the first one may come at any time."""
        acceptor = self._acceptor or _ACCEPTORS[scheme](self._policy.server)
        answer = acceptor.step(token)
        text = f" {b64encode(answer).decode('ascii')}" if answer else ""
        line = f"WWW-Authenticate: {self._policy.name(scheme)}{text}"
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
        return Verdict(None, self._policy.offers, is_final=problem is not None)
