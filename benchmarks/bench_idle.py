"""What a held idle user costs the generator, by client type: KiB of memory, and a share of a processor.

Memory is that of a process of its own: how much more is resident for every user more, and what tracemalloc
finds of it in Python's own allocations. The floor is a process with as many idle connections on uvloop.

Idle users ping once a minute, on each virtual connection over HTTP, and polling types ask for news once a
minute. Minutes are not waited for but rung in at once, several in a row, and their cost is scaled to 1,000
users and to a minute that lasts one. On top come the proxies' pings, waits renewed every five minutes, and a
run's reports.
"""

import asyncio
import gc
import multiprocessing
import os
import tempfile
import time
import tracemalloc
from contextlib import ExitStack
from multiprocessing.connection import Connection
from pathlib import Path

import msgspec
import uvloop

from benchmarks.bench_logon import new_client
from loadgen.client.account import RpcProxy
from loadgen.client.client_type import ClientType
from loadgen.client.organisation import Organisation
from loadgen.client.outlook import OutlookClient
from loadgen.workload import library
from loadgen.workload.connection_model import connections_per_vc, virtual_connections
from tests.end_to_end.mock_organisation import MockOrganisation, running_mock
from tests.prove.processes import cpu_ns, figures, tree

FIRST_USERS = 10
"""They pay for what all share."""
USERS = 60
TRACED_USERS = 15
AT_ONCE = 5
MINUTES = 4
MINUTE_S = 60.0
SETTLE_S = 0.2
HELD_USERS = 1000


class Cost(msgspec.Struct, frozen=True):
    """What one user costs: memory, tasks, and processor time of an idle minute, here and in the mock."""

    resident_kib: float
    traced_kib: float = 0.0
    tasks: int = 0
    own_us: float = 0.0
    servers_us: float = 0.0


class Experiment(msgspec.Struct, frozen=True):
    """All that a process has to know to measure one client type."""

    client_type: ClientType
    organisation: Organisation
    servers: tuple[int, ...]

    @property
    def proxy(self) -> RpcProxy:
        """The first client access server."""
        cas = self.organisation.cas[0]
        return RpcProxy(cas.address, cas.port)


def resident_kib() -> int:
    """Of this process, without what could be freed."""
    gc.collect()
    of_this = figures(os.getpid())
    assert of_this is not None
    return of_this.resident_kib


async def log_on(experiment: Experiment, first: int, many: int) -> list[OutlookClient]:
    """Users with all that a user has who has been there for a while."""
    organisation = experiment.organisation
    clients = [
        new_client(organisation.account(index), experiment.client_type, experiment.proxy, organisation.inside)
        for index in range(first, first + many)
    ]
    for start in range(0, many, AT_ONCE):
        await asyncio.gather(*(client.log_on() for client in clients[start : start + AT_ONCE]))
    for client in clients:
        await client.end_startup()
    return clients


async def idle_minute(client: OutlookClient, minute: int) -> None:
    """What a user does in a minute without mail; ``minute`` is how many have been rung in."""
    later = asyncio.get_running_loop().time() + minute * MINUTE_S
    for connection in tuple(client._connections):  # noqa: SLF001 - nobody else has an alarm clock to turn
        connection.wake(later)
    if not client.notifies:
        await client.fetch_news()


async def hold(experiment: Experiment) -> Cost:
    """Memory of users, then their idle minutes."""
    await log_on(experiment, 0, FIRST_USERS)
    tasks = len(asyncio.all_tasks())
    before_kib = resident_kib()
    clients = await log_on(experiment, FIRST_USERS, USERS)
    resident = (resident_kib() - before_kib) / USERS
    tasks = len(asyncio.all_tasks()) - tasks

    servers_ns, own_ns = sum(map(cpu_ns, experiment.servers)), time.process_time_ns()
    for minute in range(1, MINUTES + 1):
        for client in clients:
            await idle_minute(client, minute)
        await asyncio.sleep(SETTLE_S)
    own_ns = time.process_time_ns() - own_ns
    servers_ns = sum(map(cpu_ns, experiment.servers)) - servers_ns

    tracemalloc.start()
    traced = await log_on(experiment, FIRST_USERS + USERS, TRACED_USERS)
    gc.collect()
    traced_kib = tracemalloc.get_traced_memory()[0] / 1024 / TRACED_USERS
    tracemalloc.stop()
    for client in (*clients, *traced):
        client.abort()
    minutes = USERS * MINUTES * 1000
    return Cost(resident, traced_kib, tasks, own_ns / minutes, servers_ns / minutes)


async def hold_bare(experiment: Experiment) -> Cost:
    """As many connections, to the same server, of which nobody wants anything."""
    loop, proxy = asyncio.get_running_loop(), experiment.proxy
    client_type = experiment.client_type
    of_user = connections_per_vc(client_type) * sum(virtual_connections(client_type, starting=False).values())
    ends = [
        await loop.create_connection(asyncio.Protocol, proxy.host, proxy.port)
        for _ in range(FIRST_USERS * of_user)
    ]
    before_kib = resident_kib()
    ends += [
        await loop.create_connection(asyncio.Protocol, proxy.host, proxy.port) for _ in range(USERS * of_user)
    ]
    cost = Cost((resident_kib() - before_kib) / USERS)
    for transport, _ in ends:
        transport.abort()
    return cost


def measure(task: bytes, answer: "Connection[bytes, bytes]", *, bare: bool) -> None:
    """What a process of its own does."""
    experiment = msgspec.json.decode(task, type=Experiment)
    cost = uvloop.run(hold_bare(experiment) if bare else hold(experiment))
    answer.send_bytes(msgspec.json.encode(cost))


def in_a_process(experiment: Experiment, *, bare: bool) -> Cost:
    """Nothing that another experiment left behind is counted."""
    spawn = multiprocessing.get_context("spawn")
    here, there = spawn.Pipe()
    task = msgspec.json.encode(experiment)
    process = spawn.Process(target=measure, args=(task, there), kwargs={"bare": bare})
    process.start()
    there.close()
    cost = msgspec.json.decode(here.recv_bytes(), type=Cost)
    process.join()
    return cost


def compare(mock: MockOrganisation, client_type: ClientType) -> None:
    """One line of the table."""
    experiment = Experiment(client_type, mock.organisation, tuple(tree(mock.process.pid)))
    bare, ours = in_a_process(experiment, bare=True), in_a_process(experiment, bare=False)
    share = HELD_USERS / MINUTE_S / 1e6
    connections = sum(virtual_connections(client_type, starting=False).values())
    print(
        f"{client_type.name:30}{connections:4}{ours.resident_kib:10.1f}{bare.resident_kib:8.1f}"
        f"{ours.resident_kib / bare.resident_kib:7.1f}{ours.traced_kib:10.1f}{ours.tasks:7}"
        f"{ours.own_us * share:11.2%}{ours.servers_us * share:9.2%}"
    )


def main() -> None:
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        mock = stack.enter_context(running_mock(folder, users=FIRST_USERS + USERS + TRACED_USERS))
        print(f"{'per held user':30}{'':4}{'KiB':>10}{'':15}{'KiB':>10}{'':7}{'CPU of 1,000 users':>20}")
        print(
            f"{'':30}{'VC':>4}{'resident':>10}{'floor':>8}{'x':>7}{'traced':>10}{'tasks':>7}"
            f"{'clients':>11}{'servers':>9}"
        )
        for name in library.built_in_names("client"):
            compare(mock, library.read("client", name, ClientType))


if __name__ == "__main__":
    main()
