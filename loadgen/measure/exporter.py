"""What Prometheus exporters call the counters that administrators know from perfmon.

Names and units are those of windows_exporter's collectors ``exchange``, ``ad``, ``tcp``, ``iis``, ``memory``,
``cpu`` and ``system`` (github.com/prometheus-community/windows_exporter, docs/collector.*.md and the
``perflib`` names in collector/exchange.go). Totals stay totals here: rates are made of them by
:class:`~loadgen.measure.counters.Cooker`.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Final

import msgspec

_LABELLED: Final = re.compile(r"([A-Za-z_:][\w:]*)(?:\{(.*)\})?")
_LABEL: Final = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')
_MS_PER_S: Final = 1000.0
_MB: Final = 1 / 1_048_576


class ExportedCounter(msgspec.Struct, frozen=True):
    """A perfmon path with its scale; ``{label}`` in the path stands for the value of that label."""

    path: str
    scale: float = 1.0
    only: tuple[str, str] | None = None
    """Label and value that the metric must have."""


_RPC: Final = r"\MSExchange RpcClientAccess" "\\"
_LDAP: Final = r"\MSExchange ADAccess Processes({name})" "\\"
EXPORTED: Final[Mapping[str, tuple[ExportedCounter, ...]]] = {
    **dict.fromkeys(
        ("windows_exchange_rpc_avg_latency_sec", "windows_exchange_rpc_avg_latency_seconds"),
        (ExportedCounter(_RPC + "RPC Averaged Latency", _MS_PER_S),),
    ),
    "windows_exchange_rpc_requests": (ExportedCounter(_RPC + "RPC Requests"),),
    "windows_exchange_rpc_active_user_count": (ExportedCounter(_RPC + "Active User Count"),),
    "windows_exchange_rpc_connection_count": (ExportedCounter(_RPC + "Connection Count"),),
    "windows_exchange_rpc_operations_total": (ExportedCounter(_RPC + "RPC Operations/sec"),),
    "windows_exchange_rpc_user_count": (ExportedCounter(_RPC + "User Count"),),
    "windows_exchange_ldap_read_time_sec": (ExportedCounter(_LDAP + "LDAP Read Time", _MS_PER_S),),
    "windows_exchange_ldap_search_time_sec": (ExportedCounter(_LDAP + "LDAP Search Time", _MS_PER_S),),
    "windows_exchange_http_proxy_outstanding_proxy_requests": (
        ExportedCounter(r"\MSExchange HttpProxy({name})\Outstanding Proxy Requests"),
    ),
    "windows_ad_address_book_client_sessions": (ExportedCounter(r"\NTDS\AB Client Sessions"),),
    "windows_ad_address_book_operations_total": tuple(
        ExportedCounter(rf"\NTDS\{counter}/sec", only=("operation", operation))
        for operation, counter in (
            ("ambiguous_name_resolution", "AB ANR"),
            ("browse", "AB Browses"),
            ("find", "AB Matches"),
            ("property_read", "AB Property Reads"),
            ("search", "AB Searches"),
            ("proxy_search", "AB Proxy Lookups"),
        )
    ),
    "windows_ad_ldap_last_bind_time_seconds": (ExportedCounter(r"\NTDS\LDAP Bind Time", _MS_PER_S),),
    "windows_tcp_connections_established": (
        ExportedCounter(r"\TCPv4\Connections Established", only=("af", "ipv4")),
    ),
    "windows_tcp_connection_failures_total": (
        ExportedCounter(r"\TCPv4\Connection Failures", only=("af", "ipv4")),
    ),
    "windows_tcp_connections_reset_total": (
        ExportedCounter(r"\TCPv4\Connections Reset", only=("af", "ipv4")),
    ),
    "windows_iis_current_connections": (ExportedCounter(r"\Web Service({site})\Current Connections"),),
    "windows_iis_connection_attempts_all_instances_total": (
        ExportedCounter(r"\Web Service({site})\Connection Attempts/sec"),
    ),
    "windows_memory_available_bytes": (ExportedCounter(r"\Memory\Available MBytes", _MB),),
    "windows_memory_pool_nonpaged_bytes": (ExportedCounter(r"\Memory\Pool Nonpaged Bytes"),),
    "windows_memory_pool_paged_bytes": (ExportedCounter(r"\Memory\Pool Paged Bytes"),),
    "windows_system_processor_queue_length": (ExportedCounter(r"\System\Processor Queue Length"),),
    "mock_counter": (ExportedCounter(r"\{counter}"),),
}
"""By metric. The last one is our own mock's, which has the path, and the server, in labels."""


def perfmon_counters(metrics: Mapping[str, float], server: str) -> dict[str, dict[str, float]]:
    """Values by server and perfmon path, of metrics by their names with labels; others are left out."""
    found: dict[str, dict[str, float]] = {}
    for name, value in metrics.items():
        for of_server, path, scale in _paths(name):
            found.setdefault(of_server or server, {})[path] = value * scale
    return found


def _paths(name: str) -> Iterator[tuple[str, str, float]]:
    """Server ("" for the one that was asked), path and scale of one metric."""
    match = _LABELLED.fullmatch(name)
    if match is None or match[1] not in EXPORTED:
        return
    labels = {key: _unescaped(value) for key, value in _LABEL.findall(match[2] or "")}
    for exported in EXPORTED[match[1]]:
        if exported.only is not None and labels.get(exported.only[0], exported.only[1]) != exported.only[1]:
            continue
        path = re.sub(r"\{(\w+)\}", lambda found: labels.get(found[1], ""), exported.path)
        yield labels.get("server", ""), path, exported.scale


def _unescaped(text: str) -> str:
    return re.sub(r"\\(.)", lambda found: "\n" if found[1] == "n" else found[1], text)
