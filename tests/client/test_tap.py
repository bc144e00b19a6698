"""A tap hears all that goes over a connection, in order; without one nothing of it is there."""

import asyncio

import pytest

from loadgen.client.account import Credentials, RpcProxy
from loadgen.client.transport import ConnectionOptions, open_virtual_connection
from loadgen.client.transport.tap import TappedProtocol

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


class Held(asyncio.Protocol):
    def connection_made(self, transport):
        self.transport = transport


class Written(asyncio.Transport):
    def __init__(self):
        super().__init__({"sockname": ("127.0.0.1", 49152), "peername": ("127.0.0.2", 80)})
        self.written = []

    def write(self, data):
        self.written.append(data)

    def get_write_buffer_size(self):
        return 7


def test_what_hears_nothing_is_as_without_a_tap():
    """But all ways of writing are heard."""
    heard, held, inner = [], Held(), Written()
    TappedProtocol(held, "TCP", lambda _, *told: heard.append(told)).connection_made(inner)
    assert held.transport.get_write_buffer_size() == 7
    assert held.transport.get_extra_info("peername") == ("127.0.0.2", 80)
    held.transport.write(b"one")
    held.transport.writelines([b"two", b" three"])
    assert inner.written == [b"one", b"two three"]
    assert heard == [("opened", b""), ("sent", b"one"), ("sent", b"two three")]


async def test_without_a_tap_there_is_nothing(proxy):
    connection = await open_virtual_connection(
        RpcProxy(ADDRESS, proxy.port), "MBX1", 6001, (INTERFACE,), Credentials("a", "b")
    )
    assert all(
        type(link.transport).__module__ != "loadgen.client.transport.tap" for link in connection._links
    )
    await connection.close()
