"""``loadgen check`` against a mock organisation: well, and with one thing wrong at a time."""

import asyncio
import json
import os
import re
import subprocess
import sys
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from loadgen.check.checkup import check as take_check
from loadgen.check.result import steps_of
from loadgen.check.subject import Subject
from loadgen.client.client_type import ClientType
from loadgen.client.transport import ConnectionOptions
from loadgen.trace.tracer import Tracer
from loadgen.workload import library
from tests.end_to_end.mock_organisation import running_mock
from tests.oracle.tshark import needs_tshark

PORTS = 'http.valid_ports=["MBX1:6001-6002", "mbx1.contoso.test:6001-6002", "PF1:6001"]'
DOCS = Path(__file__).parent.parent.parent / "docs" / "check.md"


@pytest.fixture(scope="module")
def secured(tmp_path_factory):
    with running_mock(tmp_path_factory.mktemp("tls"), "--set", "http.tls=true") as started:
        yield started


def check(*arguments, password=None):
    """Exit code, what it says, and its lines of error."""
    environment = {name: value for name, value in os.environ.items() if name != "LOADGEN_PASSWORD"}
    if password is not None:
        environment["LOADGEN_PASSWORD"] = password
    done = subprocess.run(
        [sys.executable, "-m", "loadgen", "check", *arguments],
        capture_output=True,
        text=True,
        timeout=100,
        env=environment | {"COLUMNS": "80"},
        check=False,
    )
    return done.returncode, done.stdout, done.stderr


def result_of(*arguments, password=None):
    code, output, errors = check(*arguments, "--json", password=password)
    assert code in (0, 3), errors
    result = json.loads(output)
    assert code == (0 if result["passed"] else 3)
    return result


def running(mock):
    return f"mock={mock.organisation.counters_url}"


def failed(result):
    return {step["name"]: step["failure"] for step in result["steps"] if step["outcome"] == "failed"}


def passed(result):
    return [step["name"] for step in result["steps"] if step["outcome"] == "passed"]


def test_all_is_well(mock):
    result = result_of(running(mock))
    assert passed(result) == [name for name in steps_of("http") if name != "tls"]
    assert result["seen"]["schemes_offered"] == ["Negotiate", "NTLM", "Basic"]
    assert result["seen"]["framing"] == "Content-Length"
    assert result["seen"]["connection_timeout_ms"] == 120_000
    assert re.fullmatch(r"8\.\d+\.\d+\.\d+", result["seen"]["server_version"])


def test_the_table_is_that_of_the_manual():
    """With a mock of its own; times, ports and addresses are each one's own."""
    code, output, _ = check("mock")
    assert code == 0
    manual = DOCS.read_text(encoding="utf-8")
    assert all(len(line) <= 80 for line in output.splitlines())

    def comparable(text):
        text = re.sub(r"127\.\d+\.\d+\.\d+", "ADDRESS", text)
        return [re.sub(r"[\d.]+|[ …]+", " ", line).strip() for line in text.splitlines() if line.strip()]

    shown = comparable(manual[manual.index("$ loadgen check mock") :].partition("```")[0])[1:]
    assert [line[:40] for line in comparable(output)] == [line[:40] for line in shown]


def test_a_real_address_and_a_users_file_will_do(mock, tmp_path):
    cas = mock.organisation.cas[0]
    users = tmp_path / "users.csv"
    users.write_text(f"mailbox,password\nuser00003@contoso.test,{mock.organisation.accounts.password}\n")
    users.chmod(0o600)
    target = f"http://{cas.address}:{cas.port}"
    result = result_of(target, "--users-file", str(users), "--public_folder_server", "PF1")
    assert (result["mailbox"], failed(result)) == ("user00003@contoso.test", {})
    assert result["seen"]["dialect"] == "exchange2007"
    assert result["seen"]["dialect_suggested"] == ""
    assert "mailbox" in passed(result)


def test_auto_begins_with_what_autodiscover_publishes(mock, secured):
    """The first of the mock's schemes, which is Basic: over TLS, and never in the clear."""
    for organisation, used in ((mock, "Negotiate"), (secured, "Basic")):
        proxy, account = organisation.proxy, organisation.account(3)
        target = f"{'https' if proxy.tls else 'http'}://{proxy.host}:{proxy.port}"
        options = ("--ca-file", proxy.tls_settings.ca_file) if proxy.tls else ()
        result = result_of(target, "--user", account.smtp, *options, password=account.credentials.password)
        assert failed(result) == {}
        assert result["seen"]["scheme_used"] == used


def test_what_the_store_tells_of_itself_suggests_a_dialect(mock):
    """Without Autodiscover nothing says before the logon what server it is."""
    cas = mock.organisation.cas[0]
    account = mock.account(2)
    target = f"http://{cas.address}:{cas.port}"
    options = ("--user", account.smtp, "--autodiscover", "off", "--rpc-server", "MBX1")
    result = result_of(target, *options, password=account.credentials.password)
    assert failed(result) == {}
    assert result["seen"]["dialect"] == "unknown"
    why = f"its mailbox store tells version {result['seen']['server_version']}"
    assert result["seen"]["dialect_suggested"] == f"exchange2007 ({why})"
    _, shown, _ = check(target, *options, password=account.credentials.password)
    assert "it looks like another: say --dialect exchange2007" in shown
    chosen = result_of(target, *options, "--dialect", "gromox", password=account.credentials.password)
    assert chosen["seen"]["dialect_suggested"] == ""


def test_with_tls_ntlm_and_privacy_and_a_trace(secured, tmp_path):
    trace = tmp_path / "trace"
    options = ("--auth", "ntlm", "--rpc_security", "privacy", "--trace", str(trace))
    result = result_of(running(secured), *options)
    assert (failed(result), result["seen"]["scheme_used"]) == ({}, "NTLM")
    text = trace.read_text()
    for expected in ("CONN/A1", "CONN/C2", "NSPI.NspiBind", "EMSMDB.EcDoConnectEx, NTLM privacy", "POST /"):
        assert expected in text, expected
    password = secured.organisation.accounts.password
    assert password not in text
    assert password.encode() not in (tmp_path / "trace.pcap").read_bytes()


@needs_tshark
@pytest.mark.judge
def test_wireshark_reads_the_capture(secured, tmp_path):
    pcap = tmp_path / "given.pcap"
    assert failed(result_of(running(secured), "--auth", "basic", "--trace_pcap", str(pcap))) == {}
    command = ["tshark", "-r", str(pcap)]
    shown = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    for expected in ("CONN/A1", "CONN/B1", "CONN/C2", "NspiBind request", "RfrGetNewDSA response"):
        assert expected in shown, expected
    assert "Malformed" not in shown


def test_a_wrong_password(mock):
    result = result_of(running(mock), password="guessed")
    assert failed(result) == {"autodiscover": "wrong_password", "http": "wrong_password"}


def test_a_wrong_authority(secured, tmp_path):
    other = tmp_path / "other"
    other.mkdir()
    with running_mock(other, "--set", "http.tls=true", users=1) as stranger:
        result = result_of(running(secured), "--ca_file", stranger.organisation.ca_file)
    assert failed(result) == {"tls": "tls_unknown_authority"}
    code, _, errors = check(running(secured), "--tls_insecure", "true")
    assert (code, "WARNING: tls_insecure" in errors) == (0, True)


def test_a_port_that_is_not_allowed(tmp_path):
    with running_mock(tmp_path, "--set", PORTS) as organisation:
        result = result_of(running(organisation))
    assert failed(result) == {"rts_directory": "server_unavailable"}
    assert {"mailbox", "inbox", "public_folders"} <= {*passed(result)}


def test_calls_that_are_to_be_protected(tmp_path):
    with running_mock(tmp_path, "--set", "security.rpc_minimum=privacy") as organisation:
        result = result_of(running(organisation))
        assert failed(result)["referral"] == "access_denied"
        assert failed(result_of(running(organisation), "--rpc_security", "privacy")) == {}


def test_a_mailbox_on_another_server(mock, tmp_path):
    cas, account = mock.organisation.cas[0], mock.account(1)
    users = tmp_path / "users.csv"
    row = f"{account.smtp},{account.password},MBX1,{account.legacy_dn},{account.display_name}"
    users.write_text(f"mailbox,password,server,dn,display_name\n{row}\n")
    users.chmod(0o600)
    options = ("--users-file", str(users), "--autodiscover", "off")
    result = result_of(f"http://{cas.address}:{cas.port}", *options)
    (step,) = (step for step in result["steps"] if step["name"] == "mailbox")
    assert (step["failure"], "MBX2" in step["detail"]) == ("wrong_server", True)
    assert "inbox" in passed(result)


def test_a_distinguished_name_that_is_nobodys(mock, tmp_path):
    cas, account = mock.organisation.cas[0], mock.account(0)
    users = tmp_path / "users.csv"
    row = f"{account.smtp},{account.password},MBX1,/o=Contoso/cn=nobody,{account.display_name}"
    users.write_text(f"mailbox,password,server,dn,display_name\n{row}\n")
    users.chmod(0o600)
    options = ("--users-file", str(users), "--autodiscover", "off")
    found = failed(result_of(f"http://{cas.address}:{cas.port}", *options))
    assert (found["directory"], found["mailbox"]) == ("wrong_dn", "unknown_user")


RESPONSE = b"\5\0\2\3"


@asynccontextmanager
async def corrupting(mock):
    """The port of a wire that turns the last bit of each answer around."""
    address, tasks = mock.base_address.removesuffix(".0") + ".210", []

    async def pump(source, target, *, corrupt):
        while data := await source.read(1 << 16):
            spoilt = data[:-1] + bytes((data[-1] ^ 1,))
            target.write(spoilt if corrupt and data.startswith(RESPONSE) else data)

    async def serve(reader, writer):
        tasks.append(asyncio.current_task())
        from_server, to_server = await asyncio.open_connection(mock.host, mock.port)
        ways = pump(reader, to_server, corrupt=False), pump(from_server, writer, corrupt=True)
        pumps = [asyncio.create_task(way) for way in ways]
        await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
        for end in (writer, to_server):
            end.transport.abort()
        await asyncio.gather(*pumps, return_exceptions=True)

    server = await asyncio.start_server(serve, address, 0)
    yield address, server.sockets[0].getsockname()[1]
    server.close()
    await asyncio.gather(*tasks, return_exceptions=True)


@pytest.mark.parametrize("level", ["integrity", "privacy"])
async def test_an_answer_that_was_changed_on_the_way(mock, level):
    async with corrupting(mock) as (host, port):
        subject = Subject(
            target="a wire",
            host=host,
            port=port,
            tls=False,
            account=mock.account(0),
            client=library.read("client", "outlook2007-online-anywhere", ClientType),
            options=ConnectionOptions(rpc_security=level),
            dialect="mock",
            autodiscover="off",
        )
        result = await take_check(subject, Tracer())
    failures = {step.name: step.failure for step in result.steps if step.outcome == "failed"}
    assert set(failures.values()) == {"corrupted_signature"}
    assert {"referral", "directory", "mailbox", "public_folders"} == {*failures}


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (("https://mail.example.test",), "say who is to be checked"),
        (("https://mail.example.test", "--user", "CONTOSO\\alice"), "--mailbox"),
        (("https://mail.example.test", "--user", "alice@example.test"), "there is no password"),
        (("nonsense",), "is not known"),
    ],
)
def test_wrong_usage(arguments, text):
    code, _, errors = check(*arguments)
    assert (code, text in errors) == (2, True)
