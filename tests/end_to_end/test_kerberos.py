"""HTTP authentication with Kerberos, judged by MIT's KDC and Apache, and what is said where it is missing."""

import json
import subprocess
import sys
from collections.abc import Iterator

import pytest

from tests.end_to_end.mock_organisation import MockOrganisation, running_mock
from tests.oracle.realm import GATE, PORT, Realm, needs_kerberos, running_realm

pytestmark = [pytest.mark.judge, needs_kerberos]


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
