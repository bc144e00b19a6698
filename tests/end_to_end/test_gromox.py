"""The generator against a mock that is a Gromox: nothing but the dialect's data tells it so."""

import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

import msgspec
import pytest
from msgspec.structs import replace

from loadgen.client.client_type import ClientType
from loadgen.client.dialect import Dialect
from loadgen.client.transport import ConnectionOptions
from loadgen.errors import ConnectionLost, MapiError, RpcFault
from loadgen.measure.connections import KernelCounter, MockCounter, organisation_filters
from loadgen.protocol.security import Level
from loadgen.workload import library
from tests.end_to_end.mock_organisation import MockOrganisation, running_mock
from tests.end_to_end.person import CLIENT_TYPES, Person, logged_on

GROMOX = library.read("dialect", "gromox", Dialect)
TYPES = {name: GROMOX.adapt(kind) for name, kind in CLIENT_TYPES.items() if kind.transport == "http"}
ACCESS_DENIED = 0x80070005
UNKNOWN_NAME = 0x80040115
AT_LEVEL = "Mock\\RPC Calls at Level "
NTLM = ("--set", 'security.http=["basic", "ntlm"]')

every_type = pytest.mark.parametrize("client_type", TYPES.values(), ids=TYPES)


@pytest.fixture(scope="module")
def mock(tmp_path_factory) -> Iterator[MockOrganisation]:
    with running_mock(tmp_path_factory.mktemp("gromox"), *NTLM, "--", "gromox") as started:
        yield started


@pytest.fixture(autouse=True)
def idle(mock) -> Iterator[None]:
    yield
    mock.wait_until_idle()


def calls_by_level(mock: MockOrganisation) -> Counter[str]:
    """How many calls its servers have taken at each level of RPC security."""
    counted: Counter[str] = Counter()
    for counters in mock.counters()["roles"].values():
        counted.update({name: int(counters.get(AT_LEVEL + name, 0)) for name in get_args(Level)})
    return counted


def person(mock: MockOrganisation, index: int, client_type: ClientType, **more) -> Person:
    return Person(mock, index, client_type, dialect=GROMOX, **more)


@every_type
async def test_a_users_day(mock, client_type):
    sender, reader = (person(mock, index, client_type) for index in (1, 2))
    async with logged_on(sender, reader):
        filters = organisation_filters(msgspec.to_builtins(mock.organisation))
        counted = await KernelCounter(filters)(), await MockCounter(mock.organisation.counters_url)()
        opened = 2 * sum(sum(each.client.virtual_connections.values()) for each in (sender, reader))
        assert [each["client_to_cas"] for each in counted] == [opened, opened]
        assert {count for each in counted for column, count in each.items() if column != "client_to_cas"} == {
            None
        }
        await sender.client.end_startup()
        await sender.send("a-day", reader, size=50_000)
        (message,) = await reader.news()
        await reader.client.read_message(message.message_id, "a-day")
        await reader.client.delete_message(message.message_id)
        await reader.client.browse_address_book()
        for each in (sender, reader):
            await each.client.log_off()
            assert each.lost == []


@pytest.mark.parametrize(
    "options",
    [
        {"auth": ("basic",), "rpc_security": "connect"},
        {"auth": ("basic",), "rpc_security": "integrity"},
        {"auth": ("basic",), "rpc_security": "privacy"},
        {"auth": ("ntlm",)},
    ],
    ids=["connect", "integrity", "privacy", "HTTP NTLM"],
)
async def test_security(mock, options):
    """The server takes each call at the level that was asked for, and none at another one."""
    before = calls_by_level(mock)
    user = person(mock, 3, TYPES["outlook2013-anywhere"], options=ConnectionOptions(**options))
    async with logged_on(user):
        await user.client.browse_address_book()
        await user.client.log_off()
    made = calls_by_level(mock) - before
    assert set(made) == {options.get("rpc_security", "none")}, made


async def test_ntlm_twice_is_refused(mock):
    """The password for RPC is the one that HTTP has brought, and NTLM brings none."""
    options = ConnectionOptions(auth=("ntlm",), rpc_security="privacy")
    user = person(mock, 3, TYPES["outlook2013-anywhere"], options=options)
    with pytest.raises(RpcFault) as refusal:
        await user.client.log_on()
    assert refusal.value.status == 5
    user.client.abort()


@pytest.mark.parametrize(
    ("name", "code"),
    [("/cn=user00004", ACCESS_DENIED), ("/cn=nobody", UNKNOWN_NAME)],
    ids=["other", "unknown"],
)
async def test_the_name_must_be_that_of_who_logged_on(mock, name, code):
    account = mock.account(3)
    other = mock.account(4).legacy_dn if code == ACCESS_DENIED else account.legacy_dn + name
    user = person(mock, 3, TYPES["loadgen-2007-online"], account=replace(account, legacy_dn=other))
    with pytest.raises(MapiError) as refusal:
        await user.client.log_on()
    assert refusal.value.code == code
    user.client.abort()


async def test_a_port_where_nobody_is(mock):
    """The TCP connection ends without an answer once CONN/A1 has come."""
    ports = msgspec.structs.replace(GROMOX.ports, store=6003)
    user = Person(mock, 3, TYPES["loadgen-2007-online"], dialect=msgspec.structs.replace(GROMOX, ports=ports))
    with pytest.raises(ConnectionLost):
        await user.client.log_on()
    user.client.abort()


def run(tmp_path: Path, *words: str, **environment: str) -> tuple[int, dict, str]:
    """Exit code, summary and what was said."""
    out = tmp_path / "results"
    command = [sys.executable, "-m", "loadgen", "run", *words, "--out", str(out)]
    ended = subprocess.run(
        command, capture_output=True, text=True, timeout=200, check=False, env=os.environ | environment
    )
    summaries = [json.loads(path.read_text()) for path in out.glob("*/summary.json")]
    return ended.returncode, summaries[0] if summaries else {}, ended.stdout + ended.stderr


SHORT = ("--speed", "720", "--duration", "4s", "--ramp", "1s", "--startup-hold", "2s", "--hold", "0s")
GROUPS = ("--group", "3:outlook2013-anywhere:light", "--group", "4:outlook2007-online-anywhere:medium")
PATIENT = ("--invalid-lag", "10s", "--unfinished-per-user", "20")


def test_a_campaign(tmp_path):
    code, summary, said = run(tmp_path, *GROUPS, *SHORT, *PATIENT, "--topology", "gromox")
    assert (code, summary.get("verdict")) == (0, "PASS"), said
    peak = summary["connections"]["peak"]["client_to_cas"]
    assert len({peak[party] for party in ("expected", "client", "kernel", "mock")}) == 1


def test_a_campaign_that_has_to_discover_it_by_referral_and_directory(mock, tmp_path):
    cas = mock.organisation.cas[0]
    users = ("--users-pattern", "user{index:05d}@example.test", "--users-range", "5-11")
    way = (
        "--autodiscover",
        "off",
        "--rpc-server",
        "any-name",
        "--target",
        f"http://{cas.address}:{cas.port}",
    )
    password = mock.organisation.accounts.password
    code, summary, said = run(tmp_path, *way, *users, *GROUPS, *SHORT, *PATIENT, LOADGEN_PASSWORD=password)
    assert (code, summary.get("verdict")) == (0, "PASS"), said
    assert "dialect: gromox, since mailboxes have names as Gromox makes them" in said


def test_a_campaign_that_has_to_discover_it(mock, tmp_path):
    cas = mock.organisation.cas[0]
    users = ("--users-pattern", "user{index:05d}@example.test", "--users-range", "5-11")
    password = mock.organisation.accounts.password
    target = ("--target", f"http://{cas.address}:{cas.port}")
    code, summary, said = run(tmp_path, *target, *users, *GROUPS, *SHORT, *PATIENT, LOADGEN_PASSWORD=password)
    assert (code, summary.get("verdict")) == (0, "PASS"), said
    assert "dialect: gromox, since mailboxes have names as Gromox makes them" in said
