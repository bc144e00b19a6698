"""Samba's RPC client against the mock: HTTP/1.0, strict about ranges in CONN/A3 and CONN/C2, sends no ack."""

import json
from collections.abc import Iterator

import pytest

from tests.end_to_end.mock_organisation import MockOrganisation, running_mock
from tests.oracle import samba

pytestmark = [pytest.mark.judge, pytest.mark.timeout(60), samba.needs_samba]

DOMAIN = "CONTOSO"
OFFERED = {
    ("MBX1", 6001): {"a4f1db00-ca47-1067-b31f-00dd010662da", "5261574a-4572-206e-b268-6b199213b4e4"},
    ("MBX1", 6002): {"1544f5e0-613c-11d1-93df-00c04fd7bd09"},
    ("MBX1", 6004): {"f5cc5a18-4264-101a-8c59-08002b2f8426"},
    ("PF1", 6001): {"a4f1db00-ca47-1067-b31f-00dd010662da", "5261574a-4572-206e-b268-6b199213b4e4"},
}
MGMT = "afa8bd80-7d8a-11c9-bef4-08002b102989"


@pytest.fixture(scope="module", params=["plain", "chunked"])
def mock(request, tmp_path_factory) -> Iterator[MockOrganisation]:
    """Samba has one name for HTTP and RPC, and leaves RPC bare only if it is empty: so it is here."""
    changes = ("--set", f"http.framing={request.param}", "--set", "accounts.alias=''")
    with running_mock(tmp_path_factory.mktemp("mock"), *changes, users=1) as started:
        yield started


@pytest.mark.parametrize(("server", "port"), OFFERED)
def test_samba_asks_every_endpoint_for_its_interfaces(mock, server: str, port: int):
    binding = (
        f"ncacn_http:{server}[{port},RpcProxy={mock.host}:{mock.port},HttpUseTls=false,HttpAuthOption=basic]"
    )
    account = mock.account(0)
    (line,) = samba.run(samba.ASK_MANAGEMENT, [DOMAIN, account.alias, account.password, binding])
    answer = json.loads(line)
    assert set(answer["uuids"]) - {MGMT} == OFFERED[server, port]
    assert answer["listening"] == [0, 1]
    mock.wait_until_idle()


def test_samba_is_refused_with_a_wrong_password(mock):
    binding = f"ncacn_http:MBX1[6001,RpcProxy={mock.host}:{mock.port},HttpUseTls=false,HttpAuthOption=basic]"
    with pytest.raises(AssertionError, match="NTSTATUSError"):
        samba.run(samba.ASK_MANAGEMENT, [DOMAIN, mock.account(0).alias, "wrong", binding])
    mock.wait_until_idle()
