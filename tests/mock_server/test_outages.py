"""Servers that stop, come back or stall while the organisation serves, with real processes."""

import asyncio
import json
import signal
import socket
import sys
from asyncio.subprocess import PIPE
from pathlib import Path

import aiohttp
import pytest

from loadgen.wire import nspi
from mock_server import child as child_module
from mock_server.child import Child, RoleDied
from mock_server.counters import RoleCounters
from mock_server.role_process import Task
from mock_server.supervisor import Supervisor
from mock_server.topology_file import read_topology
from tests.mock_server.wire_client import virtual_connection

BASE = "127.32.210.0"
CAS = ("127.32.210.1", 18080)
PAGE = "http://127.32.210.250:18090"
CATALOGS = [{"name": "GC1", "address": "127.0.10.31"}, {"name": "GC2", "address": "127.0.10.32"}]


@pytest.fixture
async def serve(monkeypatch):
    """Serves a topology with two global catalogs until the test ends."""
    monkeypatch.setattr(sys, "stdin", None)
    running = []

    async def start(**changes):
        keys = {key.replace("__", "."): value for key, value in changes.items()}
        topology = read_topology("small", base_address=BASE, changes={"global_catalog": CATALOGS} | keys)
        ready = asyncio.Event()
        served = Supervisor(topology, ready.set)
        running.append((served, asyncio.create_task(served.run())))
        await asyncio.wait_for(ready.wait(), 60)
        return served

    yield start
    for served, task in running:
        served._stop.set()
        await task


@pytest.fixture
async def page():
    async with aiohttp.ClientSession() as session:
        yield session


async def told(page, path):
    async with page.get(PAGE + path) as answer:
        return json.loads(await answer.read())


async def ask(page, path):
    async with page.post(PAGE + path) as answer:
        return answer.status, await answer.read()


def by_directory():
    return virtual_connection(*CAS, "MBX1", 6004)


async def bound(connection):
    await connection.bind(nspi.INTERFACE)
    return await open_directory(connection)


async def open_directory(connection):
    answer = await connection.call(0, nspi.NspiBindRequest(nspi.Stat()).encode())
    return nspi.NspiBindResponse.decode(answer.stub).return_value == 0


async def sessions(page):
    roles = (await told(page, "/counters"))["roles"]
    return {name: roles[name].get("NTDS\\AB Client Sessions") for name in ("GC1", "GC2") if name in roles}


async def test_a_catalog_goes_and_comes_back(serve, page):
    """Who was connected is cut off; who comes is served by the other one, also after the first is back."""
    await serve()
    async with by_directory() as connection:
        assert await bound(connection)
        assert await sessions(page) == {"GC1": 1, "GC2": 0}
        assert await ask(page, "/servers/gc1/stop") == (200, b'{"server":"gc1","up":false}')
        assert await connection.out_channel.rest() == b""
    assert await ask(page, "/servers/GC1/stop") == (200, b'{"server":"GC1","up":false}')
    assert await sessions(page) == {"GC1": None, "GC2": 0}
    async with by_directory() as connection:
        assert await bound(connection)
        assert await sessions(page) == {"GC1": None, "GC2": 1}
        at_once = await asyncio.gather(*(ask(page, "/servers/GC1/start") for _ in range(2)))
        assert at_once == [(200, b'{"server":"GC1","up":true}')] * 2
        assert await sessions(page) == {"GC1": 0, "GC2": 1}
    async with by_directory() as connection:
        assert await bound(connection)
        assert (await sessions(page))["GC1"] == 0
    roles = (await told(page, "/counters"))["roles"]
    assert roles["MBX1"]["Mock\\DSProxy Failovers"] == 1


async def test_a_server_whose_address_is_taken_stays_down(serve, page):
    await serve()
    await ask(page, "/servers/GC1/stop")
    with listening("127.32.210.31", 6004):
        status, reason = await ask(page, "/servers/GC1/start")
        assert status == 503
        assert b"GC1: " in reason
        assert b"127.32.210.31" in reason
        assert await sessions(page) == {"GC1": None, "GC2": 0}
    assert await ask(page, "/servers/GC1/start") == (200, b'{"server":"GC1","up":true}')


async def test_a_start_waits_for_the_stop_before_it(monkeypatch):
    """The old process holds the address of the new one, and has to be killed."""
    monkeypatch.setattr(child_module, "_STOP_TIMEOUT_S", 0.01)
    topology = read_topology("small", base_address="127.32.211.0")
    with listening("127.32.211.31", 6004) as held:
        old = await asyncio.create_subprocess_exec("sleep", "60", stdin=PIPE, pass_fds=[held.fileno()])
    catalog = Child("GC1", Task("global_catalog", 0, topology))
    catalog._process = old
    catalog._up.set()
    await asyncio.gather(catalog.take_down(), catalog.bring_up())
    assert old.returncode == -signal.SIGKILL
    assert catalog.is_up
    assert "NTDS\\AB Client Sessions" in (await catalog.report()).counters
    await catalog.stop()


async def test_a_process_that_ends_before_it_listens_stays_down(monkeypatch):
    monkeypatch.setattr(sys, "executable", "false")
    catalog = Child("GC1", Task("global_catalog", 0, read_topology("small")))
    with pytest.raises(RoleDied, match="GC1 ended with status 1"):
        await catalog.bring_up()
    assert not catalog.is_up


def listening(address, port):
    """A socket that holds this address."""
    taken = socket.socket()
    taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    taken.bind((address, port))
    taken.listen()
    return taken


async def test_a_stalled_server_answers_when_it_is_over(serve, page):
    served = await serve()
    (catalog,) = [child for child in served._children if child.name == "GC1"]
    async with by_directory() as connection:
        assert await bound(connection)
        assert await sessions(page) == {"GC1": 1, "GC2": 0}
        stalled = asyncio.create_task(catalog.stall(3600))
        another = asyncio.create_task(catalog.stall(3600))
        while not is_stopped(catalog):  # noqa: ASYNC110 - the kernel sets no event
            await asyncio.sleep(0.001)
        assert await sessions(page) == {"GC1": 1, "GC2": 0}
        answer = asyncio.create_task(open_directory(connection))
        stalled.cancel()
        await asyncio.sleep(0.05)
        assert is_stopped(catalog)
        assert not answer.done()
        another.cancel()
        assert await answer
        assert await sessions(page) == {"GC1": 2, "GC2": 0}
    assert await ask(page, "/servers/GC1/stall?for_s=0") == (200, b'{"server":"GC1","up":true}')
    assert not is_stopped(catalog)


def is_stopped(child):
    """Whether the kernel holds its process: its state is T."""
    stat = Path(f"/proc/{child.process.pid}/stat").read_text(encoding="ascii")
    return stat.rpartition(")")[2].split()[0] == "T"


async def test_a_planned_outage(serve, page):
    planned = [
        {"server": "GC1", "at_s": 0, "for_s": 0},
        {"server": "GC2", "at_s": 0, "for_s": 3600},
        {"server": "MBX1", "at_s": 0, "for_s": 3600, "action": "stall"},
    ]
    served = await serve(faults__planned=planned)
    first, second = (child for child in served._children if child.name in ("GC1", "GC2"))
    pid = first.process.pid
    while second.is_up or not first.is_up or first.process.pid == pid:  # noqa: ASYNC110 - no event
        await asyncio.sleep(0.001)
    assert await sessions(page) == {"GC1": 0, "GC2": None}
    assert is_stopped(next(child for child in served._children if child.name == "MBX1"))


async def test_what_the_page_refuses(serve, page):
    await serve()
    for path, status in (
        ("/servers/GC9/stop", 404),
        ("/servers/GC1/explode", 404),
        ("/servers/GC1/stall", 400),
        ("/servers/GC1/stall?for_s=-1", 400),
        ("/servers/GC1/stall?for_s=x", 400),
    ):
        assert (await ask(page, path))[0] == status, path


async def test_delays_are_told_of_all_servers(serve, page):
    await serve(
        faults__distribution="constant",
        faults__median_ms=2,
        faults__calls="all",
        faults__services=["directory"],
    )
    async with by_directory() as connection:
        assert await bound(connection)
    told_now = await told(page, "/delays")
    assert told_now["all"]["drawn"]["count"] == told_now["servers"]["GC1"]["held"]["count"] == 1
    assert told_now["all"]["drawn"]["percentiles_ms"]["99.99"] == 2.0
    values = await told(page, "/delays/values")
    assert values["GC1"]["drawn"] == {"2000": 1}
    assert values["GC2"] == {"drawn": {}, "held": {}}
    roles = (await told(page, "/counters"))["roles"]
    assert 1 < roles["GC1"]["Mock\\NSPI RPC Averaged Latency"] < 1000


async def test_a_server_that_is_down_counts_nothing_and_is_no_bug():
    child = Child("GC1", None)
    assert await child.report() == RoleCounters({}, {})
    assert (await child.delays()).drawn == {}
    await child.stop()
    with pytest.raises(AssertionError):
        child._signal(signal.SIGCONT)
