"""The steps below HTTP: the target's name, TCP to each of its addresses, and TLS."""

import asyncio
import socket
from datetime import UTC, datetime
from ipaddress import ip_address

from msgspec.structs import replace

from loadgen.client.account import RpcProxy
from loadgen.client.transport.sockets import connect
from loadgen.client.transport.tls import look_at_tls
from loadgen.errors import NameNotFound, PeerError


async def look_up(
    host: str, port: int, given: tuple[str, ...], timeout_s: float
) -> tuple[tuple[str, ...], str]:
    """The addresses of a machine: those given, or else the ones that its name has."""
    if given:
        return given, f"{host} is {', '.join(given)} (given)"
    try:
        ip_address(host)
    except ValueError:
        pass
    else:
        return (host,), f"{host} is an address already"
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(timeout_s):
            found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        why = getattr(error, "strerror", None) or str(error) or "no answer in time"
        raise NameNotFound(f"{host}: {why}") from None
    addresses = tuple(dict.fromkeys(str(address[0]) for *_, address in found))
    return addresses, f"{host} is {', '.join(addresses)}"


async def reach(proxy: RpcProxy, timeout_s: float) -> tuple[tuple[str, ...], str]:
    """Those of the target's addresses that answer; raises what the last one met if none does."""
    failures: dict[str, PeerError] = {}
    for address in proxy.addresses:
        try:
            (sock,) = await connect(replace(proxy, addresses=(address,)), 1, address, timeout_s)
        except PeerError as error:
            failures[address] = error
        else:
            sock.close()
    reached = tuple(address for address in proxy.addresses if address not in failures)
    if not reached:
        raise next(reversed(failures.values()))
    detail = f"port {proxy.port} of {', '.join(reached)}"
    if failures:
        detail += f"; NOT of {', '.join(str(error) for error in failures.values())}"
    return reached, detail


async def try_tls(proxy: RpcProxy, timeout_s: float) -> tuple[bool, str]:
    """What is agreed on, and whose certificate it is."""
    seen = await look_at_tls(proxy, timeout_s)
    ends = ""
    if seen.ends is not None:
        days = (seen.ends - datetime.now(UTC)).days
        ends = f", valid until {seen.ends:%Y-%m-%d} ({days} days)"
    unverified = "; NOT VERIFIED (tls_insecure)" if proxy.tls_settings.insecure else ""
    return True, f"{seen.version}, certificate for {seen.names}{ends}{unverified}"
