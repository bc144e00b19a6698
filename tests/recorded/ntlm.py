"""NTLM by the formulas of [MS-NLMP] 3.3.2 and 3.4, with nothing of the generator or of pyspnego in it."""

import hmac
import struct
from hashlib import md5

from Cryptodome.Cipher import ARC4
from Cryptodome.Hash import MD4

PASSWORD = "Passw0rd!"


def proof_is_right(challenge: bytes, authenticate: bytes, password: str = PASSWORD) -> bool:
    """Whether the NTLMv2 response of AUTHENTICATE answers CHALLENGE."""
    return _proof(challenge, authenticate, password)[0] == _field(authenticate, 20)[:16]


def exported_key(challenge: bytes, authenticate: bytes, password: str = PASSWORD) -> bytes:
    """What both sides sign and seal with."""
    proof, key = _proof(challenge, authenticate, password)
    base = hmac.digest(key, proof, md5)
    encrypted = _field(authenticate, 52)
    return ARC4.new(base).decrypt(encrypted) if encrypted else base


def _proof(challenge: bytes, authenticate: bytes, password: str) -> tuple[bytes, bytes]:
    user = _field(authenticate, 36).decode("utf-16-le").upper() + _field(authenticate, 28).decode("utf-16-le")
    nt_hash = MD4.new(password.encode("utf-16-le")).digest()
    key = hmac.digest(nt_hash, user.encode("utf-16-le"), md5)
    return hmac.digest(key, challenge[24:32] + _field(authenticate, 20)[16:], md5), key


def _field(message: bytes, place: int) -> bytes:
    size, _, offset = struct.unpack_from("<HHI", message, place)
    return message[offset : offset + size]


class Direction:
    """One direction of a session with extended session security, 128 bit and key exchange."""

    def __init__(self, key: bytes, who: str) -> None:
        self._sign = md5(key + f"session key to {who} signing key magic constant\0".encode()).digest()
        self._rc4 = ARC4.new(
            md5(key + f"session key to {who} sealing key magic constant\0".encode()).digest()
        )
        self._number = 0

    def open(self, pdu: bytes) -> bytes:
        """The PDU in the clear, all of it accounted for by its signature."""
        auth_length = int.from_bytes(pdu[10:12], "little")
        assert auth_length == 16
        start = len(pdu) - 24
        body = pdu[24:start]
        if pdu[start + 1] == 6:
            body = self._rc4.decrypt(body)
        plain = pdu[:24] + body + pdu[start:-16]
        number = struct.pack("<I", self._number)
        checksum = self._rc4.encrypt(hmac.digest(self._sign, number + plain, md5)[:8])
        assert pdu[-16:] == b"\1\0\0\0" + checksum + number
        self._number += 1
        return plain + pdu[-16:]
