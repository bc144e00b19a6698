"""The mock's own page over HTTP: what it is, what it counts, and what is to go wrong in it."""

from collections.abc import Mapping
from typing import Final, Protocol

import msgspec
from aiohttp import web

from mock_server.child import CannotListen, RoleDied
from mock_server.counters import Counters, prometheus
from mock_server.faults import DelayReport, Delays
from mock_server.organisation import describe
from mock_server.outages import NoSuchServer, Outages
from mock_server.topology import Topology

_LONGEST_STALL_S: Final = 3600.0
_SHUTDOWN_TIMEOUT_S: Final = 1.0


class Serving(Protocol):
    """What can be asked of the organisation as a whole."""

    async def counters(self) -> Counters:
        """What all processes count at this moment."""

    async def delays(self) -> dict[str, Delays]:
        """By what the calls of each server have been delayed."""


class _Page:
    def __init__(self, topology: Topology, serving: Serving, outages: Outages) -> None:
        self._organisation = msgspec.json.encode(describe(topology))
        self._serving = serving
        self._outages = outages

    def routes(self) -> list[web.RouteDef]:
        return [
            web.get("/organisation", self.organisation),
            web.get("/counters", self.counters),
            web.get("/metrics", self.metrics),
            web.get("/delays", self.delays),
            web.get("/delays/values", self.delay_values),
            web.post("/servers/{server}/{action:stop|start|stall}", self.act),
        ]

    async def organisation(self, _request: web.Request) -> web.Response:
        return web.Response(body=self._organisation, content_type="application/json")

    async def counters(self, _request: web.Request) -> web.Response:
        return _json(await self._serving.counters())

    async def metrics(self, _request: web.Request) -> web.Response:
        return web.Response(text=prometheus(await self._serving.counters()))

    async def delays(self, _request: web.Request) -> web.Response:
        """How many delays each server, and all of them, have drawn and held, by percentile."""
        servers = await self._serving.delays()
        return _json(
            {
                "all": _told(Delays.merged(servers.values())),
                "servers": {server: _told(delays) for server, delays in servers.items()},
            }
        )

    async def delay_values(self, _request: web.Request) -> web.Response:
        """Every delay of each server: how often there was one of so many microseconds."""
        return _json(await self._serving.delays())

    async def act(self, request: web.Request) -> web.Response:
        """Stop, start or stall a server; comes back when that is done and the stall over."""
        server, action = request.match_info["server"], request.match_info["action"]
        try:
            if action == "stall":
                await self._outages.stall(server, _seconds(request))
            elif action == "stop":
                await self._outages.stop(server)
            else:
                await self._outages.start(server)
        except NoSuchServer:
            raise web.HTTPNotFound(text=f"there is no server {server}\n") from None
        except (CannotListen, RoleDied) as error:
            raise web.HTTPServiceUnavailable(text=f"{error}\n") from None
        return _json({"server": server, "up": self._outages.is_up(server)})


def _json(value: object) -> web.Response:
    return web.Response(body=msgspec.json.encode(value), content_type="application/json")


def _told(delays: Delays) -> Mapping[str, DelayReport]:
    return {"drawn": DelayReport.of(delays.drawn), "held": DelayReport.of(delays.held)}


def _seconds(request: web.Request) -> float:
    try:
        seconds = float(request.query["for_s"])
    except (KeyError, ValueError):
        seconds = -1.0
    if not 0 <= seconds <= _LONGEST_STALL_S:
        raise web.HTTPBadRequest(text=f"for_s: a number of seconds up to {_LONGEST_STALL_S:g} is needed\n")
    return seconds


async def serve_page(topology: Topology, serving: Serving, outages: Outages) -> web.AppRunner:
    """Listen where the topology says; raises :class:`CannotListen`."""
    application = web.Application()
    application.router.add_routes(_Page(topology, serving, outages).routes())
    runner = web.AppRunner(application, access_log=None, shutdown_timeout=_SHUTDOWN_TIMEOUT_S)
    await runner.setup()
    settings = topology.counters
    try:
        await web.TCPSite(runner, settings.address, settings.port).start()
    except OSError as error:
        await runner.cleanup()
        raise CannotListen(f"counters: {error}") from None
    return runner
