"""CPU of the same work in impacket and in this project's client, against the same mock: client side alone.

Both do one thing after the other, and then many at once: ours on one event loop, impacket, which knows only
blocking sockets, in as many threads. What needs no socket is measured without one, too. Opening includes
authentication, bind and closing; calls are made on connections that are open, and their answers are decoded.

The floor moves the same bytes on a bare event loop: how many times less CPU any client on it could need.
"""

import asyncio
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any

import uvloop
from impacket.dcerpc.v5 import nspi as judge_nspi
from impacket.dcerpc.v5 import oxabref as judge_rfr
from impacket.dcerpc.v5 import rpcrt
from impacket.dcerpc.v5.transport import DCERPCTransportFactory
from impacket.http import AUTH_BASIC

from benchmarks import bench_nspi
from benchmarks.bench_calls import (
    CASES,
    COLUMNS,
    DIRECTORY,
    OPENING,
    PAGE,
    REFERRAL,
    USERS,
    Case,
    bare_calls,
    bare_openings,
    connect,
    record,
)
from benchmarks.exchange import floor
from benchmarks.measuring import Meter, Subject, in_turns, ratio
from loadgen.wire import pdu, rfr
from tests.end_to_end.mock_organisation import MockOrganisation, running_mock

ROUNDS = 4
AT_ONCE = 16
DISTINGUISHED_NAME = "/o=Contoso/ou=First Administrative Group/cn=Recipients/cn=user00000"
WANTED = {"virtual connection": 10, "RfrGetNewDSA": 40, "NspiQueryRows": 100}
"""How many times less CPU ours should need."""
RFR, QUERY = CASES[0], CASES[-1]

Work = Callable[[], object]


@contextmanager
def judge(mock: MockOrganisation, port: int, interface: bytes) -> Iterator[Any]:
    """impacket's DCE/RPC object, bound."""
    account = mock.account(0)
    server = account.home_server
    transport = DCERPCTransportFactory(f"ncacn_http:{server}[{port},RpcProxy={mock.host}:443]")
    transport.set_rpc_proxy_url(f"http://{mock.host}:{mock.port}/rpc/rpcproxy.dll?{server}:{port}")
    transport.set_auth_type(AUTH_BASIC)
    transport.set_credentials(account.user, account.password)
    dce = transport.get_dce_rpc()
    try:
        dce.connect()
        dce.bind(interface)
        yield dce
    finally:
        for channel in transport._RPCProxyClient__channels.values():  # noqa: SLF001 - it has no way to close
            channel.close()


def judge_opens(mock: MockOrganisation) -> None:
    with judge(mock, REFERRAL, judge_rfr.MSRPC_UUID_OXABREF):
        pass


def judge_asks(mock: MockOrganisation, stack: ExitStack) -> Work:
    dce = stack.enter_context(judge(mock, REFERRAL, judge_rfr.MSRPC_UUID_OXABREF))
    return partial(judge_rfr.hRfrGetNewDSA, dce, mock.account(0).legacy_dn)


def judge_reads(mock: MockOrganisation, stack: ExitStack) -> Work:
    dce = stack.enter_context(judge(mock, DIRECTORY, judge_nspi.MSRPC_UUID_NSPI))
    handle = judge_nspi.hNspiBind(dce)["contextHandle"]

    def read() -> None:
        answer = judge_nspi.hNspiQueryRows(dce, handle, ContainerID=0, Count=PAGE, pPropTags=list(COLUMNS))
        assert len(judge_nspi.simplifyPropertyRowSet(answer["ppRows"])) == PAGE

    return read


def judges_openings(mock: MockOrganisation, at_once: int, each: int) -> Subject:
    async def run(meter: Meter) -> None:
        in_threads(meter, [partial(judge_opens, mock)] * at_once, each)

    return run


def judges_calls(
    mock: MockOrganisation,
    prepare: Callable[[MockOrganisation, ExitStack], Work],
    at_once: int,
    each: int,
) -> Subject:
    async def run(meter: Meter) -> None:
        with ExitStack() as stack:
            in_threads(meter, [prepare(mock, stack) for _ in range(at_once)], each)

    return run


def in_threads(meter: Meter, works: list[Work], each: int) -> None:
    """Every work so many times, in a thread of its own if there are several."""

    def repeat(work: Work) -> None:
        for _ in range(each):
            work()

    with ThreadPoolExecutor(len(works)) as threads, meter.over(each * len(works)):
        list(threads.map(repeat, works)) if len(works) > 1 else repeat(works[0])


def our_openings(mock: MockOrganisation, at_once: int, each: int) -> Subject:
    async def open_and_close() -> None:
        for _ in range(each):
            connection = await connect(mock, mock.proxy, OPENING)
            await connection.close()

    async def run(meter: Meter) -> None:
        with meter.over(at_once * each):
            await asyncio.gather(*(open_and_close() for _ in range(at_once)))

    return run


def our_calls(mock: MockOrganisation, case: Case, at_once: int, each: int) -> Subject:
    async def run(meter: Meter) -> None:
        connections = [await connect(mock, mock.proxy, case) for _ in range(at_once)]
        calls = [await case.prepare(connection, mock.account(0)) for connection in connections]

        async def repeat(number: int) -> None:
            for _ in range(each):
                await calls[number]()

        with meter.over(at_once * each):
            await asyncio.gather(*map(repeat, range(at_once)))
        for connection in connections:
            await connection.close()

    return run


def without_sockets(work: Work, times: int) -> Subject:
    async def run(meter: Meter) -> None:
        with meter.over(times):
            for _ in range(times):
                work()

    return run


def our_referral(answer: bytes) -> None:
    stub = rfr.RfrGetNewDSARequest(DISTINGUISHED_NAME).encode()
    pdu.Request(call_id=2, context_id=0, opnum=0, stub=stub).encode()
    response = pdu.decode(answer)
    assert isinstance(response, pdu.Response)
    rfr.RfrGetNewDSAResponse.decode(response.stub)


def judges_referral(answer: bytes) -> None:
    request = judge_rfr.RfrGetNewDSA()
    request["ulFlags"] = 0
    request["pUserDN"] = DISTINGUISHED_NAME + "\0"
    request["ppszUnused"] = judge_rfr.NULL
    request["ppszServer"] = "\0"
    header = rpcrt.MSRPCRequestHeader()
    header["op_num"] = 0
    header["pduData"] = request.getData()
    header["alloc_hint"] = len(header["pduData"])
    header.get_packet()
    response = rpcrt.MSRPCRespHeader(answer)
    assert judge_rfr.RfrGetNewDSAResponse(response["pduData"])["ppszServer"]


def pairs(mock: MockOrganisation) -> dict[str, tuple[Subject, Subject]]:
    """What is compared: ours and impacket's, by what is done."""
    stub = rfr.RfrGetNewDSAResponse(rfr.NamePlace("MBX1.contoso.test")).encode()
    answer = pdu.Response(call_id=2, context_id=0, stub=stub).encode()
    page = bench_nspi.read_page()
    many = f", {AT_ONCE} at once"
    return {
        "virtual connection": (our_openings(mock, 1, 40), judges_openings(mock, 1, 10)),
        "virtual connection" + many: (our_openings(mock, AT_ONCE, 4), judges_openings(mock, AT_ONCE, 1)),
        "RfrGetNewDSA": (our_calls(mock, RFR, 1, 100), judges_calls(mock, judge_asks, 1, 8)),
        "RfrGetNewDSA" + many: (
            our_calls(mock, RFR, AT_ONCE, 20),
            judges_calls(mock, judge_asks, AT_ONCE, 1),
        ),
        "RfrGetNewDSA, no sockets": (
            without_sockets(partial(our_referral, answer), 300),
            without_sockets(partial(judges_referral, answer), 10),
        ),
        "NspiQueryRows": (our_calls(mock, QUERY, 1, 40), judges_calls(mock, judge_reads, 1, 1)),
        "NspiQueryRows" + many: (
            our_calls(mock, QUERY, AT_ONCE, 4),
            judges_calls(mock, judge_reads, AT_ONCE, 1),
        ),
        "NspiQueryRows, no sockets": (
            without_sockets(partial(bench_nspi.ours, page), 20),
            without_sockets(partial(bench_nspi.judges, page), 1),
        ),
    }


def floors(mock: MockOrganisation, stack: ExitStack) -> dict[str, Subject]:
    """A bare event loop, for what is done one after the other."""
    subjects = {}
    for name, case in (("virtual connection", OPENING), ("RfrGetNewDSA", RFR), ("NspiQueryRows", QUERY)):
        bottom = stack.enter_context(floor(uvloop.run(record(mock, case)), mock.host))
        on_loop, _ = bare_openings(bottom) if case is OPENING else bare_calls(bottom)
        subjects[name] = on_loop
    return subjects


def main() -> None:
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        mock = stack.enter_context(running_mock(folder, users=USERS))
        compared, bare = pairs(mock), floors(mock, stack)
        meters = {name: (Meter(()), Meter(())) for name in compared}
        bottom = {name: Meter(()) for name in bare}
        both = (zip(compared[name], meters[name], strict=True) for name in compared)
        in_turns(chain(chain.from_iterable(both), ((bare[name], bottom[name]) for name in bare)), ROUNDS)
    print(
        f"{'least client CPU in µs':36}{'floor':>10}{'ours':>10}{'impacket':>12}{'times':>9}{'wanted':>9}"
        f"{'at best':>9}"
    )
    for name, (ours, judges) in meters.items():
        times, wanted = ratio(judges.own_us, ours.own_us), WANTED[name.partition(",")[0]]
        least, best = "", ""
        if name in bottom:
            least, best = (
                f"{min(bottom[name].own_us):.1f}",
                f"{ratio(judges.own_us, bottom[name].own_us):.1f}",
            )
        print(
            f"{name:36}{least:>10}{min(ours.own_us):10.1f}{min(judges.own_us):12.1f}{times:9.1f}{wanted:9}"
            f"{best:>9}"
        )


if __name__ == "__main__":
    main()
