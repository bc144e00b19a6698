"""Limits where the processes are real, and where the kernel itself has nothing left."""

import asyncio
import json
import subprocess
import sys
from contextlib import asynccontextmanager
from itertools import count
from pathlib import Path

import aiohttp
import pytest

from loadgen.wire import rts
from tests.mock_server.wire_client import Connection, request_head

TIMEOUT_S = 60
SUCCESS = "HTTP/1.1 200 Success"
UNAVAILABLE = "HTTP/1.0 503 RPC Error: 6ba"
FAILED = "RPC/HTTP Proxy\\Number of Failed Back-End Connection attempts per Second"
CHANNELS = count(1)


class Organisation:
    """A mock of processes; what it says of itself, and what it counts."""

    def __init__(self, description):
        self.description = description
        front = description["cas"][0]
        self.front = front["address"], front["port"]
        self.channels = []

    async def open_channel(self):
        """The answer to one more OUT channel, which stays open."""
        connection = await Connection.open(*self.front)
        self.channels.append(connection)
        cookie = next(CHANNELS).to_bytes(16, "little")
        a1 = rts.conn_a1(cookie, bytes(reversed(cookie)), 65536).encode()
        connection.send(request_head("RPC_OUT_DATA", "MBX1", 6001, 76) + a1)
        return (await connection.head()).split(b"\r\n")[0].decode()

    async def counters(self):
        url = f"{self.description['counters_url']}/counters"
        async with aiohttp.ClientSession() as session, session.get(url) as answer:
            return await answer.json()


def limit(counters, server, name):
    figures = counters["roles"][server]
    return tuple(figures[f"Limit\\{name}\\{figure}"] for figure in ("In Use", "Of", "Hits"))


@asynccontextmanager
async def serve(topology, base_address, **changes):
    """A mock of that topology, until the block ends."""
    options = [f"--set={key.replace('__', '.')}={value}" for key, value in changes.items()]
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "mock_server", topology, "--json", "--base-address", base_address, *options),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    organisation = Organisation(json.loads(await process.stdout.readline()))
    try:
        yield organisation
    finally:
        for channel in organisation.channels:
            channel.writer.close()
        process.stdin.close()
        await process.wait()


@pytest.mark.parametrize("processes", [1, 3])
async def test_processes_of_a_server_have_one_budget(processes):
    async with serve(
        "small", "127.31.2.0", client_access__0__processes=processes, limits__ports=20
    ) as organisation:
        answers = [await organisation.open_channel() for _ in range(21)]
        assert [answer for answer in answers if answer != SUCCESS] == [UNAVAILABLE]
        assert answers[-1] == UNAVAILABLE
        # A channel is let in once the kernel has connected it to the store, which hears of it later.
        while (counted := await organisation.counters())["connections"]["store"] < 20:
            pass
        assert counted["connections"]["cas_to_stores"] == counted["connections"]["store"] == 20
        assert limit(counted, "CAS1", "ports") == (20, 20, 1)
        assert counted["roles"]["CAS1"][FAILED] == 1
        await organisation.channels.pop(0).close()
        while limit(await organisation.counters(), "CAS1", "ports")[0] == 20:
            pass
        assert await organisation.open_channel() == SUCCESS


async def test_clients_go_to_the_reverse_proxy(tmp_path):
    path = tmp_path / "isa.toml"
    path.write_text(
        'extends = "small"\n[[reverse_proxy]]\nname = "ISA1"\naddress = "127.0.10.41"\n'
        "nonpaged_pool_mb = 1.0\n"
        '[[client_access]]\nname = "CAS1"\naddress = "127.0.10.1"\nsource_addresses = ["127.0.10.2"]\n'
        '[[client_access]]\nname = "CAS2"\naddress = "127.0.10.3"\n',
        encoding="utf-8",
    )
    async with serve(str(path), "127.31.5.0", limits__scale=0.05) as organisation:
        said = organisation.description
        assert [(each["name"], each["address"], each["port"]) for each in said["cas"]] == [
            ("ISA1", "127.31.5.41", 18080)
        ]
        assert said["cas_sources"] == ["127.31.5.2", "127.31.5.3"]
        assert [await organisation.open_channel() for _ in range(4)] == [SUCCESS] * 4
        with pytest.raises(ConnectionResetError):
            await (await Connection.open(*organisation.front)).rest()
        counted = await organisation.counters()
        assert counted["connections"]["client_to_cas"] == 4
        assert limit(counted, "ISA1", "nonpaged_pool") == (4, 4, 1)
        taken = [
            counted["roles"][name]["Web Service(_Total)\\Current Connections"] for name in ("CAS1", "CAS2")
        ]
        assert taken == [2, 2]


def test_the_kernel_itself_runs_out_of_ports():
    """``connect`` gets EADDRNOTAVAIL in earnest, and clients can't tell it from the mock's own limit."""
    namespace = ("unshare", "--net", "--map-root-user")
    if subprocess.run([*namespace, "true"], capture_output=True, check=False).returncode:
        pytest.skip("no network namespaces here")
    script = Path(__file__).parent / "narrow_ports.py"
    root = Path(__file__).parents[2]
    done = subprocess.run(
        [*namespace, sys.executable, str(script)],
        capture_output=True,
        check=True,
        timeout=TIMEOUT_S,
        cwd=root,
        env={"PYTHONPATH": str(root), "PATH": "/usr/sbin:/usr/bin:/sbin:/bin"},
    )
    said = json.loads(done.stdout)
    assert said["answers"] == [SUCCESS] * 4 + [UNAVAILABLE] * 2
    assert said["connections"]["cas_to_stores"] == 4
    assert said["counters"][FAILED] == 2
    assert [said["counters"][f"Limit\\ports\\{figure}"] for figure in ("In Use", "Of", "Hits")] == [
        4,
        65535,
        2,
    ]
