"""Our client in the place of one that proved who it was: it hears what a real server said, and understands.

Both sides of NTLM draw at random, so ours is given the session key that was recorded, which the known
password opens. All that the server signed and sealed is then for our client, too.
"""

from base64 import b64decode
from types import SimpleNamespace

import pytest

from loadgen.errors import RemoteProtocolError
from loadgen.protocol.association import Association
from loadgen.protocol.channel import InChannel, OutChannel
from loadgen.protocol.credentials import Credentials
from loadgen.protocol.events import CallFaulted, CallReturned, ContextsAccepted
from loadgen.protocol.http_authentication import Candidate
from loadgen.protocol.security import RpcSecurity
from loadgen.protocol.security_context import SecurityContext
from loadgen.wire import pdu
from loadgen.wire.http import ChannelRequest
from tests.recorded.capture import Part, read_parts, read_segments, virtual_connections
from tests.recorded.dialogue import Dialogue
from tests.recorded.ntlm import PASSWORD, Direction, exported_key, proof_is_right

SECURED = {
    "rfr-basic-rpcntlm-connect": "connect",
    "nspi-basic-rpcntlm-integrity": "integrity",
    "nspi-basic-rpcntlm-privacy": "privacy",
    "emsmdb-basic-rpcntlm-privacy": "privacy",
}
HTTP_NTLM = ("rfr-httpntlm-negotiate", "patched-rfr-httpntlm-scheme-ntlm", "emsmdb-httpntlm-negotiate")
CONTEXT_ID = 79231
"""impacket's."""
LEVELS = {2: "connect", 6: "privacy"}


def conversations(name: str) -> list[list[Part]]:
    """The RPC PDUs of each virtual connection."""
    parts = read_parts(name)
    cookies = virtual_connections(parts)
    rpc = [part for part in parts if not part.is_head and not part.is_rts]
    return [
        [part for part in rpc if cookies[part.port] == cookie] for cookie in dict.fromkeys(cookies.values())
    ]


class Recorded:
    """One conversation, opened with the password that was known."""

    def __init__(self, parts: list[Part], password: str = PASSWORD) -> None:
        self.bind, self.ack, self.auth3 = (pdu.decode(part.data) for part in parts[:3])
        self.challenge, self.answer = self.ack.auth.token, self.auth3.auth.token
        self.key = exported_key(self.challenge, self.answer, password)
        self.ack_data = parts[1].data
        self.calls = parts[3:]

    def ours(self, level: str, monkeypatch: pytest.MonkeyPatch, password: str = PASSWORD) -> Association:
        """Our client, bound, with the same key."""
        drawn = {8: bytes(8), 16: self.key}
        monkeypatch.setattr("spnego._ntlm.os", SimpleNamespace(urandom=drawn.get, environ={}))
        user = self.answer[slice(*_place(self.answer, 36))].decode("utf-16-le")
        context = SecurityContext("ntlm", Credentials(user, password), "exchangeMDB", "exch.example.test")
        association = Association(RpcSecurity(level, context, context_id=CONTEXT_ID))
        association.bind([context.abstract_syntax for context in self.bind.contexts])
        (bind,) = association.pdus_to_send()
        assert names(pdu.decode(bind).auth) == names(self.bind.auth)
        assert association.receive_pdu(self.ack_data) == [ContextsAccepted()]
        (auth3,) = association.pdus_to_send()
        said = pdu.decode(auth3)
        assert (said.call_id, names(said.auth)) == (self.auth3.call_id, names(self.auth3.auth))
        assert proof_is_right(self.challenge, said.auth.token, password)
        return association


def _place(message: bytes, offset: int) -> tuple[int, int]:
    size, start = int.from_bytes(message[offset : offset + 2], "little"), offset + 4
    begin = int.from_bytes(message[start : start + 4], "little")
    return begin, begin + size


def names(auth: pdu.AuthVerifier) -> tuple[int, int, int]:
    return auth.auth_type, auth.auth_level, auth.auth_context_id


@pytest.mark.parametrize("name", SECURED)
def test_the_recorded_proofs_are_right(name):
    for parts in conversations(name):
        recorded = Recorded(parts)
        assert proof_is_right(recorded.challenge, recorded.answer)
        assert not proof_is_right(recorded.challenge, recorded.answer, "Password!")


@pytest.mark.parametrize("name", SECURED)
def test_our_client_understands_every_answer(name, monkeypatch):
    """Every request is opened by the formulas, said again by our client, and its answer taken."""
    level = SECURED[name]
    answered = 0
    for parts in conversations(name):
        recorded = Recorded(parts)
        association = recorded.ours(level, monkeypatch)
        up, down = (Direction(recorded.key, who) for who in ("client-to-server", "server-to-client"))
        dialogue = Dialogue()
        dialogue.hear(recorded.bind)
        for part in recorded.calls:
            plain = part.data
            if level != "connect":
                plain = (up if part.by_client else down).open(part.data)
            value = pdu.decode(plain)
            assert value.encode() == plain
            message = dialogue.hear(value)
            if part.by_client:
                assert association.call(value.context_id, value.opnum, value.stub) == value.call_id
                sent = [pdu.decode(data) for data in association.pdus_to_send()]
                assert [names(request.auth) for request in sent if request.auth] == [
                    names(value.auth) for _ in sent if level != "connect"
                ]
                continue
            events = association.receive_pdu(part.data)
            if message is not None:
                assert events == [CallReturned(value.call_id, message.stub)]
                assert message.kind.decode_response(message.value.encode()) == message.value
                answered += 1
    assert answered >= 2


@pytest.mark.parametrize("name", [name for name in SECURED if SECURED[name] != "connect"])
def test_a_recorded_answer_that_was_tampered_with(name, monkeypatch):
    (parts,) = conversations(name)
    recorded = Recorded(parts)
    request, answer = recorded.calls[:2]
    for place in (12, 24, len(answer.data) - 20, len(answer.data) - 10, len(answer.data) - 1):
        association = recorded.ours(SECURED[name], monkeypatch)
        plain = pdu.decode(Direction(recorded.key, "client-to-server").open(request.data))
        association.call(plain.context_id, plain.opnum, plain.stub)
        changed = bytearray(answer.data)
        changed[place] ^= 0x80
        with pytest.raises(RemoteProtocolError, match=r"signature is wrong|verifier is of type"):
            association.receive_pdu(bytes(changed))


def test_a_wrong_password_shows_at_the_first_call(monkeypatch):
    for parts in conversations("rpc-badpassword"):
        recorded = Recorded(parts, "wrong password")
        level = LEVELS[recorded.bind.auth.auth_level]
        association = recorded.ours(level, monkeypatch, "wrong password")
        call_id = association.call(0, 0, bytes(8))
        (event,) = association.receive_pdu(recorded.calls[-1].data)
        assert isinstance(event, CallFaulted)
        assert (event.call_id, event.fault.status) == (call_id, 5)


def streams(name: str) -> dict[int, tuple[bytes, bytes]]:
    """What the client and the server said on each TCP connection."""
    said: dict[int, tuple[bytes, bytes]] = {}
    for port, by_client, data in read_segments(name):
        up, down = said.get(port, (b"", b""))
        said[port] = (up + data, down) if by_client else (up, down + data)
    return said


def headers(head: bytes) -> dict[bytes, bytes]:
    lines = head.partition(b"\r\n\r\n")[0].split(b"\r\n")[1:]
    return dict(line.split(b": ", 1) for line in lines)


@pytest.mark.parametrize("piece", [1, 1 << 20])
@pytest.mark.parametrize("name", HTTP_NTLM)
def test_http_ntlm_takes_the_same_way(name, piece):
    """On each channel: a leg without a body, the challenge under whatever name, the leg with the body."""
    for up, down in streams(name).values():
        first, last = up.split(b"\r\n\r\n")[:2]
        line = last.partition(b"\r\n")[0].decode()
        method, target, _ = line.split()
        server, port = target.partition("?")[2].split(":")
        length = int(headers(last)[b"Content-Length"])
        request = ChannelRequest(method, server, int(port), length, "127.0.0.1:8880")
        kind = InChannel if method == "RPC_IN_DATA" else OutChannel
        credentials = Credentials("EXAMPLE\\u001", PASSWORD)
        channel = kind(request, Candidate("ntlm", "NTLM").authentication(credentials, "127.0.0.1"))
        ours = headers(channel.data_to_send())
        assert ours[b"Content-Length"] == headers(first)[b"Content-Length"] == b"0"
        heard = []
        for start in range(0, len(down), piece):
            channel.receive_data(down[start : start + piece])
            heard += channel.pdus()
        said = channel.data_to_send()
        assert said.partition(b"\r\n")[0].decode() == line
        assert int(headers(said)[b"Content-Length"]) == length
        answered = headers(down.partition(b"\r\n\r\n")[0])[b"WWW-Authenticate"]
        challenge, answer = (
            b64decode(value.partition(b" ")[2]) for value in (answered, headers(said)[b"Authorization"])
        )
        assert proof_is_right(challenge, answer)
        theirs = b64decode(headers(last)[b"Authorization"].partition(b" ")[2])
        assert proof_is_right(challenge, theirs)
        body = down.rpartition(b"\r\n\r\n")[2] if kind is OutChannel else b""
        assert b"".join(heard) == body
