"""Referral service: tells clients at start-up where the directory is ([MS-OXABREF])."""

from collections.abc import Iterable

from mock_server.directory import Directory
from mock_server.roles.role import Role
from mock_server.roles.rpc_server import CounterNames, rpc_server_role
from mock_server.rpc.rfr import rfr_interface
from mock_server.topology import ServerTable, Topology

_COUNTERS: CounterNames = {
    "MSExchangeAB\\Referral RPC Requests/sec": lambda server: server.endpoint.statistics.calls,
    "MSExchangeAB\\Referral RPC Requests Average Latency": (
        lambda server: server.endpoint.statistics.averaged_latency_ms
    ),
}


def referral_roles(
    topology: Topology, server: ServerTable, directory: Directory, global_catalogs: Iterable[ServerTable]
) -> tuple[Role, ...]:
    """The referral service of a mailbox server, to ``global_catalogs`` if the topology wants that.

    Whoever asks over TCP is inside the firewall, and always sent there.
    """
    direct = topology.referral.directory == "global-catalog"
    domain = topology.organisation.domain
    names = [f"{catalog.name}.{domain}".lower() for catalog in global_catalogs]
    return (
        rpc_server_role(
            topology,
            server,
            directory,
            topology.ports.referral,
            (rfr_interface(directory, names if direct else ()),),
            "referral",
            _COUNTERS,
            direct_port=topology.ports.referral_tcp,
            inside=(rfr_interface(directory, names),),
        ),
    )
