"""One HTTP GET of somebody's figures."""

import os
import ssl
from typing import Final

import aiohttp

from loadgen.errors import RemoteProtocolError, TransportError

_TIMEOUT: Final = aiohttp.ClientTimeout(total=2.0)
"""Figures are asked for once an interval: an answer that comes later is of no use."""


async def fetch(url: str) -> bytes:
    """What ``url`` answers; raises :class:`~loadgen.errors.PeerError`, which names it."""
    try:
        async with aiohttp.ClientSession(timeout=_TIMEOUT) as session, session.get(url) as answer:
            body = await answer.read()
    except (aiohttp.ClientError, TimeoutError) as error:
        raise TransportError(f"{url}: {why(error)}") from None
    if answer.status != 200:
        raise RemoteProtocolError(f"{url} answered {answer.status}")
    return body


def why(error: Exception) -> str:
    """Why there was no answer, in the system's words instead of those of aiohttp and asyncio."""
    if isinstance(error, TimeoutError):
        return "no answer in time"
    system = getattr(error, "os_error", error)  # what aiohttp wraps
    code = getattr(system, "errno", None) or 0
    if code > 0 and not isinstance(system, ssl.SSLError):
        return os.strerror(code)
    return getattr(system, "strerror", "") or str(system) or type(error).__name__
