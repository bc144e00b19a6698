"""What an administrator would try on the mock: rpcmap and curl.

rpcmap knows only the ports 80 and 443, so the mock listens on 80 of its own loopback address.
"""

import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.end_to_end.mock_organisation import MockOrganisation, running_mock

pytestmark = [pytest.mark.judge, pytest.mark.timeout(60)]

HTTP_PORT = 80
RPCMAP = Path(sys.executable).with_name("rpcmap.py")
PATIENCE_S = 30
STORE, REFERRAL, DIRECTORY = 6001, 6002, 6004
MGMT = "AFA8BD80-7D8A-11C9-BEF4-08002B102989 v1.0"
EMSMDB = "A4F1DB00-CA47-1067-B31F-00DD010662DA v0.81"
ASYNC_EMSMDB = "5261574A-4572-206E-B268-6B199213B4E4 v0.1"
RFR = "1544F5E0-613C-11D1-93DF-00C04FD7BD09 v1.0"
NSPI = "F5CC5A18-4264-101A-8C59-08002B2F8426 v56.0"
OFFERED = {STORE: {EMSMDB, ASYNC_EMSMDB, MGMT}, REFERRAL: {RFR, MGMT}, DIRECTORY: {NSPI, MGMT}}
ECHO_PDU = bytes.fromhex("0500140310000000140000000000000040000000")
OUT_OF_RANGE, BAD_STUB = "nca_s_op_rng_error (opnum not found)", "rpc_x_bad_stub_data"

needs_curl = pytest.mark.skipif(shutil.which("curl") is None, reason="no curl here: apt-get install curl")


def can_listen_on_low_ports() -> bool:
    with socket.socket() as probe:
        try:
            probe.bind(("127.254.254.254", HTTP_PORT))
        except OSError:
            return False
    return True


@pytest.fixture(scope="module")
def mock(tmp_path_factory) -> Iterator[MockOrganisation]:
    if not can_listen_on_low_ports():
        pytest.skip(f"listening on port {HTTP_PORT} needs root")
    folder = tmp_path_factory.mktemp("mock")
    with running_mock(folder, "--set", f"http.port={HTTP_PORT}") as started:
        yield started


def rpcmap(mock: MockOrganisation, server: str, port: int, *options: str) -> str:
    """What rpcmap prints; it exits with 0 whatever happens, so all that counts is what it says."""
    account = mock.account(0)
    command = [sys.executable, str(RPCMAP), "-auth-level", "1", "-no-pass", *options]
    command += ["-auth-transport", f"CONTOSO/{account.alias}:{account.password}"]
    command += [f"ncacn_http:{server}[{port},RpcProxy={mock.host}:{HTTP_PORT}]"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_S, check=True)
    return done.stdout


def uuids(output: str) -> set[str]:
    return {line.removeprefix("UUID: ") for line in output.splitlines() if line.startswith("UUID: ")}


@pytest.mark.parametrize("port", OFFERED)
def test_rpcmap_lists_every_interface(mock, port: int):
    output = rpcmap(mock, "MBX1", port)
    assert "Protocol failed" not in output
    assert uuids(output) == OFFERED[port]


def test_rpcmap_lists_the_public_folder_store(mock):
    assert uuids(rpcmap(mock, "PF1", STORE)) == OFFERED[STORE]


def test_rpcmap_is_told_that_a_server_is_not_there(mock):
    output = rpcmap(mock, "NOSUCH", STORE)
    assert "Protocol failed" in output
    assert "0x6ba" in output


def test_rpcmap_tries_every_opnum(mock):
    output = rpcmap(mock, "MBX1", DIRECTORY, "-brute-opnums", "-opnum-max", "21")
    assert "Protocol failed" not in output
    _, _, of_nspi = output.partition(f"UUID: {NSPI}\n")
    found: dict[int, str] = {}
    for line in of_nspi.splitlines():
        opnums, separator, result = line.partition(": ")
        if separator and opnums.startswith("Opnum"):
            first, _, last = opnums.split()[1].partition("-")
            found |= dict.fromkeys(range(int(first), int(last or first) + 1), result)
    assert found.keys() == set(range(22))
    assert set(found.values()) == {BAD_STUB, OUT_OF_RANGE}
    for opnum in (0, 1, 2, 3, 4, 5, 7, 9, 12, 16, 19, 20):
        assert found[opnum] == BAD_STUB, f"opnum {opnum}"
    assert found[21] == OUT_OF_RANGE
    mock.wait_until_idle()


def curl(mock: MockOrganisation, *options: str) -> tuple[int, dict[str, str], bytes]:
    """Status, headers and body of an answer."""
    url = f"http://{mock.host}/rpc/rpcproxy.dll?MBX1:{STORE}"
    command = ["curl", "--silent", "--show-error", "--include", "--max-time", "10", *options, url]
    done = subprocess.run(command, capture_output=True, timeout=PATIENCE_S, check=True)
    head, _, body = done.stdout.partition(b"\r\n\r\n")
    status_line, *lines = head.decode("latin-1").split("\r\n")
    headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
    return int(status_line.split()[1]), headers, body


@needs_curl
@pytest.mark.parametrize("method", ["RPC_IN_DATA", "RPC_OUT_DATA"])
def test_curl_gets_an_echo(mock, method: str):
    account = mock.account(3)
    user = ("--user", f"{account.user}:{account.password}")
    status, headers, body = curl(mock, "--request", method, "--data-binary", "abcd", *user)
    assert status == 200
    assert headers["content-type"] == "application/rpc"
    assert body == ECHO_PDU


@needs_curl
@pytest.mark.parametrize("user", [(), ("--user", "user00003:wrong"), ("--user", "nobody:Passw0rd!")])
def test_curl_is_asked_for_basic_credentials(mock, user: tuple[str, ...]):
    status, headers, body = curl(mock, "--request", "RPC_IN_DATA", "--data-binary", "abcd", *user)
    assert status == 401
    assert headers["www-authenticate"].startswith("Basic realm=")
    assert headers["connection"].lower() == "keep-alive"
    assert int(headers["content-length"]) == len(body)


@needs_curl
def test_curl_is_refused_on_other_paths_and_methods(mock):
    account = mock.account(3)
    user = ("--user", f"{account.user}:{account.password}")
    assert curl(mock, *user)[0] == 405
    assert curl(mock, *user, "--request-target", "/owa/")[0] == 404
