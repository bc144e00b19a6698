"""Keys of a topology that mean something to the mock alone.

Planning has no use for them, and takes any value: they are named so that a misspelt key is refused instead of
being planned without. ``tests/end_to_end/test_plan.py`` holds them against the mock's own.
"""

from typing import Any

from msgspec import Struct


class ServerKeys(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Of servers of every role."""

    address: Any = None


class HttpKeys(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What client access servers have in common."""

    port: Any = None
    framing: Any = None
    receive_window: Any = None
    channel_lifetime: Any = None
    simulate_farm: Any = None
    valid_ports: Any = None
    valid_ports_reread_s: Any = None
    own_application_pool: Any = None
    tls: Any = None
    certificate: Any = None
    key: Any = None
    client_ca: Any = None
    tls_minimum: Any = None
    tls_maximum: Any = None
    tls_key_log: Any = None


class StoreKeys(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What stores say of themselves, and whom they let in."""

    version: Any = None
    session_linger_s: Any = None
    mailboxes: Any = None


class Organisation(Struct, frozen=True, forbid_unknown_fields=True):
    """What names are made of."""

    name: Any = None
    administrative_group: Any = None
    domain: Any = None


class Accounts(Struct, frozen=True, forbid_unknown_fields=True):
    """The mock's users."""

    count: Any = None
    alias: Any = None
    display_name: Any = None
    password: Any = None


class Rpc(Struct, frozen=True, forbid_unknown_fields=True):
    """What RPC servers have in common."""

    receive_window: Any = None
    banner: Any = None


class Security(Struct, frozen=True, forbid_unknown_fields=True):
    """Who has to prove what."""

    http: Any = None
    rpc_minimum: Any = None
    header_signing: Any = None
    expired: Any = None


class Faults(Struct, frozen=True, forbid_unknown_fields=True):
    """Delays and planned outages."""

    services: Any = None
    calls: Any = None
    distribution: Any = None
    median_ms: Any = None
    spread_ms: Any = None
    sigma: Any = None
    slowdown: Any = None
    seed: Any = None
    planned: Any = None


class Ports(Struct, frozen=True, forbid_unknown_fields=True):
    """Endpoints of servers."""

    store: Any = None
    referral: Any = None
    directory: Any = None
    endpoint_mapper: Any = None
    store_tcp: Any = None
    referral_tcp: Any = None
    directory_tcp: Any = None
    delivery: Any = None


class Counters(Struct, frozen=True, forbid_unknown_fields=True):
    """Where counters are served."""

    address: Any = None
    port: Any = None


class TopologyKeys(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Tables and keys of the organisation as a whole."""

    dialect: Any = None
    base_address: Any = None
    organisation: Organisation = Organisation()
    accounts: Accounts = Accounts()
    rpc: Rpc = Rpc()
    security: Security = Security()
    faults: Faults = Faults()
    ports: Ports = Ports()
    counters: Counters = Counters()
