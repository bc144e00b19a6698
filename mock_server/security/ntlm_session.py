"""Signing and sealing under an NTLM session key, with extended session security ([MS-NLMP] 3.4)."""

import hmac
from hashlib import md5
from typing import Final

from loadgen.errors import RemoteProtocolError
from loadgen.wire.ntlm import NEGOTIATE_56, NEGOTIATE_128, NEGOTIATE_KEY_EXCH, MessageSignature
from mock_server.security.ntlm_cryptography import Rc4

TOKEN_SIZE: Final = 16

_FROM_CLIENT: Final = b"client-to-server"
_FROM_SERVER: Final = b"server-to-client"


class BadSignature(RemoteProtocolError):
    """A token that does not fit the bytes it came with, or their turn."""


class Direction:
    """What one side sends: its keys, its key stream and its sequence numbers."""

    def __init__(self, key: bytes, flags: int, name: bytes) -> None:
        self._signing_key = _derived(key, name, b"signing")
        self._sealing_key = _derived(_weakened(key, flags), name, b"sealing")
        self._encrypts_checksum = bool(flags & NEGOTIATE_KEY_EXCH)
        self._number = 0
        self.restart_stream()

    def restart_stream(self) -> None:
        """As after SPNEGO's mechListMIC, which keeps its sequence number, but nothing of the stream."""
        self._stream = Rc4(self._sealing_key)

    def crypt(self, body: bytes) -> bytes:
        """Seal or unseal what is next, before its token is made."""
        return self._stream.update(body)

    def token(self, message: bytes) -> bytes:
        """The token of the next message, from its plain text."""
        number = self._number
        self._number = number + 1 & 0xFFFFFFFF
        checksum = hmac.digest(self._signing_key, number.to_bytes(4, "little") + message, "md5")[:8]
        if self._encrypts_checksum:
            checksum = self._stream.update(checksum)
        return MessageSignature(checksum, number).encode()

    def check(self, message: bytes, token: bytes) -> None:
        """Raises :class:`BadSignature` unless ``token`` is that of the next message."""
        if not hmac.compare_digest(self.token(message), token):
            raise BadSignature("a wrong NTLM signature")


class NtlmSession:
    """Both directions, as the server sees them."""

    def __init__(self, key: bytes, flags: int) -> None:
        self.incoming = Direction(key, flags, _FROM_CLIENT)
        self.outgoing = Direction(key, flags, _FROM_SERVER)


def _weakened(key: bytes, flags: int) -> bytes:
    """What of the session key sealing keys are made of ([MS-NLMP] 3.4.5.3)."""
    if flags & NEGOTIATE_128:
        return key
    return key[:7] if flags & NEGOTIATE_56 else key[:5]


def _derived(key: bytes, direction: bytes, use: bytes) -> bytes:
    magic = b"session key to %b %b key magic constant\0" % (direction, use)
    return md5(key + magic, usedforsecurity=False).digest()
