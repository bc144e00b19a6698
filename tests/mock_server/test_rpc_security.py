"""The security of an association: pyspnego, Windows' rules and worked examples are the other side."""

import struct

import pytest
import spnego
from msgspec.structs import replace
from spnego.iov import BufferType

from loadgen.errors import PeerError, RemoteProtocolError
from loadgen.wire import mgmt
from loadgen.wire.pdu import (
    DID_NOT_EXECUTE,
    FIRST_FRAG,
    LAST_FRAG,
    NDR,
    SUPPORT_HEADER_SIGN,
    WHOLE,
    AlterContext,
    Auth3,
    AuthVerifier,
    Bind,
    BindNak,
    Fault,
    PresentationContext,
    Request,
    Response,
    SyntaxId,
    decode,
)
from loadgen.wire.verification_trailer import RequestHeader, VerificationTrailer
from mock_server.counters import RpcStatistics
from mock_server.rpc.association import Association
from mock_server.rpc.dispatch import Interface
from mock_server.rpc.endpoint import Endpoint
from mock_server.security.logon import rpc_security
from mock_server.topology_file import read_topology

ECHO = SyntaxId.of("a4f1db00-ca47-1067-b31f-00dd010662da", 0, 81)
OTHER = SyntaxId.of("5261574a-4572-206e-b268-6b199213b4e4", 0, 1)
NTLM, SPNEGO = 10, 9
CONNECT, INTEGRITY, PRIVACY = 2, 5, 6
PASSWORD = "Passw0rd!"
OPTIONS = {
    NTLM: ("ntlm", spnego.NegotiateOptions.use_ntlm),
    SPNEGO: ("negotiate", spnego.NegotiateOptions.none),
}
ACCESS_DENIED, PACKAGE_ERROR, UNSUPPORTED_LEVEL = 5, 0x721, 0x1C00001D


def endpoint(**security):
    topology = read_topology("default", changes={f"security.{key}": value for key, value in security.items()})
    methods = {0: lambda _context, stub: stub, 1: lambda context, _stub: context.user.encode()}
    return Endpoint(
        "MBX1",
        6001,
        (Interface(ECHO, methods), Interface(OTHER, methods)),
        RpcStatistics(),
        rpc_security(topology, "MBX1", topology.directory()),
    )


class Context:
    """One security context of a client, made by pyspnego, and the PDUs that go with it."""

    def __init__(
        self, kind=NTLM, level=PRIVACY, context_id=79231, user="CONTOSO\\user00001", password=PASSWORD
    ):
        protocol, options = OPTIONS[kind]
        self.kind, self.level, self.context_id = kind, level, context_id
        self.engine = spnego.client(user, password, hostname="mbx1", protocol=protocol, options=options)

    def verifier(self, token, padding=b""):
        return AuthVerifier(self.kind, self.level, self.context_id, token, padding)

    def step(self, token=None):
        return self.verifier(self.engine.step(token) or b"")

    def protect(self, request):
        """A request PDU, signed and sealed."""
        padding = bytes(-len(request.stub) % 16)
        pdu = replace(request, auth=self.verifier(bytes(16), padding)).encode()
        head, body, trailer = pdu[:24], pdu[24:-24], pdu[-24:-16]
        if self.level == INTEGRITY:
            return head + body + trailer + self.engine.sign(head + body + trailer)
        sign_only = BufferType.sign_only
        buffers = self.engine.wrap_iov(
            [(sign_only, head), body, (sign_only, trailer), BufferType.header]
        ).buffers
        return head + buffers[1].data + trailer + buffers[3].data

    def open(self, pdu):
        """The stub of a response, whose signature is right."""
        response = Response.decode(pdu)
        assert (response.auth.auth_type, response.auth.auth_level) == (self.kind, self.level)
        assert response.auth.auth_context_id == self.context_id
        head, body, trailer, token = pdu[:24], pdu[24:-24], pdu[-24:-16], pdu[-16:]
        if self.level == INTEGRITY:
            self.engine.verify(head + body + trailer, token)
        else:
            sign_only = BufferType.sign_only
            parts = [(sign_only, head), body, (sign_only, trailer), (BufferType.header, token)]
            body = self.engine.unwrap_iov(parts).buffers[1].data
        assert len(body) % 16 == 0
        return body[: len(response.stub)]


class Client:
    """An association, and what its server says."""

    def __init__(self, served):
        self.heard = []
        self.association = Association(served, self.heard.append)
        self.call_id = 1

    def say(self, pdu):
        self.association.receive_pdu(pdu if isinstance(pdu, bytes) else pdu.encode())
        heard, self.heard[:] = list(self.heard), []
        return heard

    def bind(self, context, flags=WHOLE | SUPPORT_HEADER_SIGN):
        """Bind and all further legs; the bind_ack."""
        contexts = (PresentationContext(0, ECHO), PresentationContext(1, mgmt.INTERFACE))
        (answer,) = self.say(Bind(1, 5840, 5840, 0, contexts, flags, context.step()))
        ack = decode(answer)
        self.finish(context, ack.auth.token)
        return ack

    def add(self, context):
        """A security context more."""
        (answer,) = self.say(AlterContext(self.next(), 0, 0, 0, (), auth=context.step()))
        self.finish(context, decode(answer).auth.token)

    def finish(self, context, token):
        last = context.step(token)
        if context.kind == NTLM:
            assert self.say(Auth3(self.next(), last)) == []
            return
        while last.token:
            (answer,) = self.say(AlterContext(self.next(), 0, 0, 0, (), auth=last))
            last = context.step(decode(answer).auth.token)

    def next(self):
        self.call_id += 1
        return self.call_id

    def call(self, context, stub=b"", opnum=0, context_id=0):
        """The stub of the answer to a protected call."""
        pieces = self.say(context.protect(Request(self.next(), context_id, opnum, stub)))
        return b"".join(map(context.open, pieces))

    def fault(self, pdu):
        """The status of the fault that answers."""
        (answer,) = map(decode, self.say(pdu))
        assert isinstance(answer, Fault)
        return answer.status

    def last_words(self, pdu):
        """The status of the fault after which the connection ends."""
        with pytest.raises(PeerError):
            self.say(pdu)
        (answer,) = map(decode, self.heard)
        return answer.status


@pytest.fixture
def client():
    return Client(endpoint())


@pytest.mark.parametrize("level", [INTEGRITY, PRIVACY])
@pytest.mark.parametrize("kind", [NTLM, SPNEGO])
def test_calls_are_protected_both_ways(client, kind, level):
    context = Context(kind, level)
    ack = client.bind(context)
    assert ack.flags & SUPPORT_HEADER_SIGN
    assert (ack.auth.auth_type, ack.auth.auth_level, ack.auth.auth_context_id) == (kind, level, 79231)
    for stub in (b"", bytes(1), bytes(20), bytes(range(256)) * 20, bytes(9)):
        assert client.call(context, stub) == stub
    stub = bytes(range(250)) * 60
    pieces = [stub[i : i + 3000] for i in range(0, len(stub), 3000)]
    call_id = client.next()
    for number, piece in enumerate(pieces):
        flags = FIRST_FRAG * (number == 0) | LAST_FRAG * (number == len(pieces) - 1)
        heard = client.say(context.protect(Request(call_id, 0, 0, piece, flags)))
    assert max(map(len, heard)) <= 5840
    assert b"".join(map(context.open, heard)) == stub


@pytest.mark.parametrize("kind", [NTLM, SPNEGO])
def test_at_level_connect_calls_are_bare_but_have_a_user(client, kind):
    client.bind(Context(kind, CONNECT))
    (answer,) = client.say(Request(client.next(), 0, 1, b""))
    assert decode(answer) == Response(client.call_id, 0, b"user00001")


@pytest.mark.parametrize("user", ["CONTOSO\\user00001", "USER00001@contoso.test", "contoso.test\\User00001"])
def test_the_caller_is_known_by_the_alias(client, user):
    context = Context(user=user)
    client.bind(context)
    assert client.call(context, opnum=1) == b"user00001"


def test_several_contexts_on_one_association(client):
    first, second = Context(context_id=7), Context(SPNEGO, INTEGRITY, 8, "CONTOSO\\user00002")
    third = Context(NTLM, CONNECT, 9, "CONTOSO\\user00003")
    client.bind(first)
    client.add(second)
    assert client.fault(Request(client.next(), 0, 1, b"")) == ACCESS_DENIED
    client.add(third)
    for _ in range(2):
        assert client.call(first, opnum=1) == b"user00001"
        assert client.call(second, opnum=1) == b"user00002"
        assert decode(*client.say(Request(client.next(), 0, 1, b""))).stub == b"user00003"


def test_no_header_signing_if_either_side_does_without():
    assert Client(endpoint(header_signing=False)).bind(Context()).flags == WHOLE
    assert Client(endpoint()).bind(Context(), WHOLE).flags == WHOLE


@pytest.mark.parametrize(
    ("expired", "user", "password", "problem"),
    [
        ((), "CONTOSO\\user00001", "wrong", "WRONG_PASSWORD"),
        ((), "CONTOSO\\nobody", PASSWORD, "UNKNOWN_USER"),
        ((), "ELSEWHERE\\user00001", PASSWORD, "UNKNOWN_USER"),
        ((1,), "CONTOSO\\user00001", PASSWORD, "PASSWORD_EXPIRED"),
        ((1,), "CONTOSO\\user00001", "wrong", "WRONG_PASSWORD"),
    ],
)
def test_a_wrong_logon_shows_at_the_next_request(expired, user, password, problem):
    served = endpoint(expired=expired)
    client, context = Client(served), Context(user=user, password=password)
    client.bind(context)
    for _ in range(2):
        assert client.fault(context.protect(Request(client.next(), 0, 0, b""))) == ACCESS_DENIED
    assert served.statistics.refused_logons == {problem: 1}


def test_a_wrong_logon_by_spnego_ends_the_connection(client):
    context = Context(SPNEGO, password="wrong")
    contexts = (PresentationContext(0, ECHO),)
    ack = decode(*client.say(Bind(1, 5840, 5840, 0, contexts, auth=context.step())))
    last = AlterContext(2, 0, 0, 0, (), auth=context.step(ack.auth.token))
    assert client.last_words(last) == ACCESS_DENIED


def test_a_call_without_protection_in_a_protected_session_is_only_refused(client):
    context = Context()
    client.bind(context)
    bare = Request(client.next(), 0, 0, b"")
    assert decode(*client.say(bare)) == Fault(bare.call_id, 0, ACCESS_DENIED, WHOLE | DID_NOT_EXECUTE)
    assert client.call(context, b"still there") == b"still there"


@pytest.mark.parametrize("level", [INTEGRITY, PRIVACY])
@pytest.mark.parametrize("byte", [12, 20, 30, -20, -14, -1])
def test_a_changed_byte_ends_the_connection(client, level, byte):
    context = Context(level=level)
    client.bind(context)
    pdu = bytearray(context.protect(Request(client.next(), 0, 0, bytes(16))))
    pdu[byte] ^= 1
    expected = ACCESS_DENIED if byte == -20 else PACKAGE_ERROR
    if expected == ACCESS_DENIED:
        assert client.fault(bytes(pdu)) == expected
    else:
        assert client.last_words(bytes(pdu)) == expected


def test_requests_count(client):
    context = Context()
    client.bind(context)
    context.protect(Request(client.next(), 0, 0, b"lost on the way"))
    assert client.last_words(context.protect(Request(client.next(), 0, 0, b""))) == PACKAGE_ERROR


def test_a_token_of_another_size_is_a_wrong_signature(client):
    context = Context()
    client.bind(context)
    request = Request(client.next(), 0, 0, b"", auth=context.verifier(bytes(15)))
    assert client.last_words(request) == PACKAGE_ERROR


@pytest.mark.parametrize(
    ("changes", "status"),
    [
        ({"context_id": 5}, ACCESS_DENIED),
        ({"kind": SPNEGO}, ACCESS_DENIED),
        ({"level": INTEGRITY}, UNSUPPORTED_LEVEL),
    ],
)
def test_verifiers_of_other_kinds_are_refused(client, changes, status):
    context = Context()
    client.bind(context)
    other = Context(**{"kind": NTLM, "level": PRIVACY, "context_id": 79231} | changes)
    request = Request(client.next(), 0, 0, b"", auth=other.verifier(bytes(16)))
    assert client.fault(request) == status
    assert client.call(context, b"on") == b"on"


@pytest.mark.parametrize(
    ("minimum", "kind", "status"),
    [
        ("none", None, None),
        ("connect", None, ACCESS_DENIED),
        ("connect", CONNECT, None),
        ("integrity", CONNECT, ACCESS_DENIED),
        ("privacy", INTEGRITY, ACCESS_DENIED),
        ("privacy", PRIVACY, None),
    ],
)
def test_the_lowest_level_that_is_allowed(minimum, kind, status):
    client = Client(endpoint(rpc_minimum=minimum))
    contexts = (PresentationContext(0, ECHO), PresentationContext(1, mgmt.INTERFACE))
    context = kind and Context(level=kind)
    if context is None:
        client.say(Bind(1, 5840, 5840, 0, contexts))
    else:
        client.bind(context)
    requests = [Request(client.next(), number, 0, b"") for number in (0, 1)]
    if kind in (INTEGRITY, PRIVACY):
        requests = [context.protect(request) for request in requests]
    echo, managed = (decode(*client.say(request)) for request in requests)
    assert getattr(echo, "status", None) == status
    assert isinstance(managed, Response)


@pytest.mark.parametrize(
    ("auth", "reason"),
    [
        (AuthVerifier(16, PRIVACY, 0, b"Kerberos"), 8),
        (AuthVerifier(NTLM, 4, 0, b"NTLMSSP\0"), 8),
        (AuthVerifier(NTLM, PRIVACY, 0, b"no token"), 9),
        (AuthVerifier(SPNEGO, PRIVACY, 0, bytes.fromhex("a0023000")), 9),
    ],
)
def test_a_bind_that_cannot_be_authenticated(client, auth, reason):
    contexts = (PresentationContext(0, ECHO),)
    assert decode(*client.say(Bind(1, 5840, 5840, 0, contexts, auth=auth))) == BindNak(1, reason)
    client.bind(Context())


@pytest.mark.parametrize("auth", [AuthVerifier(16, PRIVACY, 1, b"x"), AuthVerifier(NTLM, PRIVACY, 1, b"x")])
def test_a_further_context_that_cannot_be_authenticated(client, auth):
    client.bind(Context())
    assert client.last_words(AlterContext(9, 0, 0, 0, (), auth=auth)) == ACCESS_DENIED


def test_an_auth3_of_nothing_ends_the_connection(client):
    client.bind(Context())
    with pytest.raises(RemoteProtocolError):
        client.say(Auth3(9, AuthVerifier(NTLM, PRIVACY, 5, b"x")))


def test_later_fragments_of_a_call_that_nobody_makes_are_passed_over(client):
    context = Context()
    client.bind(context)
    call_id = client.next()
    assert client.fault(Request(call_id, 0, 0, b"a", FIRST_FRAG)) == ACCESS_DENIED
    assert client.say(Request(call_id, 0, 0, b"b", LAST_FRAG)) == []
    assert client.call(context, b"on") == b"on"


def test_the_fragments_of_a_call_are_of_one_context(client):
    first, second = Context(context_id=1), Context(context_id=2)
    client.bind(first)
    client.add(second)
    call_id = client.next()
    assert client.say(first.protect(Request(call_id, 0, 0, b"a", FIRST_FRAG))) == []
    assert client.last_words(second.protect(Request(call_id, 0, 0, b"b", LAST_FRAG))) == 0x1C01000B


GOOD = VerificationTrailer(1, (ECHO, NDR))


@pytest.mark.parametrize(
    ("trailer", "flags", "status"),
    [
        (GOOD, WHOLE | SUPPORT_HEADER_SIGN, None),
        (VerificationTrailer(0, (ECHO, NDR)), WHOLE, None),
        (VerificationTrailer(header=RequestHeader(0, 0x10, 3, 0, 0)), WHOLE, None),
        (GOOD, WHOLE, ACCESS_DENIED),
        (VerificationTrailer(1, (OTHER, NDR)), WHOLE | SUPPORT_HEADER_SIGN, ACCESS_DENIED),
        (VerificationTrailer(header=RequestHeader(0, 0x10, 3, 0, 1)), WHOLE, ACCESS_DENIED),
    ],
)
def test_what_the_client_meant_is_what_came(client, trailer, flags, status):
    context = Context()
    client.bind(context, flags)
    (answer,) = client.say(context.protect(Request(client.next(), 0, 0, b"stub" + trailer.encode())))
    assert client.call_id == 3
    if status is None:
        assert context.open(answer) == b"stub"
    else:
        assert decode(answer).status == status


def test_a_broken_trailer_is_a_bad_stub(client):
    context = Context()
    client.bind(context)
    stub = GOOD.encode()[:-1]
    assert client.fault(context.protect(Request(client.next(), 0, 0, stub))) == 0x6F7


def test_an_anonymous_client_is_nobody_s_namesake(client):
    negotiate = b"NTLMSSP\0" + struct.pack("<II16x", 1, 0xE0888235)
    context = Context(level=CONNECT)
    contexts = (PresentationContext(0, ECHO),)
    client.say(Bind(1, 5840, 5840, 0, contexts, auth=context.verifier(negotiate)))
    nothing = struct.pack("<HHI", 0, 0, 64)
    authenticate = b"NTLMSSP\0" + struct.pack("<I", 3) + nothing * 6 + struct.pack("<I", 0xA0888A05)
    assert client.say(Auth3(1, context.verifier(authenticate))) == []
    assert decode(*client.say(Request(2, 0, 1, b""))).stub == b"ANONYMOUS LOGON"
