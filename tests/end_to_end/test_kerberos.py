"""Kerberos, judged by MIT's KDC and library and by Apache, and what is said where it is missing."""

import json
import subprocess
import sys
from collections.abc import Iterator

import pytest
import spnego
from msgspec.structs import replace
from spnego.iov import BufferType

from loadgen.protocol.security import INTEGRITY, PRIVACY, RpcSecurity
from loadgen.protocol.security_context import SecurityContext
from loadgen.wire import pdu
from tests.end_to_end.mock_organisation import MockOrganisation, running_mock
from tests.oracle.realm import GATE, PORT, Realm, needs_kerberos, running_realm

pytestmark = [pytest.mark.judge, needs_kerberos]

SERVICE, HOST = "exchangeMDB", "mbx1.contoso.test"
LEVELS = {"integrity": INTEGRITY, "privacy": PRIVACY}
BUFFERS = (BufferType.sign_only, BufferType.data, BufferType.sign_only, BufferType.header)


@pytest.fixture(scope="module")
def mock(tmp_path_factory) -> Iterator[MockOrganisation]:
    with running_mock(tmp_path_factory.mktemp("mock")) as started:
        yield started


@pytest.fixture(scope="module")
def realm(mock) -> Iterator[Realm]:
    with running_realm(mock) as started:
        yield started


def check(target: str, realm: Realm, environment: dict[str, str], *options: str) -> dict:
    """What ``loadgen check`` finds, for a user whose address has the realm in small letters."""
    command = [sys.executable, "-m", "loadgen", "check", target, "--json", "--user", realm.account.smtp]
    ended = subprocess.run(
        [*command, *options],
        env=environment | {"LOADGEN_PASSWORD": realm.account.credentials.password},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert ended.returncode in (0, 3), ended.stderr
    found: dict = json.loads(ended.stdout)
    return found


def check_gate(realm: Realm, environment: dict[str, str], *options: str) -> dict:
    resolve = f"--resolve={GATE}={realm.address}"
    return check(f"http://{GATE}:{PORT}", realm, environment, resolve, *options)


@pytest.mark.parametrize("auth", ["negotiate", "auto"])
def test_a_ticket_opens_every_channel(realm, auth):
    """Apache knows the principal in each request but the two that ask what it offers."""
    known = len(realm.requests())
    result = check_gate(realm, realm.with_ticket, "--auth", auth)
    assert result["passed"], result["steps"]
    assert result["seen"]["scheme_used"] == "Negotiate Kerberos"
    requests = realm.requests()[known:]
    opened = [user for method, status, user in requests if (method, status) == ("RPC_OUT_DATA", "200")]
    assert opened == [realm.principal] * 4
    assert ("POST", "200", realm.principal) in requests
    assert [user for _, _, user in requests].count("-") == 2


@pytest.mark.parametrize("auth", ["negotiate", "auto"])
def test_without_a_ticket_it_is_said_what_is_missing(realm, auth):
    result = check_gate(realm, realm.environment, "--auth", auth)
    failures = {step["name"]: step["failure"] for step in result["steps"] if step["outcome"] == "failed"}
    assert {failures["autodiscover"], failures["http"]} == {"no_ticket"}
    said = "".join(step["detail"] for step in result["steps"])
    assert f"Can't find client principal {realm.principal} in cache collection" in said


def test_without_a_ticket_ntlm_is_taken_where_it_is_offered(mock, realm):
    result = check(f"http://{mock.host}:{mock.port}", realm, realm.environment, "--auth", "negotiate")
    assert result["passed"], result["steps"]
    assert result["seen"]["scheme_used"] == "Negotiate"


def test_a_ticket_does_not_keep_from_a_server_that_knows_ntlm_alone(mock, realm):
    result = check(f"http://{mock.host}:{mock.port}", realm, realm.with_ticket, "--auth", "negotiate")
    assert result["passed"], result["steps"]
    assert result["seen"]["scheme_used"] == "Negotiate"


class Acceptor:
    """MIT's library as the server's side of an association's security."""

    def __init__(self, level: str) -> None:
        self.level = LEVELS[level]
        self.context = spnego.server(
            hostname=HOST,
            service=SERVICE,
            protocol="negotiate",
            options=spnego.NegotiateOptions.use_negotiate,
            context_req=spnego.ContextReq.default | spnego.ContextReq.dce_style,
        )

    def open(self, whole: bytes) -> bytes:
        """The stub of a request, with what fills it up, once its signature has been found right."""
        end = len(whole) - int.from_bytes(whole[10:12], "little")
        if self.level == LEVELS["integrity"]:
            self.context.verify(whole[:end], whole[end:])
            return whole[24 : end - 8]
        parts = [whole[:24], whole[24 : end - 8], whole[end - 8 : end], whole[end:]]
        opened = self.context.unwrap_iov(list(zip(BUFFERS, parts, strict=True)))
        return opened.buffers[1].data

    def close(self, stub: bytes) -> bytes:
        """A response to call 2, of a stub of whole blocks."""
        size = 76 if self.level == LEVELS["privacy"] else 28  # [RFC 4121] 4.2.6, with AES and SHA-1
        auth = pdu.AuthVerifier(9, self.level, 1, bytes(size))
        plain = pdu.Response(2, 0, stub, auth=auth).encode()
        end = len(plain) - size
        if self.level == LEVELS["integrity"]:
            return plain[:end] + self.context.sign(plain[:end])
        parts = [plain[:24], plain[24 : end - 8], plain[end - 8 : end]]
        sealed = self.context.wrap_iov([*zip(BUFFERS, parts, strict=False), BufferType.header])
        return plain[:24] + sealed.buffers[1].data + plain[end - 8 : end] + sealed.buffers[3].data


@pytest.mark.parametrize("level", LEVELS)
def test_calls_are_signed_and_sealed_as_mits_library_does(realm, monkeypatch, level):
    for name, value in (realm.with_ticket | {"KRB5_KTNAME": realm.key_of(SERVICE, HOST)}).items():
        monkeypatch.setenv(name, value)
    server = Acceptor(level)
    context = SecurityContext("negotiate", realm.account.credentials, SERVICE, HOST, dce=True)
    client = RpcSecurity(level, context)
    leg = client.first_leg()
    assert context.has_ticket
    while leg is not None:
        leg = client.answer(replace(leg, token=server.context.step(leg.token)))
    assert server.context.client_principal == realm.principal
    for _ in range(3):
        request = pdu.Request(2, 0, 10, b"thirteen byte")
        assert server.open(client.wrap(request)) == b"thirteen byte" + bytes(3)
        assert client.unwrap(server.close(b"sixteen letters.")).stub == b"sixteen letters."
