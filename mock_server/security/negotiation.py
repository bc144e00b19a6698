"""SPNEGO as a server speaks it ([RFC 4178], [MS-SPNG]), with NTLM as the only mechanism."""

from typing import Protocol

from loadgen.errors import RemoteProtocolError, WireError
from loadgen.wire import spnego
from loadgen.wire.ntlm import SIGNATURE
from loadgen.wire.spnego import NegTokenInit, NegTokenResp
from mock_server.directory import Entry
from mock_server.security.accounts import LogonProblem, LogonRefused
from mock_server.security.ntlm import NtlmAcceptor, NtlmServer
from mock_server.security.ntlm_session import NtlmSession


class Acceptor(Protocol):
    """One logon, whatever the mechanism; see :class:`~mock_server.security.ntlm.NtlmAcceptor`."""

    complete: bool

    @property
    def user(self) -> Entry | None:
        """Who has logged on; None for an anonymous client."""

    @property
    def session(self) -> NtlmSession | None:
        """What signs and seals."""

    def step(self, token: bytes) -> bytes:
        """The answer to a token."""


class SpnegoAcceptor:
    """One logon. A client that prefers Kerberos is asked for NTLM, if it offers that as well.

    Raw NTLM is answered in kind, as HTTP's Negotiate allows it.
    """

    def __init__(self, server: NtlmServer) -> None:
        self.complete = False
        self._ntlm = NtlmAcceptor(server)
        self._mech_list = b""
        self._raw = False

    @property
    def user(self) -> Entry | None:
        """Who has logged on; None for an anonymous client."""
        return self._ntlm.user

    @property
    def session(self) -> NtlmSession | None:
        """What signs and seals."""
        return self._ntlm.session

    def step(self, token: bytes) -> bytes:
        """The answer to a token; raises what :meth:`~mock_server.security.ntlm.NtlmAcceptor.step` raises."""
        if not self._mech_list and (self._raw or token.startswith(SIGNATURE)):
            self._raw = True
            answer = self._ntlm.step(token)
            self.complete = self._ntlm.complete
            return answer
        message = spnego.decode(token)
        if isinstance(message, NegTokenInit):
            return self._begin(message)
        return self._go_on(message)

    def _begin(self, message: NegTokenInit) -> bytes:
        if self._mech_list:
            raise RemoteProtocolError("a second NegTokenInit")
        if spnego.NTLMSSP not in message.mech_types:
            raise LogonRefused(LogonProblem.BAD_TOKEN)
        self._mech_list = message.mech_list
        preferred = message.mech_types[0] == spnego.NTLMSSP
        challenge = self._ntlm.step(message.mech_token) if preferred and message.mech_token else None
        state = spnego.ACCEPT_INCOMPLETE if preferred else spnego.REQUEST_MIC
        return NegTokenResp(state, spnego.NTLMSSP, challenge).encode()

    def _go_on(self, message: NegTokenResp) -> bytes:
        if not self._mech_list or self.complete:
            raise RemoteProtocolError("a NegTokenResp out of turn")
        if message.response_token is None:
            raise WireError("responseToken", 0, "none")
        answer = self._ntlm.step(message.response_token)
        if not self._ntlm.complete:
            return NegTokenResp(spnego.ACCEPT_INCOMPLETE, spnego.NTLMSSP, answer).encode()
        mic = None if message.mech_list_mic is None else self._exchange_mics(message.mech_list_mic)
        self.complete = True
        return NegTokenResp(spnego.ACCEPT_COMPLETED, mech_list_mic=mic).encode()

    def _exchange_mics(self, theirs: bytes) -> bytes:
        """Our mechListMIC for theirs. Each takes a sequence number, but nothing of the sealing streams."""
        session = self._ntlm.session
        if session is None:
            raise LogonRefused(LogonProblem.BAD_TOKEN)
        session.incoming.check(self._mech_list, theirs)
        ours = session.outgoing.token(self._mech_list)
        session.incoming.restart_stream()
        session.outgoing.restart_stream()
        return ours
