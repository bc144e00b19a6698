"""CPU of logging on, for every client type over HTTP: all its connections, until it may idle.

The mailbox is empty, and Outlook logs on to it again and again. The floor sends and receives the same bytes
over as many connections; it needs no directory server, and no second process on the way to one.
"""

import tempfile
from contextlib import ExitStack
from pathlib import Path

import uvloop

from benchmarks.exchange import EventLoopClient, Exchange, Floor, floor, recorded
from benchmarks.measuring import Meter, Subject, heading, in_turns, line
from loadgen.client.account import Account, RpcProxy
from loadgen.client.client_type import ClientType
from loadgen.client.inside import Inside
from loadgen.client.outlook import OutlookClient
from loadgen.errors import PeerError
from loadgen.workload import library
from loadgen.workload.connection_model import virtual_connections
from tests.end_to_end.mock_organisation import MockOrganisation, running_mock
from tests.prove.processes import tree

ROUNDS = 5
LOG_ONS = 4
US_PER_MS = 1000.0


def new_client(
    account: Account,
    client_type: ClientType,
    proxy: RpcProxy,
    inside: Inside = Inside(),  # noqa: B008 - frozen
) -> OutlookClient:
    """An Outlook that nobody listens to."""

    def lost(error: PeerError) -> None:
        raise error

    return OutlookClient(
        account,
        client_type,
        proxy,
        startup=True,
        probe=lambda _layer, _started_ns, _ended_ns: None,
        on_notify=lambda: None,
        on_lost=lost,
        inside=inside,
    )


async def record(mock: MockOrganisation, client_type: ClientType) -> Exchange:
    async with recorded(mock.proxy, mock.base_address.removesuffix(".0") + ".200") as (relay, exchange):
        client = new_client(mock.account(0), client_type, relay)
        await client.log_on()
        steps = list(exchange.steps)
        await client.log_off()
    return Exchange(steps)


def ours(mock: MockOrganisation, client_type: ClientType) -> Subject:
    async def run(meter: Meter) -> None:
        clients = [new_client(mock.account(0), client_type, mock.proxy) for _ in range(LOG_ONS)]
        with meter.over(LOG_ONS):
            for client in clients:
                await client.log_on()
        for client in clients:
            await client.log_off()

    return run


def bare(bottom: Floor) -> Subject:
    async def run(meter: Meter) -> None:
        with meter.over(LOG_ONS):
            for _ in range(LOG_ONS):
                client = EventLoopClient(bottom.server)
                await client.play(bottom.measured)
                await client.close()

    return run


def compare(mock: MockOrganisation, client_type: ClientType) -> None:
    exchange = uvloop.run(record(mock, client_type))
    with floor(exchange, mock.base_address.removesuffix(".0") + ".201") as bottom:
        bottom_meter, our_meter = Meter(bottom.processes), Meter(tuple(tree(mock.process.pid)))
        in_turns(((bare(bottom), bottom_meter), (ours(mock, client_type), our_meter)), ROUNDS)
    connections = sum(virtual_connections(client_type, starting=True).values())
    up, down = exchange.octets
    said = f"{connections} VC, {up:,} bytes up, {down:,} down"
    line(f"{client_type.name}", our_meter, bottom_meter, US_PER_MS)
    line(f"  floor: {said}", bottom_meter, bottom_meter, US_PER_MS)


def main() -> None:
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        mock = stack.enter_context(running_mock(folder))
        heading("logging on", "ms", "x floor")
        for name in library.built_in_names("client"):
            client_type = library.read("client", name, ClientType)
            if client_type.transport == "http":
                compare(mock, client_type)


if __name__ == "__main__":
    main()
