"""``loadgen check`` over TCP against a mock organisation: well, and with one thing wrong at a time."""

import subprocess
from collections import Counter

import pytest
from msgspec.structs import replace

from loadgen.check.checkup import check
from loadgen.check.result import Result, steps_of
from loadgen.check.subject import Subject
from loadgen.client.client_type import ClientType
from loadgen.client.inside import TcpPorts
from loadgen.client.transport import ConnectionOptions
from loadgen.trace.files import writing
from loadgen.trace.tracer import Tracer
from loadgen.workload import library
from tests.end_to_end.mock_organisation import MockOrganisation, running_mock
from tests.end_to_end.test_check import failed as failed_steps
from tests.end_to_end.test_check import passed as passed_steps
from tests.end_to_end.test_check import result_of, running
from tests.oracle.tshark import needs_tshark

WEB = ("dns", "tcp", "tls", "autodiscover")
INSIDE = [name for name in steps_of("tcp") if name not in WEB]
PRIVACY = ConnectionOptions(rpc_security="privacy")
SERVICES = ("referral", "directory", "store", "public_folders")


def subject(
    mock: MockOrganisation, *, index: int = 0, client: str = "outlook2007-cached", **changes
) -> Subject:
    inside = mock.organisation.inside
    given = {
        "target": "mock",
        "host": mock.host,
        "port": mock.port,
        "tls": False,
        "account": mock.account(index),
        "client": library.read("client", client, ClientType),
        "options": ConnectionOptions(),
        "dialect": "mock",
        "server_addresses": inside.addresses,
        "tcp_ports": inside.ports,
    }
    return Subject(**(given | changes))


async def take(mock: MockOrganisation, **changes) -> Result:
    return await check(subject(mock, **changes), Tracer())


def failed(result: Result) -> dict[str, str]:
    return {step.name: step.failure for step in result.steps if step.outcome == "failed"}


def passed(result: Result) -> list[str]:
    return [step.name for step in result.steps if step.outcome == "passed"]


@pytest.mark.parametrize("client", ["outlook2003-online", "outlook2003-cached", "outlook2007-online"])
async def test_every_client_type_gets_in(mock, client):
    result = await take(mock, client=client)
    assert (failed(result), passed(result), result.client) == ({}, INSIDE, client)
    (bind,) = (step for step in result.steps if step.name == "bind_store")
    assert ("AsyncEMSMDB" in bind.detail) == ("2007" in client)
    mock.wait_until_idle()


async def test_loadgen_asks_neither_directory_nor_public_folders(mock):
    result = await take(mock, client="loadgen-2007-online-inside")
    steps = [f"{step}_store" for step in ("dns", "mapper", "map", "tcp", "bind")]
    assert (failed(result), passed(result)) == ({}, [*steps, "mailbox", "inbox"])


def test_the_command(mock, tmp_path):
    """With a trace, in which the password is not."""
    trace = tmp_path / "trace"
    how = "--client", "outlook2007-cached", "--rpc_security", "privacy", "--trace", str(trace)
    result = result_of(running(mock), *how)
    assert (failed_steps(result), passed_steps(result)) == ({}, INSIDE)
    assert result["client"] == "outlook2007-cached"
    text = trace.read_text()
    mapper, servers = 6135, mock.organisation.servers
    for expected in (
        f"to {servers['MBX1'].address}:{mapper}",
        "EPM.EptMap [EMSMDB 0.81]",
        f"EPM.EptMap returns 0x00000000 [{servers['GC1'].address}:6104]",
        "EMSMDB.EcDoConnectEx, NTLM privacy",
        "NSPI.NspiBind",
    ):
        assert expected in text, expected
    password = mock.organisation.accounts.password
    assert password not in text
    assert password.encode() not in trace.with_name("trace.pcap").read_bytes()


def test_what_the_account_lacks_is_discovered(mock, tmp_path):
    """Autodiscover is asked over HTTP, by a real address; servers are found by --resolve."""
    cas, servers = mock.organisation.cas[0], mock.organisation.servers
    dialect = tmp_path / "inside.toml"
    dialect.write_text("extends = 'mock'\n[tcp]\nendpoint_mapper = 6135\n")
    users = tmp_path / "users.csv"
    users.write_text(f"mailbox,password\n{mock.account(3).smtp},{mock.account(3).password}\n")
    users.chmod(0o600)
    names = {form: each.address for name, each in servers.items() for form in (name, f"{name}.contoso.test")}
    given = [f"--resolve={name}={address}" for name, address in names.items()]
    how = "--client", "outlook2003-online", "--users-file", str(users), "--dialect", str(dialect), *given
    result = result_of(f"http://{cas.address}:{cas.port}", *how, "--public-folder-server", "PF1")
    assert failed_steps(result) == {}
    assert passed_steps(result) == ["dns", "tcp", "autodiscover", *INSIDE]


@needs_tshark
@pytest.mark.judge
@pytest.mark.parametrize("options", [ConnectionOptions(), PRIVACY], ids=["none", "privacy"])
async def test_wireshark_reads_the_capture(mock, tmp_path, options):
    pcap, tracer = tmp_path / "trace.pcap", Tracer()
    with writing(tracer, None, pcap):
        result = await check(subject(mock, options=options), tracer)
    assert failed(result) == {}

    def tshark(shown: str, field: str = "_ws.col.Info") -> list[str]:
        # Without this a client's port may by chance be one that Wireshark takes for something else.
        heuristic = ["-o", "tcp.try_heuristic_first:TRUE"]
        command = ["tshark", *heuristic, "-2", "-r", str(pcap), "-Y", shown, "-T", "fields", "-e", field]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()

    assert len(set(tshark("tcp", "tcp.stream"))) == 2 * len(SERVICES)
    assert set(tshark("epm && dcerpc.pkt_type == 2", "tcp.srcport")) == {"6135"}
    assert Counter(tshark("dcerpc.pkt_type == 11", "tcp.dstport")) == {
        "6135": 4,
        "6101": 2,
        "6102": 1,
        "6104": 1,
    }
    assert tshark("(tcp.len > 0 && !dcerpc) || tcp.analysis.flags") == []
    assert tshark('_ws.malformed || _ws.expert.severity == "Error"') == []
    methods = {info.split()[0] for info in tshark("dcerpc.pkt_type == 0")}
    assert methods >= {"Map", "RfrGetNewDSA", "NspiBind"}


async def test_static_ports_need_no_endpoint_mapper(mock):
    ports = TcpPorts(endpoint_mapper=1, store=6101, referral=6102, directory=6104)
    result = await take(mock, tcp_ports=ports)
    assert (failed(result), passed(result)) == (
        {},
        [name for name in INSIDE if not name.startswith(("mapper_", "map_"))],
    )


@pytest.mark.parametrize(
    ("ports", "failures"),
    [
        (
            {"endpoint_mapper": 1},
            {f"mapper_{service}": "mapper_refused" for service in SERVICES if service != "directory"},
        ),
        (
            {"endpoint_mapper": 6102},
            {
                "map_referral": "no_endpoint_mapper",
                "map_store": "no_endpoint_mapper",
                "mapper_public_folders": "mapper_refused",
            },
        ),
        ({"store": 1}, {"tcp_store": "endpoint_refused", "tcp_public_folders": "endpoint_refused"}),
        (
            {"store": 6102},
            {"bind_store": "interface_not_supported", "tcp_public_folders": "endpoint_refused"},
        ),
    ],
    ids=["no mapper", "another service", "nothing at a static port", "the wrong static port"],
)
async def test_ports_that_are_wrong(mock, ports, failures):
    result = await take(mock, tcp_ports=replace(mock.organisation.inside.ports, **ports))
    assert failed(result) == failures


@pytest.mark.parametrize(
    ("server", "step", "failure"),
    [
        ("nobody.invalid", "dns_store", "name_not_found"),
        ("GC1", "map_store", "endpoint_not_registered"),
        ("127.61.9.9", "mapper_store", "mapper_refused"),
    ],
)
async def test_a_mailbox_server_that_is_none(mock, server, step, failure):
    result = await take(mock, account=replace(mock.account(0), home_server=server))
    assert failed(result)[step] == failure
    assert {"mailbox", "inbox"} <= {step.name for step in result.steps if step.outcome == "skipped"}
    assert "public_folders" in passed(result)


async def test_a_mailbox_on_another_server(mock):
    result = await take(mock, account=replace(mock.account(1), home_server="MBX1"))
    assert failed(result) == {"mailbox": "wrong_server"}
    assert "inbox" in passed(result)


@pytest.mark.parametrize(
    ("dn", "failures"),
    [
        (
            "/o=Contoso/cn=nobody",
            {"referral": "no_referral", "mailbox": "unknown_user", "public_folders": "unknown_user"},
        ),
        ("", {"map_directory": "endpoint_not_registered"}),  # tried at the mailbox server
    ],
)
async def test_a_distinguished_name_that_is_nobodys(mock, dn, failures):
    account = replace(mock.account(0), legacy_dn=dn)
    result = await take(mock, account=account, autodiscover="off")
    assert failed(result) == failures


@pytest.mark.parametrize(
    ("mechanism", "step", "failure"),
    [
        ("ntlm", "referral", "access_denied"),  # nobody answers the last leg: the first call is refused
        ("negotiate", "bind_referral", "credentials_refused"),
    ],
)
async def test_a_wrong_password_is_tried_once(mock, mechanism, step, failure):
    account = replace(mock.account(0), password="guessed")
    result = await take(mock, account=account, options=replace(PRIVACY, rpc_mechanism=mechanism))
    assert failed(result) == {step: failure}
    (store,) = (step for step in result.steps if step.name == "tcp_store")
    assert (store.outcome, "refused" in store.detail) == ("skipped", True)


async def test_calls_that_are_to_be_protected(tmp_path):
    with running_mock(tmp_path, "--set", "security.rpc_minimum=privacy", users=1) as guarded:
        assert set(failed(await take(guarded)).values()) == {"access_denied"}
        assert failed(await take(guarded, options=PRIVACY)) == {}
