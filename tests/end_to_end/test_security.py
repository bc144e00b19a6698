"""Logging on, TLS, signing and sealing, as programs that none of us wrote do it.

impacket knows only the ports 80 and 443, so the mocks listen there, on loopback addresses of their own.
"""

import json
import socket
import ssl
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.end_to_end.mock_organisation import MockOrganisation, running_mock
from tests.end_to_end.test_samba import DOMAIN, MGMT, OFFERED
from tests.end_to_end.test_tools import ECHO_PDU, can_listen_on_low_ports, needs_curl, uuids
from tests.oracle import samba
from tests.oracle.dumpcap import capturing, needs_dumpcap
from tests.oracle.fold import fold, read_capture
from tests.oracle.tshark import judge, needs_tshark, proven_logons

pytestmark = [
    pytest.mark.judge,
    pytest.mark.timeout(120),
    pytest.mark.skipif(not can_listen_on_low_ports(), reason="listening on ports 80 and 443 needs root"),
]

USERS = 20
PATIENCE_S = 300
STORE, REFERRAL, DIRECTORY = 6001, 6002, 6004
NO_BANNER = ("--set", "rpc.banner=false")  # what RPC over TCP has to do without
PLAIN = ("--set", "http.port=80", *NO_BANNER)
TLS = ("--set", "http.port=443", "--set", "http.tls=true", *NO_BANNER)
_SETTINGS = "settings = param.LoadParm()\n"
UNTRUSTING_CLIENT = samba.ASK_MANAGEMENT.replace(
    _SETTINGS,
    f"""{_SETTINGS}
settings.set("tls verify peer", "no_check")
settings.set("tls priority", "NORMAL:-VERS-TLS1.3")  # with which it hangs
""",
)


@pytest.fixture(scope="module")
def plain(tmp_path_factory) -> Iterator[MockOrganisation]:
    with running_mock(tmp_path_factory.mktemp("plain"), *PLAIN, users=USERS) as started:
        yield started


@pytest.fixture(scope="module")
def secured(tmp_path_factory) -> Iterator[MockOrganisation]:
    with running_mock(tmp_path_factory.mktemp("tls"), *TLS, users=USERS) as started:
        yield started


def ca_file(mock: MockOrganisation) -> str:
    """Whom the organisation tells its clients to trust."""
    command = ["curl", "--silent", f"{mock.organisation.counters_url}/organisation"]
    found: str = json.loads(subprocess.run(command, capture_output=True, check=True).stdout)["ca_file"]
    return found


def by_samba(binding: str, mock: MockOrganisation, password: str | None = None) -> set[str]:
    """The interfaces that Samba is told of."""
    account = mock.account(1)
    lines = [DOMAIN, account.alias, account.password if password is None else password, binding]
    (line,) = samba.run(UNTRUSTING_CLIENT, lines)
    answer = json.loads(line)
    assert answer["listening"] == [0, 1]
    return set(answer["uuids"]) - {MGMT}


def over_http(mock: MockOrganisation, port: int, http: str, protection: str) -> str:
    tls = "true" if mock.port == 443 else "false"
    proxy = f"RpcProxy={mock.host}:{mock.port},HttpUseTls={tls},HttpAuthOption={http}"
    return f"ncacn_http:MBX1[{port},{proxy},ntlm,{protection}]"


@samba.needs_samba
@pytest.mark.parametrize("protection", ["sign", "seal"])
@pytest.mark.parametrize("http", ["basic", "ntlm"])
@pytest.mark.parametrize("port", [STORE, REFERRAL, DIRECTORY])
def test_samba_verifies_our_signatures_over_http(plain, port: int, http: str, protection: str):
    assert by_samba(over_http(plain, port, http, protection), plain) == OFFERED["MBX1", port]
    plain.wait_until_idle()


@samba.needs_samba
@pytest.mark.parametrize(("http", "protection"), [("basic", "sign"), ("ntlm", "seal")])
def test_samba_verifies_our_signatures_over_tls(secured, http: str, protection: str):
    assert by_samba(over_http(secured, DIRECTORY, http, protection), secured) == OFFERED["MBX1", DIRECTORY]
    secured.wait_until_idle()


@samba.needs_samba
@pytest.mark.parametrize("protection", ["connect", "sign", "seal"])
@pytest.mark.parametrize("mechanism", ["ntlm", "spnego"])
def test_samba_verifies_our_signatures_over_tcp(plain, mechanism: str, protection: str):
    address = plain.organisation.servers["MBX1"].address
    binding = f"ncacn_ip_tcp:{address}[{STORE},{mechanism},{protection}]"
    assert by_samba(binding, plain) == OFFERED["MBX1", STORE]
    plain.wait_until_idle()


@samba.needs_samba
@pytest.mark.parametrize("http", [True, False])
def test_samba_is_refused_with_a_wrong_password(plain, http: bool):
    address = plain.organisation.servers["MBX1"].address
    binding = (
        over_http(plain, STORE, "ntlm", "seal") if http else f"ncacn_ip_tcp:{address}[{STORE},ntlm,seal]"
    )
    with pytest.raises(AssertionError, match="Access Denied"):
        by_samba(binding, plain, "wrong")
    plain.wait_until_idle()


def tool(name: str, *arguments: str) -> str:
    """What a program of impacket prints; it exits with 0 whatever happens."""
    command = [sys.executable, str(Path(sys.executable).with_name(name)), *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_S, check=True).stdout


def credentials(mock: MockOrganisation, password: str | None = None) -> str:
    account = mock.account(1)
    return f"{DOMAIN}/{account.alias}:{account.password if password is None else password}"


@pytest.mark.parametrize("level", ["1", "5", "6"])
@pytest.mark.parametrize("port", [STORE, DIRECTORY])
def test_rpcmap_at_each_level_over_tls(secured, port: int, level: str):
    known = credentials(secured)
    binding = f"ncacn_http:MBX1[{port},RpcProxy={secured.host}:443]"
    options = ("-auth-level", level, "-auth-rpc", known, "-auth-transport", known)
    output = tool("rpcmap.py", *options, binding)
    assert "Protocol failed" not in output
    assert {line.partition(" v")[0].lower() for line in uuids(output)} == OFFERED["MBX1", port] | {MGMT}
    secured.wait_until_idle()


def test_rpcmap_hears_that_the_password_was_wrong(secured):
    known, wrong = credentials(secured), credentials(secured, "wrong")
    binding = f"ncacn_http:MBX1[{STORE},RpcProxy={secured.host}:443]"
    assert "rpc_s_access_denied" in tool("rpcmap.py", "-auth-rpc", wrong, "-auth-transport", known, binding)
    output = tool("rpcmap.py", "-auth-rpc", known, "-auth-transport", wrong, binding)
    assert "Protocol failed" in output
    assert "401" in output or "authentication" in output.lower()


@pytest.mark.parametrize("scheme", [(), ("-basic",)])
def test_exchanger_reads_the_address_book_over_tls(secured, scheme: tuple[str, ...]):
    target = f"{credentials(secured)}@{secured.host}"
    options = (*scheme, "-rpc-hostname", "MBX1", target, "nspi")
    lists = tool("exchanger.py", *options, "list-tables", "-count")
    assert "Protocol failed" not in lists
    assert f"All Users\n    TotalRecs: {USERS}" in lists
    for lookup in ("MINIMAL", "EXTENDED", "FULL"):
        dump = tool("exchanger.py", *options, "dump-tables", "-name", "GAL", "-lookup-type", lookup)
        assert "Protocol failed" not in dump
        for index in range(USERS):
            assert secured.account(index).smtp in dump
    secured.wait_until_idle()


def exchanger(mock: MockOrganisation, *command: str) -> str:
    target = f"{credentials(mock)}@{mock.host}"
    output = tool("exchanger.py", "-rpc-hostname", "MBX1", target, "nspi", *command)
    mock.wait_until_idle()
    return output


def objects(output: str) -> list[dict[str, str]]:
    """The properties of each object that exchanger prints, by name."""
    found: list[dict[str, str]] = [{}]
    for line in output.splitlines():
        name, separator, value = line.partition(": ")
        if line.startswith("====="):
            found.append({})
        elif separator and not line.startswith(("[", "#", "Impacket")):
            found[-1][name] = value
    return [each for each in found if each]


def test_exchanger_tells_the_list_as_the_organisation_has_it(secured):
    """One after the other, and any of them by its GUID and by its number."""
    listed = objects(exchanger(secured, "dump-tables", "-name", "GAL", "-lookup-type", "MINIMAL"))
    accounts = [secured.account(index) for index in range(USERS)]
    assert [(each["mailNickname"], each["mail"]) for each in listed] == [
        (account.alias, account.smtp) for account in accounts
    ]
    guids = [each["objectGUID"] for each in listed]
    assert len(set(guids)) == USERS
    (known,) = objects(exchanger(secured, "guid-known", "-guid", guids[7]))
    assert known == listed[7]
    numbered = objects(exchanger(secured, "dnt-lookup", "-start-dnt", "4096", "-stop-dnt", "4100"))
    assert [
        (each["objectGUID"], each["PR_ENTRYID"], each["PR_DISPLAY_NAME"], each["PR_INSTANCE_KEY"])
        for each in numbered[:3]
    ] == [
        (guids[index], accounts[index].legacy_dn, accounts[index].display_name, str(4096 + index))
        for index in range(3)
    ]


def test_exchanger_is_told_of_what_is_not_there(secured):
    unknown = "11111111-2222-3333-4444-555555555555"
    assert "Object with specified GUID not found" in exchanger(secured, "guid-known", "-guid", unknown)


def brute(mock: MockOrganisation, *options: str) -> str:
    known = credentials(mock)
    binding = f"ncacn_http:MBX1[{DIRECTORY},RpcProxy={mock.host}:443]"
    output = tool("rpcmap.py", *options, "-auth-rpc", known, "-auth-transport", known, binding)
    assert "Protocol failed" not in output
    mock.wait_until_idle()
    return output


def test_rpcmap_tries_every_opnum_sealed(secured):
    """A virtual connection for each of them, left without a word: none stays."""
    of_management, of_nspi = brute(secured, "-brute-opnums", "-opnum-max", "21").split("Protocol: ")[1:]
    assert "Opnums 5-21: nca_s_op_rng_error" in of_management
    assert "Opnum 20: rpc_x_bad_stub_data" in of_nspi
    assert "Opnum 21: nca_s_op_rng_error" in of_nspi


@pytest.mark.prove
@pytest.mark.timeout(400)
def test_rpcmap_tries_every_interface_that_it_knows(secured):
    """More than 300 logons one after the other; two interfaces are there."""
    assert uuids(brute(secured, "-brute-uuids")) == {
        f"{uuid.upper()} v{version}"
        for uuid, version in ((MGMT, "1.0"), ("f5cc5a18-4264-101a-8c59-08002b2f8426", "56.0"))
    }


@needs_curl
@pytest.mark.parametrize("version", ["1.2", "1.3"])
@pytest.mark.parametrize("scheme", ["--ntlm", "--basic"])
def test_curl_trusts_the_certificate_and_gets_an_echo(secured, scheme: str, version: str):
    account = secured.account(3)
    name = "cas1.contoso.test"
    command = ["curl", "--silent", "--show-error", "--tls-max", version, "--cacert", ca_file(secured), scheme]
    command += ["--resolve", f"{name}:443:{secured.host}", "--user", f"{account.user}:{account.password}"]
    command += ["--request", "RPC_IN_DATA", "--data-binary", "abcd"]
    done = subprocess.run(
        [*command, f"https://{name}/rpc/rpcproxy.dll?MBX1:{STORE}"],
        capture_output=True,
        timeout=PATIENCE_S,
        check=True,
    )
    assert done.stdout == ECHO_PDU


@needs_curl
def test_curl_logs_on_by_ntlm_without_tls(plain):
    account = plain.account(3)
    command = ["curl", "--silent", "--show-error", "--ntlm", "--user", f"{account.alias}:{account.password}"]
    command += ["--request", "RPC_OUT_DATA", "--data-binary", "abcd"]
    url = f"http://{plain.host}/rpc/rpcproxy.dll?MBX1:{STORE}"
    assert subprocess.run([*command, url], capture_output=True, check=True).stdout == ECHO_PDU


@needs_curl
def test_a_strict_verifier_finds_nothing_wrong_with_the_certificate(secured):
    context = ssl.create_default_context(cafile=ca_file(secured))
    context.verify_flags |= ssl.VERIFY_X509_STRICT
    for name in ("cas1.contoso.test", "cas1", secured.host):
        with (
            socket.create_connection((secured.host, 443)) as connection,
            context.wrap_socket(connection, server_hostname=name) as protected,
        ):
            assert protected.version() == "TLSv1.3"
    secured.wait_until_idle()


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
@pytest.mark.parametrize("unasked", [0, 100_000])
def test_a_refusal_reaches_a_client_that_goes_on_sending(secured, version, unasked: int):
    """TLS has no half-closed connections, with which the mock gives others time."""
    context = ssl.create_default_context(cafile=ca_file(secured))
    context.maximum_version = version
    head = f"RPC_IN_DATA /rpc/rpcproxy.dll?MBX1:{STORE} HTTP/1.1\r\nHost: mail\r\n"
    head += f"Content-Length: {1 << 30}\r\n\r\n"
    with (
        socket.create_connection((secured.host, 443)) as connection,
        context.wrap_socket(connection, server_hostname=secured.host) as protected,
    ):
        protected.sendall(head.encode() + bytes(unasked))
        assert protected.recv(1000).startswith(b"HTTP/1.1 401 Unauthorized\r\n")
    secured.wait_until_idle()


@samba.needs_samba
@needs_tshark
@needs_dumpcap
def test_wireshark_opens_what_we_seal(plain, tmp_path):
    capture = tmp_path / "sealed.pcapng"
    known = credentials(plain)
    with capturing(capture, plain.network, plain.host):
        for level in ("5", "6"):
            binding = f"ncacn_http:MBX1[{DIRECTORY},RpcProxy={plain.host}:80]"
            tool("rpcmap.py", "-auth-level", level, "-auth-rpc", known, "-auth-transport", known, binding)
        by_samba(over_http(plain, STORE, "ntlm", "seal"), plain)
        by_samba(f"ncacn_ip_tcp:{plain.organisation.servers['MBX1'].address}[{STORE},ntlm,seal]", plain)
        plain.wait_until_idle()
    conversations = fold(read_capture(capture, (80, STORE, DIRECTORY)))
    password = plain.account(1).password
    assert judge(conversations, password=password) == []
    auth3 = sum(pdu.data[2] == 16 for each in conversations for pdu in each.pdus)
    assert proven_logons(conversations, password) == auth3 >= 8
    assert proven_logons(conversations, "wrong") == 0
    assert samba.complaints({pdu.data for each in conversations for pdu in each.pdus}) == []
