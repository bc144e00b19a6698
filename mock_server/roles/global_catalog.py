"""Global catalog: the address book over NSPI."""

from mock_server.directory import Directory
from mock_server.roles.role import Role
from mock_server.roles.rpc_server import CounterNames, rpc_server_role
from mock_server.rpc.nspi import nspi_interface
from mock_server.rpc.nspi_use import NspiUse
from mock_server.topology import ServerTable, Topology

_COUNTERS: CounterNames = {
    "Mock\\NSPI Connections": lambda server: server.virtual_connections,
    "Mock\\NSPI RPC Requests/sec": lambda server: server.endpoint.statistics.calls,
    "Mock\\NSPI RPC Averaged Latency": lambda server: server.endpoint.statistics.averaged_latency_ms,
}


def global_catalog_roles(topology: Topology, server: ServerTable, directory: Directory) -> tuple[Role, ...]:
    """The directory service of a global catalog server."""
    use = NspiUse(topology.limits.nspi_sessions_per_user)
    interfaces = (nspi_interface(directory, use),)
    rpc = rpc_server_role(
        topology,
        server,
        directory,
        topology.ports.directory,
        interfaces,
        "directory",
        _COUNTERS,
        use.report,
        direct_port=topology.ports.directory_tcp,
    )
    return (rpc,)
