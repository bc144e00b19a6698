"""Why figures could not be fetched."""

import errno
import socket
import ssl

import aiohttp
import pytest

from loadgen.measure.fetch import why


class Wrapped(aiohttp.ClientError):
    """As aiohttp hands on what the system said."""

    def __init__(self, os_error):
        super().__init__("Cannot connect to host x:1 ssl:default [...]")
        self.os_error = os_error


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (Wrapped(OSError(errno.ECONNREFUSED, "Connect call failed ('x', 1)")), "Connection refused"),
        (
            Wrapped(socket.gaierror(socket.EAI_NONAME, "Name or service not known")),
            "Name or service not known",
        ),
        (Wrapped(ssl.SSLError(1, "[SSL] wrong version number")), "[SSL] wrong version number"),
        (aiohttp.InvalidURL("http://"), "http://"),
        (aiohttp.ServerDisconnectedError(), "Server disconnected"),
        (aiohttp.ClientError(), "ClientError"),
        (TimeoutError(), "no answer in time"),
        (aiohttp.ServerTimeoutError("Connection timeout to host x"), "no answer in time"),
    ],
)
def test_the_system_is_quoted_and_not_its_wrapping(error, text):
    assert why(error) == text
