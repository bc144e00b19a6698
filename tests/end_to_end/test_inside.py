"""RPC over TCP at the mock and in our client, judged by Samba, impacket and Wireshark."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from loadgen.wire import nspi, rfr
from tests.end_to_end.mock_organisation import MockOrganisation, running_mock
from tests.end_to_end.person import CLIENT_TYPES, Person, logged_on
from tests.oracle import samba
from tests.oracle.dumpcap import capturing, needs_dumpcap
from tests.oracle.tshark import needs_tshark

pytestmark = [pytest.mark.judge, pytest.mark.timeout(120)]

MAPPER = 135
"""Where Samba and impacket look; addresses under 127 are our own."""
MGMT = "afa8bd80-7d8a-11c9-bef4-08002b102989"
EMSMDB = "a4f1db00-ca47-1067-b31f-00dd010662da"
ASYNC = "5261574a-4572-206e-b268-6b199213b4e4"
RFR = "1544f5e0-613c-11d1-93df-00c04fd7bd09"
NSPI = "f5cc5a18-4264-101a-8c59-08002b2f8426"
OFFERED = {
    ("MBX1", "store_tcp"): {EMSMDB, ASYNC},
    ("MBX1", "referral_tcp"): {RFR},
    ("PF1", "store_tcp"): {EMSMDB, ASYNC},
    ("GC1", "directory_tcp"): {NSPI},
}
MAPPED = {"MBX1": {EMSMDB, ASYNC, RFR}, "PF1": {EMSMDB, ASYNC}, "GC1": {NSPI}}
PORTS = {EMSMDB: 6101, ASYNC: 6101, RFR: 6102, NSPI: 6104}

ASK_MAPPED = """
import json, sys
from samba import param
from samba.dcerpc import base
settings = param.LoadParm()
for line in sys.stdin:
    address, uuid, version, opnum, stub = json.loads(line)
    client = base.ClientConnection(f"ncacn_ip_tcp:{address}", (uuid, version), lp_ctx=settings)
    print(client.request(opnum, bytes.fromhex(stub)).hex())
"""


@pytest.fixture(scope="module")
def mock(tmp_path_factory) -> Iterator[MockOrganisation]:
    if os.geteuid() != 0:
        pytest.skip("a real endpoint mapper's port needs root")
    with running_mock(tmp_path_factory.mktemp("mock"), "--set", f"ports.endpoint_mapper={MAPPER}") as started:
        yield started


def address(mock: MockOrganisation, name: str) -> str:
    return mock.organisation.servers[name].address


@samba.needs_samba
@pytest.mark.parametrize("security", ["sign", "seal"])
def test_samba_signs_and_seals_at_every_endpoint(mock, security):
    servers = mock.organisation.servers
    bindings = [
        f"ncacn_ip_tcp:{address(mock, name)}[{servers[name].ports[service]},ntlm,{security}]"
        for name, service in OFFERED
    ]
    account = mock.account(0)
    answers = samba.run(samba.ASK_MANAGEMENT, ["CONTOSO", account.alias, account.password, *bindings])
    for line, offered in zip(answers, OFFERED.values(), strict=True):
        answer = json.loads(line)
        assert set(answer["uuids"]) - {MGMT} == offered
        assert answer["listening"] == [0, 1]
    mock.wait_until_idle()


@samba.needs_samba
def test_samba_finds_services_by_the_endpoint_mapper(mock):
    """A directory session and a referral, as stubs, at ports that nobody told it."""
    dn = mock.account(0).legacy_dn
    asked = [
        (address(mock, "MBX1"), RFR, 1, rfr.RfrGetNewDSARequest.opnum, rfr.RfrGetNewDSARequest(dn)),
        (address(mock, "GC1"), NSPI, 56, nspi.NspiBindRequest.opnum, nspi.NspiBindRequest(nspi.Stat())),
    ]
    lines = [json.dumps([*how, request.encode().hex()]) for *how, request in asked]
    referred, bound = (bytes.fromhex(line) for line in samba.run(ASK_MAPPED, lines))
    referral = rfr.RfrGetNewDSAResponse.decode(referred)
    assert referral.server == rfr.NamePlace("gc1.contoso.test")
    assert nspi.NspiBindResponse.decode(bound).return_value == 0
    mock.wait_until_idle()


def impacket(program: str, *words: str) -> str:
    """What one of impacket's programs prints; they exit with 0 whatever happens."""
    command = [sys.executable, str(Path(sys.executable).with_name(program)), *words]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert "failed" not in done.stdout, done.stdout
    return done.stdout


@pytest.mark.parametrize("name", MAPPED)
def test_impacket_lists_what_the_endpoint_mapper_has(mock, name):
    said = impacket("rpcdump.py", "-port", str(MAPPER), address(mock, name))
    uuids = {uuid.lower() for uuid in re.findall(r"^UUID\s*: ([0-9A-F-]{36})", said, re.MULTILINE)}
    assert uuids == MAPPED[name]
    ports = {int(port) for port in re.findall(r"ncacn_ip_tcp:[0-9.]+\[(\d+)\]", said)}
    assert ports == {PORTS[uuid] for uuid in MAPPED[name]}


@pytest.mark.parametrize(("name", "service"), OFFERED)
@pytest.mark.parametrize("level", [1, 5, 6])
def test_impacket_asks_every_endpoint_for_its_interfaces(mock, name, service, level):
    account = mock.account(0)
    port = mock.organisation.servers[name].ports[service]
    words = [f"ncacn_ip_tcp:{address(mock, name)}[{port}]", "-auth-level", str(level)]
    if level > 1:
        words += ["-auth-rpc", f"CONTOSO/{account.alias}:{account.password}"]
    said = impacket("rpcmap.py", *words)
    uuids = {uuid.lower() for uuid in re.findall(r"^UUID: ([0-9A-F-]{36})", said, re.MULTILINE)}
    assert uuids == OFFERED[name, service] | {MGMT}
    mock.wait_until_idle()


@needs_tshark
@needs_dumpcap
async def test_wireshark_finds_nothing_wrong(mock, tmp_path):
    """A user of each type inside the firewall logs on, sends, reads and goes."""
    types = [each for each in CLIENT_TYPES.values() if each.transport == "tcp"]
    capture = tmp_path / "inside.pcapng"
    with capturing(capture, mock.network, mock.host):
        people = [Person(mock, index, client_type) for index, client_type in enumerate(types)]
        async with logged_on(*people):
            for person in people:
                await person.client.end_startup()
            await people[0].send("to all", *people)
            for person in people:
                for message in await person.news():
                    await person.client.read_message(message.message_id, message.key)
                await person.client.browse_address_book()
                await person.client.log_off()
                assert person.lost == []
        mock.wait_until_idle()
    ports = [*{*PORTS.values(), MAPPER}]
    assert fields(capture, ports, SUSPECT) == []
    calls = {info.split()[0] for info in fields(capture, ports, "dcerpc.pkt_type == 0")}
    assert calls >= {"Map", "RfrGetNewDSA", "NspiBind", "NspiUnbind", "EcDoDisconnect"}
    assert fields(capture, ports, "dcerpc.pkt_type == 20") == []


SUSPECT = (
    '_ws.malformed || _ws.expert.severity == "Error" || (dcerpc.pkt_type == 0 && !dcerpc.response_in)'
    " || (tcp.len > 0 && tcp.port in {6101, 6102, 6104} && !dcerpc && !tcp.reassembled_in)"
)


def fields(capture: Path, ports: list[int], which: str) -> list[str]:
    """What Wireshark says of the frames that a filter leaves."""
    decode_as = [word for port in ports for word in ("-d", f"tcp.port=={port},dcerpc")]
    command = ["tshark", "-2", "-r", str(capture), *decode_as, "-Y", which, "-T", "fields"]
    done = subprocess.run(
        [*command, "-e", "_ws.col.Info"], capture_output=True, text=True, timeout=60, check=True
    )
    return done.stdout.splitlines()
