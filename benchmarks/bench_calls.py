"""CPU of a virtual connection opened and bound, and of an RPC call over it: ours, and the floor.

Calls follow each other on one virtual connection, so each pays for waking up every process on its way; under
load several calls share that. The floor sends and receives the same bytes.
"""

import tempfile
from collections.abc import Awaitable, Callable
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import uvloop

from benchmarks.exchange import BlockingClient, EventLoopClient, Exchange, Floor, floor, recorded
from benchmarks.measuring import Meter, Subject, heading, in_turns, line
from loadgen.client.account import Account, RpcProxy
from loadgen.client.identity import about_client
from loadgen.client.referral import refer
from loadgen.client.store_session import StoreSession
from loadgen.client.transport import VirtualConnection, open_virtual_connection
from loadgen.protocol.emsmdb_session import EmsmdbSession, RopBatch, Transfer
from loadgen.protocol.nspi_session import NspiSession
from loadgen.wire import emsmdb, nspi, rfr
from loadgen.wire.pdu import SyntaxId
from tests.end_to_end.mock_organisation import MockOrganisation, running_mock
from tests.prove.processes import tree

ROUNDS = 7
CALLS = 60
OPENINGS = 40
USERS = 300
STORE, REFERRAL, DIRECTORY = 6001, 6002, 6004
OUTLOOK_2007 = (12, 6206, 1000)
COLUMNS = (0x3001001F, 0x39FE001F, 0x3003001F, 0x0FF60102, 0x39000003)
PAGE = 50

Call = Callable[[], Awaitable[object]]
Prepare = Callable[[VirtualConnection, Account], Awaitable[Call]]


async def referral(connection: VirtualConnection, account: Account) -> Call:
    """Which directory server to use: the smallest call that a client makes."""
    return partial(refer, connection, account)


async def address_book_page(connection: VirtualConnection, _account: Account) -> Call:
    """The first page of the address book, again and again."""
    session = NspiSession()
    session.take_bound(await connection.call(session.bind()))
    start = session.stat

    async def page() -> None:
        session.stat = start
        query = session.query_rows(PAGE, COLUMNS)
        session.take_rows(query, await connection.call(query))

    return page


async def empty_batch(connection: VirtualConnection, account: Account) -> Call:
    """Asking a store for news: obfuscated both ways, with auxiliary blocks."""
    store = StoreSession(connection, EmsmdbSession(account.legacy_dn, OUTLOOK_2007, Transfer()))
    await store.connect(*about_client(account))
    return partial(store.run, RopBatch())


async def nothing(_connection: VirtualConnection, _account: Account) -> Call:
    """Being connected is all."""

    async def do_nothing() -> None:
        pass

    return do_nothing


@dataclass(frozen=True)
class Case:
    """Something that is done over a virtual connection of its own."""

    name: str
    port: int
    interface: SyntaxId
    prepare: Prepare


OPENING = Case("virtual connection", REFERRAL, rfr.INTERFACE, nothing)
CASES = (
    Case("RfrGetNewDSA", REFERRAL, rfr.INTERFACE, referral),
    Case("EcDoRpcExt2, no ROPs", STORE, emsmdb.INTERFACE, empty_batch),
    Case(f"NspiQueryRows, {PAGE} x {len(COLUMNS)}", DIRECTORY, nspi.INTERFACE, address_book_page),
)


async def connect(mock: MockOrganisation, proxy: RpcProxy, case: Case) -> VirtualConnection:
    account = mock.account(0)
    return await open_virtual_connection(
        proxy, account.home_server, case.port, (case.interface,), account.credentials
    )


async def record(mock: MockOrganisation, case: Case) -> Exchange:
    """What goes over the wire for it: opening, and then calls unless it is about opening."""
    async with recorded(mock.proxy, mock.base_address.removesuffix(".0") + ".200") as (relay, exchange):
        connection = await connect(mock, relay, case)
        if case is not OPENING:
            call = await case.prepare(connection, mock.account(0))
            await call()
            exchange.mark = len(exchange.steps)
            for _ in range(CALLS):
                await call()
        recorded_steps = list(exchange.steps)
        await connection.close()
    return Exchange(recorded_steps, exchange.mark)


def our_openings(mock: MockOrganisation) -> Subject:
    async def run(meter: Meter) -> None:
        with meter.over(OPENINGS):
            for _ in range(OPENINGS):
                connection = await connect(mock, mock.proxy, OPENING)
                await connection.close()

    return run


def our_calls(mock: MockOrganisation, case: Case) -> Subject:
    async def run(meter: Meter) -> None:
        connection = await connect(mock, mock.proxy, case)
        call = await case.prepare(connection, mock.account(0))
        await call()
        with meter.over(CALLS):
            for _ in range(CALLS):
                await call()
        await connection.close()

    return run


def bare_openings(bottom: Floor) -> tuple[Subject, Subject]:
    """On an event loop, and with blocking sockets."""

    async def on_loop(meter: Meter) -> None:
        with meter.over(OPENINGS):
            for _ in range(OPENINGS):
                client = EventLoopClient(bottom.server)
                await client.play(bottom.measured)
                await client.close()

    async def blocking(meter: Meter) -> None:
        with meter.over(OPENINGS):
            for _ in range(OPENINGS):
                client = BlockingClient(bottom.server)
                client.play(bottom.measured)
                client.close()

    return on_loop, blocking


def bare_calls(bottom: Floor) -> tuple[Subject, Subject]:
    """On an event loop, and with blocking sockets."""

    async def on_loop(meter: Meter) -> None:
        client = EventLoopClient(bottom.server)
        await client.play(bottom.preparation)
        with meter.over(CALLS):
            await client.play(bottom.measured)
        await client.close()

    async def blocking(meter: Meter) -> None:
        client = BlockingClient(bottom.server)
        client.play(bottom.preparation)
        with meter.over(CALLS):
            client.play(bottom.measured)
        client.close()

    return on_loop, blocking


def compare(mock: MockOrganisation, case: Case) -> None:
    """One table: the floor in two forms, and ours."""
    exchange = uvloop.run(record(mock, case))
    repetitions = 1 if case is OPENING else CALLS
    with floor(exchange, mock.base_address.removesuffix(".0") + ".201") as bottom:
        mock_processes = tuple(tree(mock.process.pid))
        loop_meter, blocking_meter = Meter(bottom.processes), Meter(bottom.processes)
        our_meter = Meter(mock_processes)
        bare = bare_openings(bottom) if case is OPENING else bare_calls(bottom)
        ours = our_openings(mock) if case is OPENING else our_calls(mock, case)
        in_turns(zip((*bare, ours), (loop_meter, blocking_meter, our_meter), strict=True), ROUNDS)
    up, down = (octets // repetitions for octets in exchange.octets)
    heading(f"{case.name} ({up:,} bytes up, {down:,} down)", "µs", "x loop")
    line("floor: blocking sockets", blocking_meter, loop_meter)
    line("floor: event loop", loop_meter, loop_meter)
    line("ours", our_meter, loop_meter)


def main() -> None:
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        mock = stack.enter_context(running_mock(folder, users=USERS))
        for case in (OPENING, *CASES):
            compare(mock, case)


if __name__ == "__main__":
    main()
