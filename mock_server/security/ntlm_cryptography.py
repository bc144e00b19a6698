"""The cryptography of NTLM that hashlib does not have everywhere: MD4 and RC4."""

from Cryptodome.Cipher import ARC4
from Cryptodome.Hash import MD4


class Rc4:
    """One key stream."""

    __slots__ = ("_stream",)

    def __init__(self, key: bytes) -> None:
        self._stream = ARC4.new(key)

    def update(self, data: bytes) -> bytes:
        """``data`` exclusive-or the next bytes of the stream."""
        return self._stream.encrypt(data)


def nt_hash(password: str) -> bytes:
    """NTOWFv1 ([MS-NLMP] 3.3.1), 16 bytes."""
    return MD4.new(password.encode("utf-16-le")).digest()  # noqa: S303 - NTLM is what it is
