"""NTLM as a server speaks it ([MS-NLMP] 3.2): a challenge, and what the answer to it proves.

Proofs are verified over the bytes as they were received, since clients differ in how they end the blob.
"""

import hmac
import os
from collections.abc import Callable
from time import time
from typing import Final

import msgspec

from loadgen.errors import RemoteProtocolError, WireError
from loadgen.wire import ntlm
from loadgen.wire.buffer import encode_utf16
from loadgen.wire.ntlm import Authenticate, AvId, AvPair, Challenge, Negotiate, NtlmV2Response, text_pair
from mock_server.directory import Entry
from mock_server.security.accounts import Accounts, LogonProblem, LogonRefused, netbios_domain
from mock_server.security.ntlm_cryptography import Rc4
from mock_server.security.ntlm_session import NtlmSession

_UNIX_EPOCH: Final = 116_444_736_000_000_000
_GRANTED: Final = (
    ntlm.REQUEST_TARGET
    | ntlm.NEGOTIATE_SIGN
    | ntlm.NEGOTIATE_SEAL
    | ntlm.NEGOTIATE_NTLM
    | ntlm.NEGOTIATE_ALWAYS_SIGN
    | ntlm.NEGOTIATE_EXTENDED_SESSIONSECURITY
    | ntlm.NEGOTIATE_VERSION
    | ntlm.NEGOTIATE_128
    | ntlm.NEGOTIATE_KEY_EXCH
    | ntlm.NEGOTIATE_56
)
_TOLD: Final = ntlm.TARGET_TYPE_DOMAIN | ntlm.NEGOTIATE_TARGET_INFO
_WINDOWS_2008_R2: Final = bytes.fromhex("0601b11d0000000f")
_ANONYMOUS_KEY: Final = bytes(16)


class NtlmServer(msgspec.Struct, frozen=True):
    """What a server tells of itself in each challenge, and whom it knows.

    ``challenge`` makes 8 random bytes, ``clock`` seconds since 1970.
    """

    accounts: Accounts
    computer: str
    domain: str
    challenge: Callable[[], bytes] = lambda: os.urandom(8)
    clock: Callable[[], float] = time

    def target_info(self) -> tuple[AvPair, ...]:
        """Names and time, in the order of Windows."""
        now = int(self.clock() * 10_000_000) + _UNIX_EPOCH
        return (
            text_pair(AvId.NB_DOMAIN_NAME, netbios_domain(self.domain)),
            text_pair(AvId.NB_COMPUTER_NAME, self.computer.upper()),
            text_pair(AvId.DNS_DOMAIN_NAME, self.domain),
            text_pair(AvId.DNS_COMPUTER_NAME, f"{self.computer}.{self.domain}".lower()),
            text_pair(AvId.DNS_TREE_NAME, self.domain),
            AvPair(AvId.TIMESTAMP, now.to_bytes(8, "little")),
        )


class NtlmAcceptor:
    """One logon. ``user`` is None before it is ``complete``, and for an anonymous client.

    ``session`` signs and seals afterwards; it is None if the client did without extended session security.
    """

    def __init__(self, server: NtlmServer) -> None:
        self.complete = False
        self.user: Entry | None = None
        self.session: NtlmSession | None = None
        self._server = server
        self._messages: tuple[bytes, bytes] | None = None
        self._challenge = b""
        self._granted = 0

    def step(self, token: bytes) -> bytes:
        """The answer to a message, b"" when there is none to be sent any more.

        Raises :class:`LogonRefused`, :class:`WireError` and, after the end, :class:`RemoteProtocolError`.
        """
        if self.complete:
            raise RemoteProtocolError("an NTLM message after the last one")
        if self._messages is None:
            return self._answer(token)
        self._verify(token, *self._messages)
        self.complete = True
        return b""

    def _answer(self, token: bytes) -> bytes:
        offered = Negotiate.decode(token).flags
        charset = ntlm.NEGOTIATE_UNICODE if offered & ntlm.NEGOTIATE_UNICODE else ntlm.NEGOTIATE_OEM
        self._granted = offered & _GRANTED | charset | _TOLD
        self._challenge = self._server.challenge()
        version = _WINDOWS_2008_R2 if offered & ntlm.NEGOTIATE_VERSION else bytes(8)
        name, info = netbios_domain(self._server.domain), self._server.target_info()
        challenge = Challenge(self._granted, self._challenge, name, info, version).encode()
        self._messages = token, challenge
        return challenge

    def _verify(self, token: bytes, negotiate: bytes, challenge: bytes) -> None:
        message = Authenticate.decode(token)
        if message.user or message.nt_response:
            key, has_mic = self._check_response(message)
        else:
            key, has_mic = _ANONYMOUS_KEY, False
        flags = message.flags & self._granted
        if flags & ntlm.NEGOTIATE_KEY_EXCH and message.session_key:
            key = Rc4(key).update(message.session_key)
        if has_mic and not _is_mic(key, negotiate, challenge, token, message.mic):
            raise LogonRefused(LogonProblem.BAD_TOKEN)
        if flags & ntlm.NEGOTIATE_EXTENDED_SESSIONSECURITY:
            self.session = NtlmSession(key, flags)

    def _check_response(self, message: Authenticate) -> tuple[bytes, bool]:
        """The key that an NTLMv2 response proves, and whether there is a MIC; NTLMv1 proves nothing here."""
        accounts = self._server.accounts
        user = accounts.find(message.user, message.domain)
        identity = encode_utf16(message.user.upper() + message.domain)
        owf = hmac.digest(accounts.nt_hash, identity, "md5")
        try:
            response = NtlmV2Response.decode(message.nt_response)
        except WireError:
            raise LogonRefused(LogonProblem.WRONG_PASSWORD) from None
        proof = hmac.digest(owf, self._challenge + message.nt_response[16:], "md5")
        self.user = accounts.check(user, proven=hmac.compare_digest(proof, response.proof))
        return hmac.digest(owf, proof, "md5"), response.has_mic


def _is_mic(key: bytes, negotiate: bytes, challenge: bytes, authenticate: bytes, mic: bytes) -> bool:
    """Whether ``mic`` is made over the three messages, its own place zeroed ([MS-NLMP] 3.2.5.1.2)."""
    cleared = bytearray(authenticate)
    cleared[ntlm.MIC_SLICE] = bytes(16)
    return hmac.compare_digest(hmac.digest(key, negotiate + challenge + bytes(cleared), "md5"), mic)
