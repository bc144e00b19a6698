"""Protected calls: the vector that Wireshark has opened, and pyspnego's acceptor as the server."""

from types import SimpleNamespace

import pytest

from loadgen.errors import BindRefused, LocalProtocolError, PeerError, RemoteProtocolError
from loadgen.protocol.association import Association
from loadgen.protocol.credentials import Credentials
from loadgen.protocol.events import CallFaulted, CallReturned, ContextsAccepted
from loadgen.protocol.security import NO_SECURITY, RpcSecurity
from loadgen.protocol.security_context import SecurityContext
from loadgen.wire import pdu as wire
from loadgen.wire.pdu import NDR, AuthVerifier, PduType, SyntaxId
from loadgen.wire.verification_trailer import VerificationTrailer

from .acceptor import PASSWORD, USER, Acceptor, SecuredServer, add_account, converse

EMSMDB = SyntaxId.of("a4f1db00-ca47-1067-b31f-00dd010662da", 0, 81)
ASYNC = SyntaxId.of("5261574a-4572-206e-b268-6b199213b4e4", 0, 1)
NSPI = SyntaxId.of("f5cc5a18-4264-101a-8c59-08002b2f8426", 56)
SECURED = [
    (mechanism, level) for mechanism in ("ntlm", "negotiate") for level in ("connect", "integrity", "privacy")
]
PROTECTED = [(mechanism, level) for mechanism, level in SECURED if level != "connect"]


@pytest.fixture(autouse=True)
def account(tmp_path, monkeypatch):
    add_account(tmp_path / "accounts", monkeypatch)


def client(mechanism="ntlm", level="privacy", password=PASSWORD, context_id=1, **options):
    context = SecurityContext(mechanism, Credentials(USER, password), "exchangeMDB", "mail", dce=True)
    return RpcSecurity(level, context, context_id=context_id, **options)


def bound(mechanism="ntlm", level="privacy", interfaces=(EMSMDB,), **options):
    association = Association(client(mechanism, level, **options))
    server = SecuredServer(Acceptor(mechanism, level))
    association.bind(interfaces)
    assert converse(association, server) == [ContextsAccepted()]
    return association, server


CLIENT_CHALLENGE = bytes.fromhex("997d3acbe7f1ba68")
SESSION_KEY = bytes.fromhex("aff1eb441334a542740e0a33e02ed9f7")
HANDLE = bytes(4) + bytes(range(0xA0, 0xB0))


@pytest.mark.parametrize("level", ["privacy", "integrity"])
def test_the_vector_that_wireshark_opened(vector, monkeypatch, level):
    """Byte for byte, given the same client challenge, session key, workstation and version."""
    drawn = {8: CLIENT_CHALLENGE, 16: SESSION_KEY}
    monkeypatch.setattr("spnego._ntlm.os", SimpleNamespace(urandom=drawn.get, environ={}))
    monkeypatch.setattr("spnego._ntlm._get_workstation", lambda: "CLIENT01")
    version = SimpleNamespace(pack=lambda: bytes.fromhex("000c04000000000f"))
    monkeypatch.setattr("spnego._ntlm.Version", SimpleNamespace(get_current=lambda: version))
    credentials = Credentials("user0001", "Passw0rd!", "EXAMPLE")
    context = SecurityContext("ntlm", credentials, "exchangeMDB", "mail.example.com")
    security = RpcSecurity(level, context, context_id=0)
    bind, ack, auth3 = (vector(f"pdu/{name}.hex") for name in ("bind_ntlm", "bind_ack_ntlm", "auth3_ntlm"))
    numbers = {"privacy": 6, "integrity": 5}
    first, challenge, last = (wire.decode(kind).auth.token for kind in (bind, ack, auth3))
    names = (10, numbers[level], 0)
    assert security.first_leg() == AuthVerifier(*names, first)
    assert security.answer(AuthVerifier(*names, challenge)) == AuthVerifier(*names, last)
    request = wire.Request(2, 0, 1, HANDLE)
    if level == "integrity":
        assert security.wrap(request) == vector("pdu/request_signed.hex")
        return
    assert security.wrap(request) == vector("pdu/request_sealed.hex")
    response = security.unwrap(vector("pdu/response_sealed.hex"))
    assert (response.call_id, response.stub) == (2, bytes(24))


@pytest.mark.parametrize(("mechanism", "level"), SECURED)
def test_calls(mechanism, level):
    association, server = bound(mechanism, level)
    assert association.header_signing
    for stub in (b"", b"hello", bytes(16), bytes(100)):
        call_id = association.call(0, 3, stub)
        assert converse(association, server) == [CallReturned(call_id, stub.upper())]


@pytest.mark.parametrize(("mechanism", "level"), SECURED)
@pytest.mark.parametrize("size", [5767, 5768, 5792, 5793, 5816, 5817, 12_000])
def test_fragments_fit_with_what_protects_them(mechanism, level, size):
    association, server = bound(mechanism, level)
    stub = bytes(index % 251 for index in range(size))
    server.fragment = 1600
    call_id = association.call(0, 3, stub)
    pdus = association.pdus_to_send()
    assert all(len(pdu) <= 5840 for pdu in pdus)
    events = [
        event for pdu in pdus for answer in server.hear(pdu) for event in association.receive_pdu(answer)
    ]
    assert events == [CallReturned(call_id, stub.upper())]


@pytest.mark.parametrize("padding", [4, 8, 16])
def test_servers_fill_up_as_they_like(padding):
    association, server = bound()
    server.acceptors[1].padding = padding
    call_id = association.call(0, 3, b"hello")
    assert converse(association, server) == [CallReturned(call_id, b"HELLO")]


@pytest.mark.parametrize(("mechanism", "level"), SECURED)
def test_servers_that_look_at_one_context_at_a_time(mechanism, level):
    """The rest is asked for after the legs of authentication, bare."""
    association = Association(client(mechanism, level))
    server = SecuredServer(Acceptor(mechanism, level))
    server.results = 1
    association.bind([EMSMDB, ASYNC, NSPI])
    assert converse(association, server) == [ContextsAccepted()]
    call_id = association.call(association.context_id(NSPI), 3, b"x")
    assert converse(association, server) == [CallReturned(call_id, b"X")]


@pytest.mark.parametrize(("mechanism", "level"), PROTECTED)
def test_any_changed_bit_of_an_answer_ends_the_association(mechanism, level):
    """Each byte that the signature covers, and the signature itself; lengths fail by themselves."""
    size = 24 + 16 + 8 + 16
    trailer = range(40, 48)
    for place in range(size):
        association, server = bound(mechanism, level)
        call_id = association.call(0, 3, b"attack at dawn!")
        (answer,) = server.hear(association.pdus_to_send()[0])
        assert len(answer) == size
        changed = bytearray(answer)
        changed[place] ^= 1
        with pytest.raises(PeerError) as caught:
            association.receive_pdu(bytes(changed))
        if place >= 24 and place not in trailer:
            said = str(caught.value)
            assert said.startswith(f"the answer to call {call_id}: the server's signature is wrong")
        with pytest.raises(LocalProtocolError):
            association.call(0, 3, b"")


@pytest.mark.parametrize(("mechanism", "level"), PROTECTED)
def test_a_truncated_answer(mechanism, level):
    association, server = bound(mechanism, level)
    association.call(0, 3, b"attack at dawn!")
    (answer,) = server.hear(association.pdus_to_send()[0])
    for size in range(16, len(answer)):
        with pytest.raises(PeerError):
            association._security.unwrap(answer[:size])
        shortened = answer[:8] + size.to_bytes(2, "little") + answer[10:size]
        with pytest.raises(PeerError):
            association._security.unwrap(shortened)


@pytest.mark.parametrize("order", ["repeated", "swapped"])
def test_answers_out_of_their_order(order):
    association, server = bound()
    calls = [association.call(0, 3, text) for text in (b"a", b"b")]
    first, second = (answer for pdu in association.pdus_to_send() for answer in server.hear(pdu))
    if order == "repeated":
        assert association.receive_pdu(first) == [CallReturned(calls[0], b"A")]
    with pytest.raises(RemoteProtocolError, match="signature is wrong"):
        association.receive_pdu(first if order == "repeated" else second)


def test_an_answer_without_a_signature():
    association, _ = bound()
    call_id = association.call(0, 3, b"")
    with pytest.raises(RemoteProtocolError, match=f"the answer to call {call_id} is not signed"):
        association.receive_pdu(wire.Response(call_id, 0, b"x").encode())


@pytest.mark.parametrize(("mechanism", "level"), SECURED)
def test_faults_may_be_bare(mechanism, level):
    association, server = bound(mechanism, level)
    for answer in (wire.Fault.encode, server.acceptors[1].close):
        call_id = association.call(0, 3, b"")
        (pdu,) = association.pdus_to_send()
        server.acceptors[1].open(pdu)
        ((event),) = association.receive_pdu(answer(wire.Fault(call_id, 0, 5)))
        assert isinstance(event, CallFaulted)
        assert (event.call_id, event.fault.status) == (call_id, 5)
    call_id = association.call(0, 3, b"on")
    assert converse(association, server) == [CallReturned(call_id, b"ON")]


def test_a_trailer_at_connect_level_is_ignored():
    """Gromox sends none; servers are free to."""
    association, _ = bound(level="connect")
    call_id = association.call(0, 3, b"")
    auth = AuthVerifier(10, 2, 1, bytes(16), bytes(3))
    answer = wire.Response(call_id, 0, b"hello", auth=auth).encode()
    assert association.receive_pdu(answer) == [CallReturned(call_id, b"hello")]


def test_calls_that_wait_are_protected_when_their_turn_comes():
    """Also if one of them is given up before: signatures are numbered as they are sent."""
    association = Association(client())
    server = SecuredServer(Acceptor("ntlm", "privacy"))
    server.flags = wire.WHOLE
    association.bind([EMSMDB])
    converse(association, server)
    first, given_up, last = (association.call(0, 3, text) for text in (b"a", b"b", b"c"))
    association.abandon(given_up)
    assert converse(association, server) == [CallReturned(first, b"A"), CallReturned(last, b"C")]


@pytest.mark.parametrize("mechanism", ["ntlm", "negotiate"])
def test_the_verification_trailer_goes_with_the_first_call_of_an_interface(mechanism):
    association, server = bound(mechanism, interfaces=(EMSMDB, NSPI), verification=True)
    for context_id in (0, 0, 1):
        association.call(context_id, 3, b"hello")
    converse(association, server)
    first, second, third = server.requests
    for request, interface in ((first, EMSMDB), (third, NSPI)):
        trailer = VerificationTrailer.decode(request.stub[8:])
        assert request.stub[:8] == b"hello\0\0\0"
        assert (trailer.bit_mask, trailer.context) == (1, (interface, NDR))
    assert len(first.stub) == 8 + 60  # as long as Samba's
    assert second.stub == b"hello"


def test_no_verification_where_nothing_is_signed():
    association, server = bound(level="connect", verification=True)
    association.call(0, 3, b"hello")
    converse(association, server)
    assert server.requests[0].stub == b"hello"


@pytest.mark.parametrize(("mechanism", "level"), SECURED)
def test_several_security_contexts(mechanism, level):
    association, server = bound()
    server.acceptors[2] = Acceptor(mechanism, level, context_id=2)
    other = client(mechanism, level, context_id=2)
    early = association.call(0, 3, b"early")
    association.secure(other)
    assert converse(association, server) == [CallReturned(early, b"EARLY"), ContextsAccepted()]
    if level == "connect":
        server.acceptors = {2: server.acceptors[2]}  # who calls without verifier is not to be told
        calls = [association.call(0, 3, b"x", other)]
    else:
        calls = [association.call(0, 3, b"x", security) for security in (other, None, other, None)]
    assert converse(association, server) == [CallReturned(call_id, b"X") for call_id in calls]


def test_a_call_that_is_given_up_leaves_its_context_in_step():
    association, server = bound()
    server.acceptors[2] = Acceptor("ntlm", "integrity", context_id=2)
    other = client("ntlm", "integrity", context_id=2)
    association.secure(other)
    converse(association, server)
    association.abandon(association.call(0, 3, b"x", other))
    call_id = association.call(0, 3, b"y", other)
    assert converse(association, server) == [CallReturned(call_id, b"Y")]
    association.concurrent = False
    first, given_up = (association.call(0, 3, b"z", other) for _ in range(2))
    association.abandon(given_up)
    assert converse(association, server) == [CallReturned(first, b"Z")]
    assert association._secured == {}


def test_security_contexts_have_numbers_of_their_own():
    association, server = bound()
    with pytest.raises(LocalProtocolError, match="security context 1"):
        association.secure(client())
    server.acceptors[2] = Acceptor("ntlm", "privacy", context_id=2)
    association.secure(client(context_id=2))
    converse(association, server)
    with pytest.raises(LocalProtocolError, match="security context 2"):
        association.secure(client(context_id=2))
    server.acceptors[3] = Acceptor("ntlm", "privacy", context_id=3)
    association.secure(client(context_id=3))
    with pytest.raises(LocalProtocolError, match="waiting for alter_context_resp"):
        association.secure(client(context_id=4))


def binding(security):
    association = Association(security)
    association.bind([EMSMDB])
    association.pdus_to_send()
    return association


def ack(auth, call_id=1, flags=7):
    results = (wire.ContextResult(wire.ACCEPTANCE, 0, NDR),)
    return wire.BindAck(call_id, 5840, 5840, 7, b"6001\0", results, flags, auth).encode()


CHALLENGE = b"NTLMSSP\0\2\0\0\0"


@pytest.mark.parametrize(
    ("auth", "text"),
    [
        (None, "the server leaves the authentication unfinished"),
        (
            AuthVerifier(9, 6, 1, CHALLENGE),
            "the verifier is of type 9, level 6, context 1 instead of 10, 6, 1",
        ),
        (AuthVerifier(10, 5, 1, CHALLENGE), "level 5, context 1 instead of 10, 6, 1"),
        (AuthVerifier(10, 6, 2, CHALLENGE), "context 2 instead of 10, 6, 1"),
        (AuthVerifier(10, 6, 1, CHALLENGE), "the server's ntlm token is wrong"),
        (AuthVerifier(10, 6, 1, b"what?"), "the server's ntlm token is wrong"),
    ],
)
def test_challenges_that_make_no_sense(auth, text):
    association = binding(client())
    with pytest.raises(RemoteProtocolError, match=text):
        association.receive_pdu(ack(auth))


@pytest.mark.parametrize(
    ("level", "cleared", "agrees"),
    [
        ("privacy", 0x10, False),
        ("privacy", 0x20, False),
        ("privacy", 0x30, False),
        ("integrity", 0x10, False),
        ("integrity", 0x20, True),
        ("connect", 0x30, True),
    ],
)
def test_servers_that_leave_protection_out(level, cleared, agrees):
    """NTLMSSP_NEGOTIATE_SIGN is 0x10, _SEAL 0x20 ([MS-NLMP] 2.2.2.5); flags of a challenge are at byte 20."""
    security = client(level=level)
    verifier = Acceptor("ntlm", level).answer(security.first_leg())
    token = bytearray(verifier.token)
    token[20] &= ~cleared
    challenge = AuthVerifier(verifier.auth_type, verifier.auth_level, 1, bytes(token))
    if agrees:
        assert security.answer(challenge) is not None
        return
    with pytest.raises(RemoteProtocolError, match="the server does not agree to rpc_security"):
        security.answer(challenge)


def test_a_token_that_is_missing():
    with pytest.raises(RemoteProtocolError, match="ntlm: the server has sent no token"):
        client().answer(AuthVerifier(10, 6, 1, b""))


def test_a_token_that_leads_nowhere():
    security = client("negotiate")
    security.first_leg()
    reject = bytes.fromhex("a1073005a0030a0102")
    with pytest.raises(RemoteProtocolError, match="negotiate"):
        security.answer(AuthVerifier(9, 6, 1, reject))


def test_no_security_takes_no_notice():
    association = binding(NO_SECURITY)
    assert association.receive_pdu(ack(AuthVerifier(10, 6, 1, CHALLENGE)))[-1] == ContextsAccepted()
    assert not association._outgoing


def test_a_leg_that_is_refused():
    association = binding(client("negotiate"))
    server = SecuredServer(Acceptor("negotiate", "privacy"))
    association = Association(client("negotiate"))
    association.bind([EMSMDB])
    (answer,) = server.hear(association.pdus_to_send()[0])
    assert association.receive_pdu(answer) == []
    (alter,) = association.pdus_to_send()
    assert wire.pdu_type(alter) == PduType.ALTER_CONTEXT
    with pytest.raises(BindRefused, match=r"authentication refused: fault 0x00000005 ERROR_ACCESS_DENIED$"):
        association.receive_pdu(wire.Fault(wire.decode(alter).call_id, 0, 5).encode())


def test_a_server_may_be_silent_once_all_is_said():
    association, _ = bound("negotiate")
    assert association._security.answer(None) is None


def test_secrets_are_not_shown():
    credentials = Credentials("alice", "Passw0rd!", "CONTOSO", bytes(range(16)))
    for shown in (repr(credentials), str(credentials), f"{[credentials]}"):
        assert "Passw0rd!" not in shown
        assert "\\x01" not in shown
        assert "alice" in shown


@pytest.mark.parametrize(
    ("user", "domain", "name"),
    [
        ("alice", "", "alice"),
        ("alice", "CONTOSO", "CONTOSO\\alice"),
        ("CONTOSO\\alice", "FABRIKAM", "CONTOSO\\alice"),
        ("alice@contoso.test", "", "alice@contoso.test"),
    ],
)
def test_names(user, domain, name):
    assert Credentials(user, "x", domain).name == name


def test_the_hash_may_be_given_instead_of_the_password():
    """[MS-NLMP] 4.2.2.1.2: NTOWFv1 of "Password"."""
    known = bytes.fromhex("a4f49c406510bdcab6824ee7c30fd852")
    assert Credentials("User", "Password").key == known
    assert Credentials("User", "", nt_hash=known).key == known
