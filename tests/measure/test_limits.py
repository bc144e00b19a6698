"""What servers say of their limits, among their counters."""

import pytest
from aiohttp import web

from loadgen.errors import TransportError
from loadgen.measure.limits import CountedLimits, LimitReading, read_limits
from loadgen.measure.scrape import Scraper
from loadgen.measure.server_counters import ExporterCounters, MockServerCounters

ROLES = {
    "CAS1": {
        "Limit\\ports\\In Use": 3276.0,
        "Limit\\ports\\Of": 3276.0,
        "Limit\\ports\\Hits": 41,
        "RPC/HTTP Proxy\\Current Number of Unique Users": 1638,
    },
    "MBX1": {"Limit\\context_handles\\Hits": 0},
}
EXPORTED = r"""
mock_counter{server="CAS1",counter="Limit\\ports\\In Use"} 3276
mock_counter{server="CAS1",counter="Limit\\ports\\Of"} 3276
mock_counter{server="CAS1",counter="Limit\\ports\\Hits"} 41
mock_counter{server="MBX1",counter="Limit\\context_handles\\Hits"} 0
windows_exchange_rpc_user_count 7
"""
READINGS = [
    LimitReading("ports", "CAS1", 3276.0, 3276.0, 41),
    LimitReading("context_handles", "MBX1", 0.0, 0.0, 0),
]


def test_counters_about_other_things_are_no_limits():
    assert read_limits({"CAS1": {r"\RPC/HTTP Proxy\Limit": 1, r"\Limit": 1, r"\Limit\ports\Of": 1}}) == []
    assert read_limits({}) == []


async def test_a_mock_and_an_exporter_say_the_same():
    async def counters(_: web.Request) -> web.Response:
        return web.json_response({"connections": {}, "roles": ROLES})

    async def metrics(_: web.Request) -> web.Response:
        return web.Response(text=EXPORTED)

    app = web.Application()
    app.router.add_get("/counters", counters)
    app.router.add_get("/metrics", metrics)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.33.9.1", 0).start()
    url = f"http://127.33.9.1:{runner.addresses[0][1]}"
    sources = [
        CountedLimits(MockServerCounters(f"{url}/")),
        CountedLimits(ExporterCounters(Scraper(f"{url}/metrics"))),
    ]
    try:
        for ask in sources:
            assert await ask() == READINGS
    finally:
        await runner.cleanup()
    for ask in sources:
        with pytest.raises(TransportError):
            await ask()
