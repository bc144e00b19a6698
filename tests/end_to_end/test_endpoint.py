"""A mock organisation treated as a server that nobody knows: found by address, and left clean."""

import json
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from loadgen.client.account import RpcProxy
from loadgen.client.cleaning import remove_mail
from loadgen.client.client_type import ClientType
from loadgen.client.outlook import OutlookClient
from loadgen.workload import library
from tests.end_to_end.mock_organisation import running_mock

PATTERN = ("--users-pattern", "user{index:05d}@contoso.test", "--users-range", "0-5")


@pytest.fixture(scope="module")
def mock(tmp_path_factory):
    with running_mock(tmp_path_factory.mktemp("mock"), users=6) as organisation:
        yield organisation


def run(mock, tmp_path, *options, password=None, client="outlook2007-online-anywhere"):
    """The end of a run, and the command lines that were seen while it lasted."""
    cas = mock.organisation.cas[0]
    command = [sys.executable, "-m", "loadgen", "run", "--target", f"http://{cas.address}:{cas.port}"]
    command += ["--group", f"6:{client}:heavy", "--speed", "1200", "--duration", "8s"]
    command += [
        *("--unfinished-per-user", "20"),
        *("--invalid-lag", "10s"),
        "--ramp",
        "1s",
        "--startup-hold",
        "1s",
        "--out",
        str(tmp_path / "results"),
        *options,
    ]
    secret = mock.organisation.accounts.password if password is None else password
    environment = os.environ | {"LOADGEN_PASSWORD": secret}
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment
    ) as process:
        seen = command_lines(process)
        output, _ = process.communicate(timeout=100)
    return process.returncode, output, seen


def command_lines(process):
    """Everybody's, again and again while ``process`` runs."""
    seen = set()

    def look():
        while process.poll() is None:
            for path in Path("/proc").glob("[0-9]*/cmdline"):
                try:
                    seen.add(path.read_bytes())
                except OSError:
                    continue
            threading.Event().wait(0.5)

    threading.Thread(target=look, daemon=True).start()
    return seen


async def left_in(mock, index):
    """How many messages are in the Inbox, Sent Items and Deleted Items of a user; takes them away."""
    cas = mock.organisation.cas[0]
    client = OutlookClient(
        mock.organisation.account(index),
        library.read("client", "outlook2007-online-anywhere", ClientType),
        RpcProxy(cas.address, cas.port),
        startup=False,
        probe=lambda *_: None,
        on_notify=lambda: None,
        on_lost=lambda _: None,
    )
    await client.log_on()
    mailbox = client._mailbox
    count = await remove_mail(mailbox.store, mailbox._logon, mailbox._folders, "")
    client.abort()
    return count


async def test_an_address_and_a_password_are_enough_and_nothing_is_left(mock, tmp_path):
    code, output, seen = run(mock, tmp_path, *PATTERN)
    assert code == 0, output
    (folder,) = (tmp_path / "results").iterdir()
    summary = json.loads((folder / "summary.json").read_text())
    steady = summary["connections"]["steady"]
    assert (steady["client_to_cas"]["kernel"], steady["client_to_cas"]["client"]) == (36, 36)
    assert (steady["store"]["kernel"], steady["client_to_cas"]["mock"]) == (None, None)
    assert summary["operations"]["deliver_message"]["done"] > 0
    assert [await left_in(mock, index) for index in range(6)] == [0] * 6
    secret = mock.organisation.accounts.password
    assert any(b"loadgen" in line for line in seen)
    assert not any(secret.encode() in line for line in seen)
    for path in folder.iterdir():
        assert secret not in path.read_text(), path.name


def test_a_server_and_a_password_are_enough_without_autodiscover(mock, tmp_path):
    """The referral service names the directory, the directory DN, name and home server of each user."""
    code, output, _ = run(mock, tmp_path, *PATTERN, "--autodiscover", "off", "--rpc-server", "MBX1")
    assert code == 0, output
    (folder,) = (tmp_path / "results").iterdir()
    record = json.loads((folder / "run.json").read_text())
    assert (record["dialect"], record["dialect_reason"]) == (
        "unknown",
        "nothing says what server it is, so the most tolerant one",
    )
    summary = json.loads((folder / "summary.json").read_text())
    steady = summary["connections"]["steady"]["client_to_cas"]
    assert (steady["kernel"], steady["client"]) == (24, 24)  # without public folders


@pytest.mark.parametrize("inside", ["outlook2007-online", "outlook2007-cached"])
def test_clients_inside_the_firewall_find_the_servers_that_autodiscover_names(mock, tmp_path, inside):
    servers = mock.organisation.servers
    dialect = tmp_path / "inside.toml"
    mapper = servers["MBX1"].ports["endpoint_mapper"]
    dialect.write_text(f"extends = 'mock'\n[tcp]\nendpoint_mapper = {mapper}\n")
    names = {
        form: server.address for name, server in servers.items() for form in (name, f"{name}.contoso.test")
    }
    given = [f"--resolve={name}={address}" for name, address in names.items()]
    options = *PATTERN, "--dialect", str(dialect), *given, "--public-folder-server", "PF1"
    code, output, _ = run(mock, tmp_path, *options, client=inside)
    assert code == 0, output
    (folder,) = (tmp_path / "results").iterdir()
    summary = json.loads((folder / "summary.json").read_text())
    steady = summary["connections"]["steady"]
    opened = 6 * (4 if inside == "outlook2007-cached" else 3)
    assert (steady["client_to_servers"]["expected"], steady["client_to_servers"]["client"]) == (
        opened,
        opened,
    )
    assert (steady["client_to_cas"]["kernel"], steady["client_to_servers"]["kernel"]) == (0, None)
    assert summary["operations"]["deliver_message"]["done"] > 0
    assert "map_endpoint" in summary["set_up"]
    mock.wait_until_idle()


async def test_mail_is_kept_where_that_is_wanted(mock, tmp_path):
    code, output, _ = run(mock, tmp_path, *PATTERN, "--cleanup", "off")
    assert code == 0, output
    assert sum([await left_in(mock, index) for index in range(6)]) > 0


def test_a_wrong_password_is_told_by_step_and_not_by_itself(mock, tmp_path):
    code, output, _ = run(mock, tmp_path, *PATTERN, "--debug", password="Quite-Wr0ng")
    assert code == 3
    assert "Autodiscover for user00000@contoso.test" in output
    assert "401" in output
    assert "Traceback" in output
    assert "Quite-Wr0ng" not in output
