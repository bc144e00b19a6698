"""CPU of the same work in impacket and in this project's client, against the same mock: client side alone.

impacket speaks over blocking sockets, one thing after the other, so ours does one thing after the other, too.
"""

import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from itertools import chain
from pathlib import Path
from typing import Any

from impacket.dcerpc.v5 import nspi as judge_nspi
from impacket.dcerpc.v5 import oxabref as judge_rfr
from impacket.dcerpc.v5.transport import DCERPCTransportFactory
from impacket.http import AUTH_BASIC

from benchmarks.bench_calls import (
    CASES,
    COLUMNS,
    DIRECTORY,
    PAGE,
    REFERRAL,
    USERS,
    Case,
    our_calls,
    our_openings,
)
from benchmarks.measuring import Meter, Subject, in_turns, ratio
from tests.end_to_end.mock_organisation import MockOrganisation, running_mock

ROUNDS = 5
OPENINGS = 3
CALLS = 4
PAGES = 1
WANTED = {"virtual connection": 10, "RfrGetNewDSA": 40, "NspiQueryRows": 100}
"""How many times less CPU ours should need."""


@contextmanager
def connected(mock: MockOrganisation, port: int, interface: bytes) -> Iterator[Any]:
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


def judges_openings(mock: MockOrganisation) -> Subject:
    async def run(meter: Meter) -> None:
        with meter.over(OPENINGS):
            for _ in range(OPENINGS):
                with connected(mock, REFERRAL, judge_rfr.MSRPC_UUID_OXABREF):
                    pass

    return run


def judges_referrals(mock: MockOrganisation) -> Subject:
    async def run(meter: Meter) -> None:
        account = mock.account(0)
        with connected(mock, REFERRAL, judge_rfr.MSRPC_UUID_OXABREF) as dce, meter.over(CALLS):
            for _ in range(CALLS):
                answer = judge_rfr.hRfrGetNewDSA(dce, account.legacy_dn)
                assert answer["ppszServer"]

    return run


def judges_pages(mock: MockOrganisation) -> Subject:
    async def run(meter: Meter) -> None:
        with connected(mock, DIRECTORY, judge_nspi.MSRPC_UUID_NSPI) as dce:
            handle = judge_nspi.hNspiBind(dce)["contextHandle"]
            with meter.over(PAGES):
                for _ in range(PAGES):
                    answer = judge_nspi.hNspiQueryRows(
                        dce, handle, ContainerID=0, Count=PAGE, pPropTags=list(COLUMNS)
                    )
                    assert len(judge_nspi.simplifyPropertyRowSet(answer["ppRows"])) == PAGE

    return run


def main() -> None:
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        mock = stack.enter_context(running_mock(folder, users=USERS))
        named: dict[str, Case] = {case.name.partition(",")[0]: case for case in CASES}
        pairs: dict[str, tuple[Subject, Subject]] = {
            "virtual connection": (our_openings(mock), judges_openings(mock)),
            "RfrGetNewDSA": (our_calls(mock, named["RfrGetNewDSA"]), judges_referrals(mock)),
            "NspiQueryRows": (our_calls(mock, named["NspiQueryRows"]), judges_pages(mock)),
        }
        meters = {name: (Meter(()), Meter(())) for name in pairs}
        both = (zip(pairs[name], meters[name], strict=True) for name in pairs)
        in_turns(chain.from_iterable(both), ROUNDS)
    print(f"{'least client CPU in µs':24}{'ours':>10}{'impacket':>12}{'impacket / ours':>18}{'wanted':>9}")
    for name, (ours, judges) in meters.items():
        times = ratio(judges.own_us, ours.own_us)
        print(f"{name:24}{min(ours.own_us):10.1f}{min(judges.own_us):12.1f}{times:18.1f}{WANTED[name]:9}")


if __name__ == "__main__":
    main()
