"""One HTTP GET of somebody's figures."""

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
        raise TransportError(f"{url}: {str(error) or type(error).__name__}") from None
    if answer.status != 200:
        raise RemoteProtocolError(f"{url} answered {answer.status}")
    return body
