"""The whole organisation as processes: what it says, how it counts, how it ends."""

import asyncio
import json
import os
import select
import signal
import socket
import subprocess
import sys
from pathlib import Path

import aiohttp
import pytest

from loadgen.wire import emsmdb, mgmt, nspi, rfr
from mock_server import child, command_line
from mock_server.child import CannotListen, Child, RoleDied
from mock_server.command_line import main
from mock_server.supervisor import Supervisor
from mock_server.topology_file import built_in_names, read_topology
from tests.mock_server.wire_client import virtual_connection

TIMEOUT_S = 60
TOPOLOGIES = ", ".join(built_in_names())
COLUMNS = (
    ("MBX1", 6001, {"cas_to_stores": 2, "store": 2}, (emsmdb.INTERFACE, emsmdb.ASYNC_INTERFACE)),
    ("PF1", 6001, {"cas_to_stores": 2, "public_store": 2}, (emsmdb.INTERFACE, emsmdb.ASYNC_INTERFACE)),
    ("MBX1", 6002, {"cas_to_referral": 2, "referral": 2}, (rfr.INTERFACE,)),
    ("MBX1", 6004, {"cas_to_dsproxy": 2, "dsproxy": 2, "directory": 2}, (nspi.INTERFACE,)),
)


def start(*arguments, **more):
    command = [sys.executable, "-m", "mock_server", *arguments]
    pipes = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    return subprocess.Popen(command, **(pipes | more))


def children_of(pid):
    listed = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii")
    return [int(child) for child in listed.split()]


def finished(process):
    """Exit status and what it said on standard error."""
    _, errors = process.communicate(timeout=TIMEOUT_S)
    return process.returncode, errors.decode()


@pytest.fixture
def mock():
    """Starts mocks, which end with the test."""
    started = []

    def run(*arguments, **more):
        started.append(start(*arguments, **more))
        return started[-1]

    yield run
    for process in started:
        if process.poll() is None:
            process.terminate()
        process.communicate(timeout=TIMEOUT_S)


@pytest.fixture
def organisation(monkeypatch):
    """Serves a topology from this process, with real processes for its roles."""
    running = []
    monkeypatch.setattr(sys, "stdin", None)

    async def serve(topology):
        ready = asyncio.Event()
        served = Supervisor(topology, ready.set)
        task = asyncio.create_task(served.run())
        running.append(task)
        await asyncio.wait((task, asyncio.create_task(ready.wait())), return_when=asyncio.FIRST_COMPLETED)
        return served, task

    yield serve
    assert all(task.done() for task in running)


async def test_every_endpoint_from_outside(organisation):
    """One virtual connection to each, MGMT over it, and the counters of all processes at that moment."""
    topology = read_topology("small", base_address="127.0.62.0", changes={"client_access.0.processes": 2})
    served, task = await organisation(topology)
    url = f"http://{topology.counters.address}:{topology.counters.port}"
    async with aiohttp.ClientSession() as session:

        async def get(path):
            async with session.get(url + path) as answer:
                return await answer.read()

        for server, port, expected, interfaces in COLUMNS:
            async with virtual_connection("127.0.62.1", 18080, server, port) as connection:
                await connection.bind(mgmt.INTERFACE)
                answer = await connection.call(0, mgmt.InqIfIdsRequest().encode())
                offered = mgmt.InqIfIdsResponse.decode(answer.stub).interfaces
                assert offered == (*interfaces, mgmt.INTERFACE)
                counted = json.loads(await get("/counters"))["connections"]
                assert {column: count for column, count in counted.items() if count} == expected | {
                    "client_to_cas": 2
                }
            while any(json.loads(await get("/counters"))["connections"].values()):  # noqa: ASYNC110 - no event
                await asyncio.sleep(0.01)
        roles = json.loads(await get("/counters"))["roles"]
        assert set(roles) == {"CAS1", "MBX1", "PF1", "GC1"}
        assert roles["CAS1"]["RPC/HTTP Proxy\\RPC/HTTP Requests per Second"] == 8
        assert roles["MBX1"]["MSExchangeIS\\RPC Operations/sec"] == 1
        assert b'mock_connections{column="store"} 0' in await get("/metrics")
        assert json.loads(await get("/organisation"))["accounts"]["count"] == 5
    served._stop.set()
    await task


async def test_a_role_that_dies_ends_the_organisation(organisation):
    served, task = await organisation(read_topology("small", base_address="127.0.63.0"))
    victim = served._children[2]
    os.kill(victim.process.pid, signal.SIGKILL)
    with pytest.raises(RoleDied, match="PF1 ended with status -9"):
        await task
    assert all(child.process.returncode is not None for child in served._children)
    with pytest.raises(RoleDied):
        await served.counters()


@pytest.mark.parametrize(
    ("address", "port", "changes", "message"),
    [
        ("127.0.64.21", 6001, {}, "PF1: .*127.0.64.21.*address already in use"),
        ("127.0.64.250", 18090, {}, "counters: .*address already in use"),
        ("127.0.64.1", 18080, {"client_access.0.processes": 2}, "CAS1: .*Address already in use"),
    ],
)
async def test_an_address_that_is_taken(organisation, address, port, changes, message):
    with socket.socket() as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        taken.bind((address, port))
        taken.listen()
        _, task = await organisation(read_topology("small", base_address="127.0.64.0", changes=changes))
        with pytest.raises(CannotListen, match=message):
            await task


async def test_a_process_that_does_not_listen_to_its_supervisor_is_killed(monkeypatch):
    monkeypatch.setattr(child, "_STOP_TIMEOUT_S", 0.01)
    process = await asyncio.create_subprocess_exec(
        "sleep", "1000", stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    deaf = Child("MBX1", None)
    deaf._process = process
    await deaf.stop()
    assert process.returncode == -signal.SIGKILL


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_json_until_a_signal(mock, number):
    process = mock("small", "--json", "--users", "7", "--base-address", "127.0.65.0")
    said = json.loads(process.stdout.readline())
    assert said["cas"] == [{"name": "CAS1", "address": "127.0.65.1", "port": 18080, "tls": False}]
    assert said["accounts"]["count"] == 7
    assert said["counters_url"] == "http://127.0.65.250:18090"
    children = children_of(process.pid)
    assert len(children) == 4
    process.send_signal(number)
    assert finished(process) == (0, "")
    assert not any(Path(f"/proc/{child}").exists() for child in children)


def test_text_until_standard_input_ends(mock):
    process = mock("small", "--base-address", "127.0.66.0", stdin=subprocess.PIPE)
    said = [process.stdout.readline().decode() for _ in range(8)]
    assert said[0] == "1 server of each role: 5 users.\n"
    assert said[1] == "  CAS1     http://127.0.66.1:18080/rpc/rpcproxy.dll\n"
    assert "Log on as user00000@contoso.test with the password Passw0rd!" in said[-2]
    assert finished(process) == (0, "")


def test_no_process_outlives_a_killed_supervisor(mock):
    process = mock("small", "--json", "--base-address", "127.0.67.0")
    process.stdout.readline()
    watched = [os.pidfd_open(child) for child in children_of(process.pid)]
    process.kill()
    for pidfd in watched:
        assert select.select([pidfd], [], [], TIMEOUT_S)[0]
        os.close(pidfd)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["small"], "1 server of each role: 5 users.\n"),
        (["small", "--json", "--users", "9"], '{"cas":['),
    ],
)
def test_what_is_announced(monkeypatch, capsys, arguments, said):
    """Served by nobody here; the processes are other tests' business."""

    class Announced(Supervisor):
        async def run(self):
            self._announce()

    monkeypatch.setattr(command_line, "Supervisor", Announced)
    monkeypatch.setattr(sys, "argv", ["mock_server", *arguments])
    assert main() == 0
    assert capsys.readouterr().out.startswith(said)


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (["nothing"], 2, f"mock_server: 'nothing' is no built-in topology; known: {TOPOLOGIES}; or"),
        (["small", "--set", "http.prt=1"], 2, "mock_server: --set http.prt: unknown key"),
        (["small", "--users", "0"], 2, "Invalid value for '--users'"),
        (["small", "--base-address", "127.0.64.0", "--set", "counters.address=8.8.8.8"], 3, "counters: "),
    ],
)
def test_errors_are_one_line_and_a_status(monkeypatch, capsys, arguments, status, message):
    monkeypatch.setattr(sys, "argv", ["mock_server", *arguments])
    monkeypatch.setattr(sys, "stdin", None)
    assert main() == status
    captured = capsys.readouterr()
    assert message in captured.err
    assert captured.out == ""


@pytest.mark.parametrize(
    ("arguments", "problem", "said"),
    [
        ([], "address already in use", "address already in use; if another mock runs, --base-address 1"),
        ([], "cannot assign requested address", "cannot assign requested address\n"),
        (["--base-address", "127.0.64.0"], "address already in use", "address already in use\n"),
    ],
)
def test_a_second_mock_is_told_of_other_addresses(monkeypatch, capsys, arguments, problem, said):
    class Taken(Supervisor):
        async def run(self):
            raise CannotListen(f"CAS1: {problem}")

    monkeypatch.setattr(command_line, "Supervisor", Taken)
    monkeypatch.setattr(sys, "argv", ["mock_server", "small", *arguments])
    assert main() == 3
    assert capsys.readouterr().err.startswith(f"mock_server: CAS1: {said}")


def test_what_is_printed_can_be_checked(monkeypatch, capsys):
    class Announced(Supervisor):
        async def run(self):
            self._announce()

    monkeypatch.setattr(command_line, "Supervisor", Announced)
    monkeypatch.setattr(sys, "argv", ["mock_server", "small", "--base-address", "127.0.64.0"])
    assert main() == 0
    printed = capsys.readouterr().out
    assert "\n  counters_url http://127.0.64.250:18090 " in printed
    assert "loadgen check mock=http://127.0.64.250:18090\n" in printed


def test_help_has_an_example():
    output = subprocess.run(
        [sys.executable, "-m", "mock_server", "--help"], capture_output=True, check=True, timeout=TIMEOUT_S
    ).stdout.decode()
    said = f"TOPOLOGY is one of {TOPOLOGIES} or a .toml file."
    assert "".join(said.split()) in "".join(output.split()), "click breaks lines at hyphens, too"
    assert "Example:\n    python -m mock_server small" in output
