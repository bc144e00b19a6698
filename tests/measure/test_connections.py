import asyncio
from collections.abc import Callable

import pytest
from aiohttp import web

from loadgen.errors import RemoteProtocolError, TransportError
from loadgen.measure import connections
from loadgen.measure.columns import COLUMNS, ConnectionCount
from loadgen.measure.connections import (
    Census,
    KernelCounter,
    MockCounter,
    client_count,
    count_until_equal,
    organisation_filters,
    read_mock_counters,
)
from loadgen.measure.sock_diag import Host, KernelCountError, Rule

ORGANISATION = {
    "cas": [
        {"name": "CAS1", "address": "127.44.0.1", "port": 8080},
        {"name": "CAS2", "address": "127.44.0.2", "port": 8080},
    ],
    "servers": {
        "MBX1": {
            "role": "mailbox",
            "address": "127.44.0.11",
            "ports": {"store": 6001, "referral": 6002, "directory": 6004},
        },
        "PF1": {"role": "public_folders", "address": "127.44.0.21", "ports": {"store": 6001}},
        "GC1": {"role": "global_catalog", "address": "127.44.0.31", "ports": {"directory": 6004}},
    },
    "accounts": {"servers": ["MBX1"], "public_servers": ["PF1"]},
}
CAS = (Host("127.44.0.1"), Host("127.44.0.2"))


def opened(*hosts: Host) -> tuple[Rule, ...]:
    return tuple(Rule(local=cas, remote=host) for cas in CAS for host in hosts)


def test_filters_follow_the_description_of_the_organisation():
    store, public = Host("127.44.0.11", 6001), Host("127.44.0.21", 6001)
    dsproxy, referral = Host("127.44.0.11", 6004), Host("127.44.0.11", 6002)
    assert organisation_filters(ORGANISATION) == {
        "client_to_cas": (Rule(local=Host("127.44.0.1", 8080)), Rule(local=Host("127.44.0.2", 8080))),
        "client_to_servers": (),
        "cas_to_stores": opened(store, public),
        "cas_to_dsproxy": opened(dsproxy),
        "cas_to_referral": opened(referral),
        "cas_to_gc": opened(Host("127.44.0.31", 6004)),
        "store": (Rule(local=store),),
        "dsproxy": (Rule(local=dsproxy),),
        "referral": (Rule(local=referral),),
        "public_store": (Rule(local=public),),
        "directory": (Rule(local=Host("127.44.0.31", 6004)),),
    }


def test_ports_over_tcp_count_at_their_service_and_for_the_clients():
    servers = {
        "MBX1": {
            "role": "mailbox",
            "address": "127.44.0.11",
            "ports": {"store": 6001, "store_tcp": 6101, "referral_tcp": 6102, "endpoint_mapper": 135},
        },
        "GC1": {"role": "global_catalog", "address": "127.44.0.31", "ports": {"directory_tcp": 6104}},
    }
    accounts = {"servers": ["MBX1"], "public_servers": []}
    filters = organisation_filters(ORGANISATION | {"servers": servers, "accounts": accounts})
    proxied, store = Rule(local=Host("127.44.0.11", 6001)), Rule(local=Host("127.44.0.11", 6101))
    referral, directory = Rule(local=Host("127.44.0.11", 6102)), Rule(local=Host("127.44.0.31", 6104))
    assert filters["client_to_servers"] == (store, referral, directory)
    assert (filters["store"], filters["referral"]) == ((proxied, store), (referral,))
    assert filters["directory"] == (directory,)


def test_what_the_cas_opens_is_counted_at_its_sources():
    filters = organisation_filters(ORGANISATION | {"cas_sources": ["127.44.0.5"]})
    assert filters["client_to_cas"] == organisation_filters(ORGANISATION)["client_to_cas"]
    assert filters["cas_to_referral"] == (Rule(local=Host("127.44.0.5"), remote=Host("127.44.0.11", 6002)),)


def test_columns_that_share_an_address_and_port_are_left_out():
    shared = ORGANISATION | {"accounts": {"servers": ["MBX1"], "public_servers": ["MBX1"]}}
    filters = organisation_filters(shared)
    assert "store" not in filters
    assert "public_store" not in filters
    assert filters["cas_to_stores"] == opened(Host("127.44.0.11", 6001))


def test_the_kernels_count_has_sums_where_all_parts_are_known(monkeypatch):
    monkeypatch.setattr(connections, "count_established", len)
    counts = KernelCounter(organisation_filters(ORGANISATION)).count()
    assert counts["cas_to_stores"] == 4
    assert counts["cas_total"] == 4 + 2 + 2 + 2
    assert counts["mailbox_total"] == 3
    assert KernelCounter({"store": ()}).count()["mailbox_total"] is None


async def test_the_kernel_is_asked_off_the_event_loop(monkeypatch):
    loops: list[bool] = []

    def count(_: object) -> int:
        with pytest.raises(RuntimeError):
            asyncio.get_running_loop()
        loops.append(True)
        return 1

    monkeypatch.setattr(connections, "count_established", count)
    assert (await KernelCounter({"store": ()})())["store"] == 1
    assert loops


def test_a_client_sees_its_own_connections_alone():
    counts = client_count(7)
    known = {column: count for column, count in counts.items() if count is not None}
    assert known == {"client_to_cas": 14, "client_to_servers": 0}
    assert list(counts) == list(COLUMNS)
    mixed = client_count(7, direct=4)
    assert (mixed["client_to_cas"], mixed["client_to_servers"]) == (6, 4)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("[]", "Expected `object`"),
        ("{", "truncated"),
        ('{"connections": {"store": "many"}}', "Expected `int`"),
    ],
)
def test_counters_that_say_something_else_are_refused(text, problem):
    with pytest.raises(RemoteProtocolError, match=problem):
        read_mock_counters(text)


async def serve(answer: Callable[[], web.Response]) -> tuple[web.AppRunner, str]:
    async def counters(_: web.Request) -> web.Response:
        return answer()

    app = web.Application()
    app.router.add_get("/counters", counters)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.44.9.9", 0)
    await site.start()
    return runner, f"http://127.44.9.9:{runner.addresses[0][1]}/"


async def test_the_mock_is_asked_over_http():
    counted = {"client_to_cas": 8, "store": 2, "dsproxy": 2, "referral": 2}
    runner, url = await serve(lambda: web.json_response({"connections": counted, "roles": {"CAS1": {}}}))
    try:
        counts = await MockCounter(url)()
    finally:
        await runner.cleanup()
    assert (counts["client_to_cas"], counts["mailbox_total"], counts["directory"]) == (8, 6, None)
    with pytest.raises(TransportError, match=r"/counters: Connection refused$"):
        await MockCounter(url)()


async def test_a_mock_that_has_a_problem_says_so():
    runner, url = await serve(lambda: web.Response(status=500))
    try:
        with pytest.raises(RemoteProtocolError, match="answered 500"):
            await MockCounter(url)()
    finally:
        await runner.cleanup()


class Clock:
    """Time that passes only while somebody sleeps."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.now += seconds


def counter(*answers: ConnectionCount | Exception) -> Callable[[], object]:
    left = list(answers)

    async def count() -> ConnectionCount:
        answer = left.pop(0) if len(left) > 1 else left[0]
        if isinstance(answer, Exception):
            raise answer
        return answer

    return count


async def census(expected: dict[str, int], **counters: object) -> tuple[Census, float]:
    clock = Clock()
    found = await count_until_equal(expected, counters, 2.0, clock=clock, sleep=clock.sleep)
    return found, clock.now - 100


async def test_counting_ends_as_soon_as_all_agree():
    found, took_s = await census(
        {"store": 4},
        client=counter({"store": None}),
        kernel=counter({"store": 2}, KernelCountError("busy"), {"store": 4}),
        mock=counter({"store": 3}, {"store": 4}),
    )
    assert found.is_equal
    assert took_s == pytest.approx(0.1)
    assert found.counts == {"client": {"store": None}, "kernel": {"store": 4}, "mock": {"store": 4}}


async def test_at_the_deadline_the_last_count_stands():
    found, took_s = await census({"store": 4}, kernel=counter({"store": 2}), mock=counter({"store": 4}))
    assert not found.is_equal
    assert 1.9 < took_s <= 2.0
    assert found.counts["kernel"] == {"store": 2}


async def test_a_party_that_cannot_count_is_reported_and_not_hidden():
    found, _ = await census(
        {"store": 4}, mock=counter(TransportError("gone")), client=counter({"store": None})
    )
    assert not found.is_equal
    assert found.errors == {"mock": "gone"}
    assert found.counts["mock"] == {"store": None}


async def test_a_bug_in_counting_is_not_swallowed():
    with pytest.raises(ZeroDivisionError):
        await census({"store": 4}, mock=counter(ZeroDivisionError()))
