"""What servers say of their limits, from the JSON of a mock's counters."""

import json

import pytest
from aiohttp import web

from loadgen.errors import RemoteProtocolError, TransportError
from loadgen.measure.limits import LimitReading, MockLimits, read_limits

ROLES = {
    "CAS1": {
        "Limit\\ports\\In Use": 3276.0,
        "Limit\\ports\\Of": 3276.0,
        "Limit\\ports\\Hits": 41,
        "RPC/HTTP Proxy\\Current Number of Unique Users": 1638,
    },
    "MBX1": {"Limit\\context_handles\\Hits": 0},
}
READINGS = [
    LimitReading("ports", "CAS1", 3276.0, 3276.0, 41),
    LimitReading("context_handles", "MBX1", 0.0, 0.0, 0),
]


def test_limits_are_read_by_server():
    assert read_limits(json.dumps({"connections": {}, "roles": ROLES})) == READINGS
    assert read_limits("{}") == []


@pytest.mark.parametrize("text", ["[]", '{"roles": {"CAS1": 3}}', "no JSON"])
def test_counters_that_say_something_else_are_refused(text):
    with pytest.raises(RemoteProtocolError, match="the mock's counters"):
        read_limits(text)


async def test_the_mock_is_asked_over_http():
    async def counters(_: web.Request) -> web.Response:
        return web.json_response({"connections": {}, "roles": ROLES})

    app = web.Application()
    app.router.add_get("/counters", counters)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.33.9.1", 0).start()
    ask = MockLimits(f"http://127.33.9.1:{runner.addresses[0][1]}/")
    try:
        assert await ask() == READINGS
    finally:
        await runner.cleanup()
    with pytest.raises(TransportError):
        await ask()
