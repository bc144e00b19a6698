"""A tap hears all that goes over a connection, in order; without one nothing of it is there."""

import asyncio

import pytest

from loadgen.client.account import Credentials, RpcProxy
from loadgen.client.transport import ConnectionOptions, open_virtual_connection

from .scripted_proxy import INTERFACE, Proxy, Say

ADDRESS = "127.43.0.3"


@pytest.fixture
async def proxy():
    scripted = Proxy()
    server = await asyncio.start_server(scripted.serve, ADDRESS, 0)
    scripted.port = server.sockets[0].getsockname()[1]
    yield scripted
    server.close()
    await asyncio.gather(*scripted.tasks, return_exceptions=True)


async def test_everything_is_heard(proxy):
    heard = []
    options = ConnectionOptions(tap=lambda *told: heard.append(told))
    to = RpcProxy(ADDRESS, proxy.port)
    connection = await open_virtual_connection(to, "MBX1", 6001, (INTERFACE,), Credentials("a", "b"), options)
    assert await connection.call(Say(b"hello")) == b"you said hello"
    await connection.close()
    by_channel = {tapped.channel: tapped for tapped, *_ in heard}
    assert {*by_channel} == {"IN", "OUT"}
    assert len({tapped.number for tapped in by_channel.values()}) == 2
    for tapped in by_channel.values():
        whats = [what for other, what, _ in heard if other == tapped]
        assert (whats[0], whats[-1], tapped.remote, tapped.tls) == (
            "opened",
            "closed",
            (ADDRESS, proxy.port),
            False,
        )
    assert sum(len(data) for _, what, data in heard if what == "sent") == connection.bytes_sent
    assert sum(len(data) for _, what, data in heard if what == "received") == connection.bytes_received


async def test_the_end_of_a_stream_is_heard(proxy):
    heard = []
    options = ConnectionOptions(tap=lambda tapped, what, _: heard.append((tapped.channel, what)))
    connection = await open_virtual_connection(
        RpcProxy(ADDRESS, proxy.port), "MBX1", 6001, (INTERFACE,), Credentials("a", "b"), options
    )
    lost = asyncio.get_running_loop().create_future()
    connection.on_lost = lost.set_result
    proxy.writers["OUT"].close()
    await lost
    assert ("OUT", "ended") in heard
    await connection.close()


async def test_without_a_tap_there_is_nothing(proxy):
    connection = await open_virtual_connection(
        RpcProxy(ADDRESS, proxy.port), "MBX1", 6001, (INTERFACE,), Credentials("a", "b")
    )
    assert all(
        type(link.transport).__module__ != "loadgen.client.transport.tap" for link in connection._links
    )
    await connection.close()
