"""Who may log on to the mock, and what a wrong attempt is called."""

from enum import Enum
from functools import cached_property

from loadgen.errors import PeerError
from mock_server.directory import Directory, Entry
from mock_server.security.ntlm_cryptography import nt_hash


class LogonProblem(Enum):
    """Why nobody was logged on: the NTSTATUS values that a domain controller answers."""

    UNKNOWN_USER = 0xC0000064
    WRONG_PASSWORD = 0xC000006A
    PASSWORD_EXPIRED = 0xC0000071
    BAD_TOKEN = 0xC000000D


class LogonRefused(PeerError):
    """Nobody was logged on. Clients hear the same whatever the problem was; counters tell them apart."""

    outcome = "unauthorized"

    def __init__(self, problem: LogonProblem) -> None:
        super().__init__(f"{problem.name.lower()} (0x{problem.value:08X})")
        self.problem = problem


class Accounts:
    """The users of the directory, who share one password; those in ``expired`` should have changed it."""

    def __init__(self, directory: Directory, password: str, expired: frozenset[int] = frozenset()) -> None:
        self._directory = directory
        self._password = password
        self._expired = expired
        domain = directory.organisation.domain
        self._domains = frozenset(("", netbios_domain(domain).lower(), domain.lower()))

    @cached_property
    def nt_hash(self) -> bytes:
        """What NTLM knows a password by ([MS-NLMP] 3.3.1)."""
        return nt_hash(self._password)

    def find(self, user: str, domain: str = "") -> Entry:
        """The user whom a client calls so; raises :class:`LogonRefused`."""
        found = self._directory.by_logon_name(user)
        if found is None or domain.lower() not in self._domains:
            raise LogonRefused(LogonProblem.UNKNOWN_USER)
        return found

    def check(self, user: Entry, *, proven: bool) -> Entry:
        """``user``, if the password is ``proven`` and has not expired; raises :class:`LogonRefused`."""
        if not proven:
            raise LogonRefused(LogonProblem.WRONG_PASSWORD)
        if user.index in self._expired:
            raise LogonRefused(LogonProblem.PASSWORD_EXPIRED)
        return user

    def log_on(self, name: str, password: str) -> Entry:
        """The user who gives their password itself; raises :class:`LogonRefused`."""
        return self.check(self.find(name), proven=password == self._password)


def netbios_domain(domain: str) -> str:
    """The short name of a DNS domain, as it stands before the backslash of a logon name."""
    return domain.partition(".")[0].upper()[:15]
