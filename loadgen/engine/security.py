"""How the users of a run prove who they are, and how what they say is protected: a campaign's own words.

All users of a process share what is made of them.
"""

from functools import lru_cache
from typing import Final

from msgspec.structs import replace

from loadgen.client.account import RpcProxy
from loadgen.client.tls_settings import TlsSettings
from loadgen.client.transport import ConnectionOptions
from loadgen.protocol.http_authentication import STRONGEST_FIRST, HttpScheme
from loadgen.workload.campaign import Campaign

INSECURE: Final = (
    "WARNING: tls_insecure: any certificate is taken, so whoever is on the way to the target "
    "can read the passwords of its accounts"
)


@lru_cache(maxsize=1)
def connection_options(campaign: Campaign) -> ConnectionOptions:
    """What all connections of a run announce, and with what they are secured."""
    return ConnectionOptions(
        auth=_schemes(campaign),
        rpc_security=campaign.rpc_security,
        rpc_mechanism=campaign.rpc_mechanism,
    )


def tls_settings(campaign: Campaign, known: TlsSettings = TlsSettings()) -> TlsSettings:  # noqa: B008 - frozen
    """TLS as the campaign wants it; ``known`` is what the target itself says."""
    return replace(
        known,
        ca_file=campaign.ca_file or known.ca_file,
        insecure=campaign.tls_insecure,
        client_certificate=campaign.client_certificate or "",
        client_key=campaign.client_key or "",
        minimum=campaign.tls_minimum,
    )


@lru_cache(maxsize=64)
def secured(proxy: RpcProxy, campaign: Campaign) -> RpcProxy:
    """A proxy of the target with the campaign's settings."""
    return replace(proxy, tls_settings=tls_settings(campaign, proxy.tls_settings))


def _schemes(campaign: Campaign) -> tuple[HttpScheme, ...]:
    if campaign.auth == "auto":
        return STRONGEST_FIRST
    return (campaign.auth,) if isinstance(campaign.auth, str) else campaign.auth
