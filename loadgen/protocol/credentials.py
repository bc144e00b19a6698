"""Who a client says that it is, and what proves it."""

from functools import lru_cache

from Cryptodome.Hash import MD4
from msgspec import Struct


class Credentials(Struct, frozen=True, gc=False):
    """A user and a secret, the password or what NTLM makes of it, which no representation shows."""

    user: str
    """``name``, ``DOMAIN\\name`` or a user principal name."""
    password: str
    domain: str = ""
    nt_hash: bytes = b""
    """The 16 bytes that NTLM makes of a password; b"" if they are still to be made of it."""

    def __repr__(self) -> str:
        return f"Credentials(user={self.user!r})"

    @property
    def name(self) -> str:
        """The user together with the domain, where there is one."""
        return f"{self.domain}\\{self.user}" if self.domain and "\\" not in self.user else self.user

    @property
    def principal(self) -> str:
        """The user as Kerberos has it: the realm, if it is not this machine's own, in capitals.

        A domain without a dot is no realm's name.
        """
        domain, _, user = self.name.rpartition("\\")
        name, _, suffix = user.partition("@")
        realm = suffix or (domain if "." in domain else "")
        return f"{name}@{realm.upper()}" if realm else name

    @property
    def key(self) -> bytes:
        """NTOWFv1 of the password ([MS-NLMP] 3.3.1), made once in a process for each."""
        return self.nt_hash or _nt_hash(self.password)


@lru_cache(maxsize=1 << 16)
def _nt_hash(password: str) -> bytes:
    return MD4.new(password.encode("utf-16-le")).digest()  # noqa: S303 - NTLM is what it is
