"""The acceptor of NTLM against worked examples: [MS-NLMP] 4.2, and a session that Wireshark opened."""

import hashlib
import hmac

import pytest

from loadgen.errors import PeerError, RemoteProtocolError
from loadgen.wire import ntlm
from loadgen.wire.ntlm import Authenticate, Challenge, Negotiate
from mock_server.directory import Directory, Organisation
from mock_server.security.accounts import Accounts, LogonProblem, LogonRefused
from mock_server.security.ntlm import NtlmAcceptor, NtlmServer
from mock_server.security.ntlm_cryptography import Rc4, nt_hash
from mock_server.security.ntlm_session import BadSignature, Direction, NtlmSession

SIGNED = 0xE28A8235
KEY = bytes.fromhex("aff1eb441334a542740e0a33e02ed9f7")  # of the session in rpc-over-http.md 8.15
SEALED, TRAILER = slice(24, 56), slice(56, 64)


def acceptor(alias="user{index:04d}", domain="example.test", password="Passw0rd!", challenge=bytes(8)):
    directory = Directory(Organisation(domain=domain, alias=alias), 3)
    accounts = Accounts(directory, password)
    return NtlmAcceptor(NtlmServer(accounts, "MBX1", domain, lambda: challenge, lambda: 0.0))


def begun(challenge, **more):
    """An acceptor whose client is about to answer."""
    started = acceptor(challenge=challenge, **more)
    started.step(Negotiate(0xE2888237).encode())
    return started


def test_hashes():
    assert nt_hash("Password").hex() == "a4f49c406510bdcab6824ee7c30fd852"  # [MS-NLMP] 4.2.2.1.2
    assert nt_hash("Passw0rd!").hex() == "fc525c9683e8fe067095ba2ddc971889"


def test_rc4():
    stream = Rc4(bytes.fromhex("0102030405"))  # RFC 6229
    assert (stream.update(bytes(8)) + stream.update(bytes(8))).hex() == "b2396305f03dc027ccc3524a0a1118a8"


def test_the_example_of_the_specification_is_let_in(vector):
    """[MS-NLMP] 4.2.4, and what its client signs and seals first."""
    server = begun(bytes.fromhex("0123456789abcdef"), alias="User", domain="Domain.test", password="Password")
    assert server.step(vector("ntlm/authenticate_nlmp.hex")) == b""
    assert (server.complete, server.user.alias) == (True, "User")
    incoming = server.session.incoming
    text = "Plaintext".encode("utf-16-le")
    assert incoming.crypt(bytes.fromhex("54e50165bf1936dc996020c1811b0f06fb5f")) == text
    incoming.check(text, bytes.fromhex("010000007fb38ec5c55d497600000000"))


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"password": "password"}, LogonProblem.WRONG_PASSWORD),
        ({"alias": "Usor"}, LogonProblem.UNKNOWN_USER),
        ({"domain": "Other.test"}, LogonProblem.UNKNOWN_USER),
        ({"challenge": bytes(8)}, LogonProblem.WRONG_PASSWORD),
    ],
)
def test_nobody_else_is(vector, changes, problem):
    good = {"alias": "User", "domain": "Domain.test", "password": "Password"}
    server = begun(**{"challenge": bytes.fromhex("0123456789abcdef")} | good | changes)
    with pytest.raises(LogonRefused) as refusal:
        server.step(vector("ntlm/authenticate_nlmp.hex"))
    assert refusal.value.problem is problem
    assert not server.complete


def test_a_response_of_ntlm_1_is_none():
    server = begun(bytes(8))
    message = Authenticate(SIGNED, "user0001", "EXAMPLE", lm_response=bytes(24), nt_response=bytes(24))
    with pytest.raises(LogonRefused, match="wrong_password"):
        server.step(message.encode())


def test_a_recorded_proof_without_the_four_zeros(vector):
    """impacket ends its blob at the last AV pair; the password is that of the recording."""
    challenge = Challenge.decode(vector("ntlm/challenge_http_recorded.hex")).server_challenge
    server = begun(challenge, alias="u{index:03d}", domain="example")
    server.step(vector("ntlm/authenticate_http_recorded.hex"))
    assert server.user.alias == "u001"


def test_messages_come_once(vector):
    server = begun(bytes(8))
    server.step(Authenticate(0xA0888A05, "").encode())
    assert (server.complete, server.user) == (True, None)
    with pytest.raises(RemoteProtocolError):
        server.step(Authenticate(0xA0888A05, "").encode())
    with pytest.raises(PeerError):
        acceptor().step(vector("ntlm/authenticate_nlmp.hex"))


@pytest.mark.parametrize("offered", [0x00000207, 0x00000206, 0x60088215, SIGNED])
def test_what_is_granted_was_offered(offered):
    challenge = Challenge.decode(acceptor().step(Negotiate(offered).encode()))
    charsets = challenge.flags & (ntlm.NEGOTIATE_UNICODE | ntlm.NEGOTIATE_OEM)
    assert charsets == (ntlm.NEGOTIATE_UNICODE if offered & 1 else ntlm.NEGOTIATE_OEM)
    told = ntlm.TARGET_TYPE_DOMAIN | ntlm.NEGOTIATE_TARGET_INFO
    assert challenge.flags & ~told & ~offered == 0
    assert challenge.target_name == "EXAMPLE"


def test_a_sealed_session(vector):
    session = NtlmSession(KEY, SIGNED)
    request, response = vector("pdu/request_sealed.hex"), vector("pdu/response_sealed.hex")
    stub = session.incoming.crypt(request[SEALED])
    assert stub[:20].hex() == "00000000" + "".join(f"{byte:02x}" for byte in range(0xA0, 0xB0))
    session.incoming.check(request[:24] + stub + request[TRAILER], request[64:])
    sealed = session.outgoing.crypt(bytes(32))
    assert sealed == response[SEALED]
    assert session.outgoing.token(response[:24] + bytes(32) + response[TRAILER]) == response[64:]


def test_a_signed_session(vector):
    request = vector("pdu/request_signed.hex")
    incoming = NtlmSession(KEY, SIGNED).incoming
    incoming.check(request[:64], request[64:])
    with pytest.raises(BadSignature):
        incoming.check(request[:64], request[64:])


@pytest.mark.parametrize(("flags", "size"), [(ntlm.NEGOTIATE_128, 16), (ntlm.NEGOTIATE_56, 7), (0, 5)])
def test_weaker_keys_seal_otherwise_but_sign_alike(flags, size):
    """[MS-NLMP] 3.4.5.3; without key exchange the checksum is sent as it is."""
    name = b"server-to-client"
    direction = Direction(KEY, flags, name)
    magic = b"session key to server-to-client sealing key magic constant\0"
    assert direction.crypt(bytes(8)) == Rc4(hashlib.md5(KEY[:size] + magic).digest()).update(bytes(8))
    signing = hashlib.md5(KEY + magic.replace(b"sealing", b"signing")).digest()
    assert direction.token(b"text")[4:12] == hmac.digest(signing, bytes(4) + b"text", "md5")[:8]
