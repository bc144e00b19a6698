"""Public folder store: a store without mailboxes, over the same interfaces."""

from mock_server.directory import Directory
from mock_server.mailboxes.mail import LocalTransport
from mock_server.mailboxes.mailbox import MailboxStore
from mock_server.roles.role import Role
from mock_server.roles.rpc_server import rpc_server_role
from mock_server.roles.store import STORE_COUNTERS, emsmdb_settings
from mock_server.rpc.emsmdb import EmsmdbServer
from mock_server.topology import ServerTable, Topology


def public_folder_roles(topology: Topology, server: ServerTable, directory: Directory) -> tuple[Role, ...]:
    """The public folder store of ``server``; nobody has a mailbox there to send mail from."""
    store = MailboxStore(server.name, directory, public_folders=True)
    emsmdb = EmsmdbServer(store, LocalTransport(), emsmdb_settings(topology))
    rpc = rpc_server_role(
        topology,
        server,
        directory,
        topology.ports.store,
        emsmdb.interfaces,
        "public_store",
        STORE_COUNTERS,
        emsmdb.report,
        direct_port=topology.ports.store_tcp,
    )
    return (rpc,)
