"""The organisation as arithmetic sees it: servers by role, and what they have only so much of.

It is the generator's own view of ``profiles/topology/*.toml``, which the mock reads, too. Of keys that
planning does not need (:mod:`~loadgen.workload.topology_keys`) the values are left to the mock.
"""

import tomllib
from collections.abc import Sequence
from math import floor
from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import Meta, Struct

from loadgen.errors import ProfileError
from loadgen.workload import library
from loadgen.workload.topology_keys import HttpKeys, ServerKeys, StoreKeys, TopologyKeys

PORT_RANGES: Final = {
    "white-paper": 65_535,
    "port-scalability": 60_000,
    "server-2008": 16_384,
    "server-2003": 3_976,
}
"""Ports of one address for outgoing connections, by what ``limits.ports`` calls them (docs/limits.md)."""

ROLES: Final = ("reverse_proxy", "client_access", "mailbox", "public_folders", "global_catalog")
"""The arrays of server tables, from the client inwards."""

_PREFIXES: Final = dict(zip(ROLES, ("ISA", "CAS", "MBX", "PF", "GC"), strict=True))

_ROUNDING: Final = 1e-9
"""0.29 times 100 is 29, although the product of both floats is less."""

Count = Annotated[int, Meta(ge=0)]
Amount = Annotated[float, Meta(ge=0)]
Ports = (
    Literal["off", "white-paper", "port-scalability", "server-2008", "server-2003"]
    | Annotated[int, Meta(ge=1, le=65_535)]
)


class Limits(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What servers have only so much of; 0 and ``off`` mean without end. See `docs/profiles.md`."""

    scale: Annotated[float, Meta(gt=0)] = 1.0
    ports: Ports = "off"
    time_wait_s: Amount = 0.0
    context_handles: Count = 0
    memory_mb: Amount = 0.0
    memory_per_connection_kb: Annotated[float, Meta(gt=0)] = 61.0
    request_queue: Count = 0
    requests_per_s: Amount = 0.0
    recycle_after_s: Amount = 0.0
    recycle_grace_s: Amount = 90.0
    nspi_sessions_per_user: Count = 0
    mapi_sessions_per_user: Count = 0
    front_end_contexts: Count = 0

    @property
    def port_budget(self) -> int:
        """Ports of one source address; 0 if nobody counts them."""
        return self.scaled(PORT_RANGES.get(self.ports, 0) if isinstance(self.ports, str) else self.ports)

    @property
    def memory_budget(self) -> int:
        """Virtual connections that the memory of a client access server is enough for; 0: without end."""
        return self.scaled(self.memory_mb * 1000 / self.memory_per_connection_kb)

    def scaled(self, number: float) -> int:
        """A number times ``scale``, rounded down but at least 1; 0, without end, stays 0."""
        return max(1, floor(number * self.scale + _ROUNDING)) if number else 0


class Server(ServerKeys, frozen=True, kw_only=True):
    """A server that opens no connections to others."""

    name: str

    @property
    def sources(self) -> int:
        """How many addresses its outgoing connections can come from."""
        return 1


class ConnectingServer(Server, frozen=True, kw_only=True):
    """A server that opens some; its own address counts if it has no ``source_addresses``."""

    source_addresses: tuple[str, ...] = ()

    @property
    def sources(self) -> int:
        """How many addresses its outgoing connections can come from."""
        return max(1, len(self.source_addresses))


class ClientAccess(ConnectingServer, frozen=True, kw_only=True):
    """A client access server, of however many processes."""

    processes: Any = None
    valid_ports: Any = None


class ReverseProxy(ConnectingServer, frozen=True, kw_only=True):
    """A 32-bit ISA Server before the client access servers, with its non-paged pool (rsimpson)."""

    nonpaged_pool_mb: Amount = 250.0
    kb_per_connection: Annotated[float, Meta(gt=0)] = 12.5

    def connections(self, limits: Limits) -> int:
        """Connections that the pool is enough for; 0: without end."""
        return limits.scaled(self.nonpaged_pool_mb * 1000 / self.kb_per_connection)


class HttpView(HttpKeys, frozen=True, kw_only=True):
    """What paces pings."""

    connection_timeout_ms: int = 120_000


class StoreView(StoreKeys, frozen=True, kw_only=True):
    """What paces polls."""

    polls_max_ms: int = 60_000


class ReferralView(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where clients are sent for the directory once they have asked."""

    directory: Literal["dsproxy", "global-catalog"] = "dsproxy"


class Topology(TopologyKeys, frozen=True, kw_only=True):
    """An organisation as far as planning needs it."""

    name: str = ""
    title: str = ""
    http: HttpView = HttpView()
    store: StoreView = StoreView()
    referral: ReferralView = ReferralView()
    limits: Limits = Limits()
    reverse_proxy: tuple[ReverseProxy, ...] = ()
    client_access: Annotated[tuple[ClientAccess, ...], Meta(min_length=1)]
    mailbox: tuple[ConnectingServer, ...] = ()
    public_folders: tuple[Server, ...] = ()
    global_catalog: tuple[Server, ...] = ()

    def servers(self, role: str) -> tuple[Server, ...]:
        """The servers of one of the :data:`ROLES`."""
        servers: tuple[Server, ...] = getattr(self, role)
        return servers

    def with_servers(self, role: str, count: int) -> "Topology":
        """The same with so many servers of a role, all like its first one."""
        old = self.servers(role)
        pattern = old[0] if old else (ReverseProxy if role == "reverse_proxy" else ConnectingServer)(name="")
        new = [msgspec.structs.replace(pattern, name=f"{_PREFIXES[role]}{n + 1}") for n in range(count)]
        return msgspec.structs.replace(self, **{role: tuple(new)})

    def with_sources(self, role: str, count: int) -> "Topology":
        """The same with so many source addresses on each server of a role."""
        new = [
            msgspec.structs.replace(server, source_addresses=("",) * count) for server in self.servers(role)
        ]
        return msgspec.structs.replace(self, **{role: tuple(new)})

    def with_scale(self, scale: float) -> "Topology":
        """The same with all limits multiplied by ``scale`` instead of the topology's own."""
        return msgspec.structs.replace(self, limits=msgspec.structs.replace(self.limits, scale=scale))


def read_topology(name: str, changes: Sequence[str] = ()) -> Topology:
    """The topology of a built-in name or path, after changes of the form ``key=value``, as the mock takes.

    Raises :class:`~loadgen.errors.ProfileError`.
    """
    table = library.read_table("topology", name)
    for change in changes:
        key, separator, value = change.partition("=")
        if not key or not separator:
            raise ProfileError(f"--set {change}: not of the form key=value")
        _change(table, key.split("."), _value(value), f"--set {key}")
    path = library.find("topology", name)
    source = " ".join((str(path), *(f"--set {change}" for change in changes)))
    return library.convert({"name": path.stem} | table, Topology, source)


def _value(text: str) -> object:
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text


def _change(table: object, steps: list[str], value: object, source: str) -> None:
    """Sets one key; a step into an array is a number that counts from 0."""
    step, *below = steps
    if isinstance(table, list) and below and step.isdecimal() and int(step) < len(table):
        _change(table[int(step)], below, value, source)
    elif not isinstance(table, dict):
        raise ProfileError(f"{source}: there is no such key")
    elif below:
        _change(table.setdefault(step, {}), below, value, source)
    else:
        table[step] = value
