"""What a server publishes of itself by Autodiscover: applied if it can be, else compared with the campaign.

What does not fit is a warning and no more: the campaign is what the user wants, and Outlook, which goes by
what is published, would behave otherwise.
"""

from typing import Final

import msgspec

from loadgen.client.account import RpcProxy
from loadgen.client.autodiscover import scheme_of
from loadgen.client.dialect import Ports
from loadgen.client.transport.tls import look_at_tls
from loadgen.engine.security import connection_options
from loadgen.errors import PeerError
from loadgen.protocol.http_authentication import candidates
from loadgen.wire.autodiscover import MailboxSettings, WebServer
from loadgen.workload.campaign import Campaign

PATIENCE_S: Final = 15.0
_LARGEST_PORT: Final = 65_535


def ports_of(settings: MailboxSettings, ports: Ports) -> Ports:
    """The endpoints behind the RPC proxy, ``ports`` where nothing (or no port) is published."""
    published = {
        "store": settings.store_port,
        "referral": settings.referral_port,
        "directory": settings.directory_port,
    }
    usable = {service: port for service, port in published.items() if 1 <= port <= _LARGEST_PORT}
    return msgspec.structs.replace(ports, **usable)


async def look_at_settings(
    settings: MailboxSettings | None, campaign: Campaign, proxy: RpcProxy
) -> list[str]:
    """What is published and does not fit the campaign, one sentence each."""
    web = settings.web_server if settings is not None else None
    if web is None:
        return []
    warnings = [*_way(web, proxy), *_authentication(web, campaign)]
    if proxy.tls and web.tls and web.certificate_name not in ("", "none"):
        warnings += await _certificate(web.certificate_name, proxy)
    return warnings


def _way(web: WebServer, proxy: RpcProxy) -> list[str]:
    warnings = []
    if web.host and web.host.lower() != proxy.host.lower():
        warnings.append(f"Autodiscover names {web.host} for RPC over HTTP; the load goes to {proxy.host}")
    if web.tls != proxy.tls:
        there, here = ("https", "http") if web.tls else ("http", "https")
        warnings.append(f"Autodiscover wants {there} for RPC over HTTP, and the target is {here}")
    return warnings


def _authentication(web: WebServer, campaign: Campaign) -> list[str]:
    wanted = scheme_of(web)
    auth = connection_options(campaign).auth
    if wanted is None or wanted in auth or wanted in {each.name.lower() for each in candidates(auth)}:
        return []
    return [
        f"Autodiscover wants {wanted} as HTTP authentication, and auth allows {', '.join(auth)}; "
        f"if the server refuses that, say --auth {wanted}"
    ]


async def _certificate(name: str, proxy: RpcProxy) -> list[str]:
    """Outlook goes on only if the certificate is for the principal that is published."""
    try:
        seen = await look_at_tls(proxy, PATIENCE_S)
    except PeerError:
        return []  # the first user will meet the same, and say so
    if name.lower() in (each.strip().lower() for each in seen.names.split(",")):
        return []
    return [
        f"Autodiscover publishes the certificate name {name}, and the certificate is for {seen.names}: "
        "Outlook would refuse it"
    ]
