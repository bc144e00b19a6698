"""Information store: the mailboxes of one server over EMSMDB, and mail between them and other servers'."""

from mock_server.directory import Directory
from mock_server.mailboxes.mailbox import MailboxStore
from mock_server.roles.mail_delivery import MailDelivery
from mock_server.roles.role import Role
from mock_server.roles.rpc_server import CounterNames, rpc_server_role
from mock_server.rpc.emsmdb import EmsmdbServer, EmsmdbSettings
from mock_server.topology import ServerTable, Topology

STORE_COUNTERS: CounterNames = {
    "MSExchangeIS\\Connection Count": lambda server: server.virtual_connections,
    "MSExchangeIS\\RPC Requests": lambda server: server.endpoint.statistics.executing,
    "MSExchangeIS\\RPC Averaged Latency": lambda server: server.endpoint.statistics.averaged_latency_ms,
    "MSExchangeIS\\RPC Operations/sec": lambda server: server.endpoint.statistics.calls,
    "MSExchangeIS\\RPC Packets/sec": lambda server: server.endpoint.statistics.packets_in,
    "MSExchangeIS\\RPC Num. of Slow Packets": lambda server: server.endpoint.statistics.slow_packets,
}


def emsmdb_settings(topology: Topology) -> EmsmdbSettings:
    """What the stores of a topology say of themselves, and whom they let in."""
    major, minor, build, revision = map(int, topology.store.version.split("."))
    limits = topology.limits
    return EmsmdbSettings(
        (major, minor, build, revision),
        topology.store.polls_max_ms,
        context_handles=limits.scaled(limits.context_handles),
        sessions_per_user=limits.mapi_sessions_per_user,
        session_linger_s=topology.store.session_linger_s,
        manners=topology.manners.store,
    )


def store_roles(topology: Topology, server: ServerTable, directory: Directory) -> tuple[Role, ...]:
    """The mailbox store of ``server``."""
    store = MailboxStore(server.name, directory, open_to_all=topology.store.mailboxes == "open-to-all")
    addresses = {other.name: other.address for other in topology.mailbox}
    delivery = MailDelivery(store, addresses, topology.ports.delivery)
    emsmdb = EmsmdbServer(store, delivery, emsmdb_settings(topology))
    rpc = rpc_server_role(
        topology,
        server,
        directory,
        topology.ports.store,
        emsmdb.interfaces,
        "store",
        STORE_COUNTERS,
        emsmdb.report,
        direct_port=topology.ports.store_tcp,
    )
    return rpc, delivery
