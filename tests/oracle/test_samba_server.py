"""Our association against Samba's server: binds, levels, signatures both ways, fragments, several contexts.

Samba serves remote management at all levels but connect.
"""

import socket

import pytest

from loadgen.errors import BindRefused, RemoteProtocolError
from loadgen.protocol.association import Association
from loadgen.protocol.credentials import Credentials
from loadgen.protocol.events import CallFaulted, CallReturned, ContextsAccepted, Event
from loadgen.protocol.security import NO_SECURITY, RpcSecurity, Security
from loadgen.protocol.security_context import SecurityContext
from loadgen.wire import mgmt
from loadgen.wire.pdu import SyntaxId, frag_length
from tests.oracle.samba_server import PASSWORD, SERVER, USER, SambaServer, needs_samba_server

pytestmark = [pytest.mark.judge, needs_samba_server, pytest.mark.timeout(60)]

LSA = SyntaxId.of("12345778-1234-abcd-ef00-0123456789ab", 0)
SECURED = [(mechanism, level) for mechanism in ("ntlm", "negotiate") for level in ("integrity", "privacy")]
LISTENING = mgmt.IsServerListeningRequest()
YES = mgmt.IsServerListeningResponse(listening=True)


def security(mechanism: str, level: str, password: str = PASSWORD, **options) -> RpcSecurity:
    credentials = Credentials(USER, password, SERVER)
    return RpcSecurity(level, SecurityContext(mechanism, credentials, "host", SERVER, dce=True), **options)


class CallRefused(Exception):
    """A fault came instead of an answer."""


class Talk:
    """A connection with an association over it."""

    def __init__(self, server: SambaServer, secured: Security = NO_SECURITY) -> None:
        self.socket: socket.socket = server.connect()
        self.association = Association(secured)
        self._unread = b""

    def __enter__(self) -> "Talk":
        return self

    def __exit__(self, *_exception: object) -> None:
        self.socket.close()

    def send(self) -> None:
        for pdu in self.association.pdus_to_send():
            self.socket.sendall(pdu)

    def next_pdu(self) -> bytes:
        while len(self._unread) < 16 or len(self._unread) < frag_length(self._unread):
            data = self.socket.recv(65536)
            if not data:
                raise EOFError("Samba has closed the connection")
            self._unread += data
        size = frag_length(self._unread)
        pdu, self._unread = self._unread[:size], self._unread[size:]
        return pdu

    def events(self) -> list[Event]:
        """What the next answers mean, with all that is said in between."""
        self.send()
        events: list[Event] = []
        while not events:
            events += self.association.receive_pdu(self.next_pdu())
            self.send()
        return events

    def bind(self, *interfaces: SyntaxId) -> None:
        self.association.bind(interfaces)
        assert self.events() == [ContextsAccepted()]

    def log_on(self) -> None:
        """Raises what shows a wrong password: the bind is refused, the first call, or the connection ends."""
        self.events()
        self.association.call(0, LISTENING.opnum, b"")
        if any(isinstance(event, CallFaulted) for event in self.events()):
            raise CallRefused

    def ask(self, stub: bytes = b"", secured: Security | None = None) -> mgmt.IsServerListeningResponse:
        call_id = self.association.call(0, LISTENING.opnum, stub, secured)
        (event,) = self.events()
        assert isinstance(event, CallReturned), event
        assert event.call_id == call_id
        return LISTENING.decode_response(event.stub)


def test_without_security(samba):
    with Talk(samba) as talk:
        talk.bind(mgmt.INTERFACE)
        assert talk.ask() == YES


@pytest.mark.parametrize(("mechanism", "level"), SECURED)
@pytest.mark.parametrize("verification", [False, True])
def test_calls(samba, mechanism, level, verification):
    with Talk(samba, security(mechanism, level, verification=verification)) as talk:
        talk.bind(mgmt.INTERFACE)
        assert talk.association.header_signing
        for _ in range(5):
            assert talk.ask() == YES


@pytest.mark.parametrize(("mechanism", "level"), SECURED)
@pytest.mark.parametrize("size", [5791, 5792, 5793, 50_000])
def test_fragments(samba, mechanism, level, size):
    """What follows the arguments of a call is ignored, but has to arrive under the right signatures."""
    with Talk(samba, security(mechanism, level)) as talk:
        talk.bind(mgmt.INTERFACE)
        for _ in range(2):
            assert talk.ask(bytes(size)) == YES


@pytest.mark.parametrize(("mechanism", "level"), SECURED)
def test_several_interfaces(samba, mechanism, level):
    with Talk(samba, security(mechanism, level)) as talk:
        talk.bind(mgmt.INTERFACE)
        talk.association.alter_context([LSA])
        assert talk.events() == [ContextsAccepted()]
        assert talk.ask() == YES


@pytest.mark.parametrize(("mechanism", "level"), SECURED)
def test_several_security_contexts(samba, mechanism, level):
    with Talk(samba, security("ntlm", "privacy")) as talk:
        talk.bind(mgmt.INTERFACE)
        other = security(mechanism, level, context_id=2)
        talk.association.secure(other)
        assert talk.events() == [ContextsAccepted()]
        for secured in (other, None, other, None, other):
            assert talk.ask(secured=secured) == YES


@pytest.mark.parametrize(("mechanism", "level"), SECURED)
def test_a_corrupted_answer_is_refused_by_name(samba, mechanism, level):
    for place in (24, -24, -12, -1):
        with Talk(samba, security(mechanism, level)) as talk:
            talk.bind(mgmt.INTERFACE)
            call_id = talk.association.call(0, LISTENING.opnum, b"")
            talk.send()
            answer = bytearray(talk.next_pdu())
            answer[place] ^= 1
            with pytest.raises(RemoteProtocolError, match=rf"answer to call {call_id}: .*signature|verifier"):
                talk.association.receive_pdu(bytes(answer))


@pytest.mark.parametrize(("mechanism", "level"), SECURED)
def test_samba_refuses_what_is_not_rightly_signed(samba, mechanism, level):
    """The counterproof: it does look at our signatures."""
    with Talk(samba, security(mechanism, level)) as talk:
        talk.bind(mgmt.INTERFACE)
        talk.association.call(0, LISTENING.opnum, b"")
        (pdu,) = talk.association.pdus_to_send()
        talk.socket.sendall(pdu[:-1] + bytes((pdu[-1] ^ 1,)))
        try:
            (event,) = talk.events()
        except EOFError:
            return
        assert isinstance(event, CallFaulted)


@pytest.mark.parametrize("mechanism", ["ntlm", "negotiate"])
def test_a_wrong_password(samba, mechanism):
    with Talk(samba, security(mechanism, "privacy", "wrong")) as talk:
        talk.association.bind([mgmt.INTERFACE])
        with pytest.raises((BindRefused, CallRefused, EOFError)):
            talk.log_on()
