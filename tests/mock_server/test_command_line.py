"""What ``python -m mock_server`` does besides serving."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from mock_server import command_line
from mock_server.__main__ import main
from mock_server.topology_file import built_in_names, read_topology


@pytest.fixture
def run(monkeypatch, capsys):
    """Runs the command line, which may not serve anything unless told so."""

    def refuse(topology, announce):
        raise AssertionError("nothing is to be served")

    monkeypatch.setattr(command_line, "Supervisor", refuse)

    def call(*arguments):
        monkeypatch.setattr(sys, "argv", ["mock_server", *arguments])
        return main(), *capsys.readouterr()

    return call


@pytest.mark.parametrize("name", built_in_names())
def test_a_right_topology_is_ok(run, name):
    assert run("--check", name) == (0, f"{name}: ok\n", "")


def test_a_checked_topology_has_all_its_keys_as_json(run):
    status, out, _ = run("--check", "--json", "small", "--set", "http.framing=chunked")
    topology = json.loads(out)
    assert status == 0
    assert out.count("\n") == 1
    assert topology["http"]["framing"] == "chunked"
    through_proxies = {"store": 6001, "referral": 6002, "directory": 6004}
    inside = {"store_tcp": 6101, "referral_tcp": 6102, "directory_tcp": 6104, "endpoint_mapper": 6135}
    assert topology["ports"] == through_proxies | inside | {"delivery": 2525}
    assert [server["name"] for server in topology["mailbox"]] == ["MBX1"]


def test_a_wrong_topology_is_one_line(run, tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text("extends = 'small'\n[http]\nprt = 1\n")
    status, out, errors = run("--check", str(path))
    assert (status, out) == (2, "")
    assert errors.startswith(f"mock_server: {path}: http.prt: unknown key; allowed: port, ")


@pytest.mark.parametrize("option", ["--help", "--check"])
def test_no_room_for_what_is_printed_is_one_line(option):
    command = [sys.executable, "-m", "mock_server", option]
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(
            command, stdout=full, stderr=subprocess.PIPE, text=True, timeout=60, check=False
        )
    problem = "mock_server: standard output: No space left on device\n"
    assert (done.returncode, done.stderr) == (1, problem)


@pytest.mark.parametrize(
    ("name", "changes", "processes"),
    [("default", {}, 5), ("small", {}, 4), ("default", {"client_access.0.processes": 3}, 7)],
)
def test_how_many_processes_it_takes(name, changes, processes):
    assert read_topology(name, changes=changes).processes == processes


@pytest.mark.parametrize(
    ("options", "said"),
    [((), ""), (("--verbose",), "starting the mock organisation: 4 processes\n")],
)
def test_what_it_is_doing_is_said_if_asked(run, monkeypatch, options, said):
    class Served:
        def __init__(self, topology, announce, source):
            pass

        async def run(self):
            pass

    monkeypatch.setattr(command_line, "Supervisor", Served)
    assert run("small", *options) == (0, "", said)
