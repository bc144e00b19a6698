"""The cryptography of NTLM that neither hashlib nor hmac has everywhere: MD4 and RC4."""

from cryptography.hazmat.decrepit.ciphers.algorithms import ARC4
from cryptography.hazmat.primitives.ciphers import Cipher
from spnego._ntlm_raw.md4 import md4  # the only MD4 among our dependencies; OpenSSL 3 hides its own


class Rc4:
    """One key stream."""

    __slots__ = ("_stream",)

    def __init__(self, key: bytes) -> None:
        self._stream = Cipher(ARC4(key), mode=None).encryptor()

    def update(self, data: bytes) -> bytes:
        """``data`` exclusive-or the next bytes of the stream."""
        return self._stream.update(data)


def nt_hash(password: str) -> bytes:
    """NTOWFv1 ([MS-NLMP] 3.3.1), 16 bytes."""
    return md4(password.encode("utf-16-le"))
