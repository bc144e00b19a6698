"""A server that is one process: the services behind its proxy are reached without sockets."""

import asyncio

from loadgen.errors import PeerError
from mock_server.client_access import ClientAccess
from mock_server.directory import Directory
from mock_server.mailboxes.mail import LateTransport, LocalTransport
from mock_server.mailboxes.mailbox import MailboxStore
from mock_server.roles.rpc_server import RpcServerRole, rpc_server_role
from mock_server.roles.store import STORE_COUNTERS, emsmdb_settings
from mock_server.rpc.emsmdb import EmsmdbServer
from mock_server.rpc.nspi import nspi_interface
from mock_server.rpc.nspi_use import NspiUse
from mock_server.rpc.rfr import rfr_interface
from mock_server.rpch.leg import HttpCaller
from mock_server.rpch.proxy import ServerLeg
from mock_server.topology import ServerTable, Topology


def services(topology: Topology, server: ServerTable, directory: Directory) -> dict[int, RpcServerRole]:
    """What is behind each port: the store's has all interfaces, the others one each."""
    manners = topology.manners.store
    store = MailboxStore(
        server.name, directory, open_to_all=topology.store.mailboxes == "open-to-all", manners=manners
    )
    local = LocalTransport()
    local.add(store)
    emsmdb = EmsmdbServer(store, LateTransport(local, manners.delivery_s), emsmdb_settings(topology))
    use = NspiUse(topology.limits.nspi_sessions_per_user)
    referral, directory_service = rfr_interface(directory), nspi_interface(directory, use)
    ports = topology.ports
    everything = (*emsmdb.interfaces, directory_service, referral)
    return {
        ports.store: rpc_server_role(
            topology, server, directory, ports.store, everything, "store", STORE_COUNTERS, emsmdb.report
        ),
        ports.referral: rpc_server_role(
            topology, server, directory, ports.referral, (referral,), "referral", {}
        ),
        ports.directory: rpc_server_role(
            topology, server, directory, ports.directory, (directory_service,), "directory", {}, use.report
        ),
    }


class InnerConnection:
    """Carries bytes between a channel's leg and a service, as two sockets would."""

    def __init__(
        self, leg: ServerLeg, service: RpcServerRole, caller: HttpCaller, access: ClientAccess
    ) -> None:
        self._leg = leg
        self._service = service
        self._access = access
        self._loop = asyncio.get_running_loop()
        self._carrying = False
        self._server = service.server.accept(self._carry_soon, caller)
        leg.wake = self._carry_soon
        leg.channel.connected()
        leg.channel.wake()

    def _carry_soon(self) -> None:
        if not self._carrying:
            self._carrying = True
            self._loop.call_soon(self._carry)

    def _carry(self) -> None:
        self._carrying = False
        up, down = self._leg.data_to_send(), self._server.data_to_send()
        if up and not self._server.closed:
            self._to_server(up)
        if down and not self._leg.closed:
            self._access.receive_from_server(self._leg, down)
        if self._leg.closed and not self._server.closed:
            self._server.lost()
        elif self._server.closed and not self._leg.closed:
            self._leg.channel.close()
            self._leg.channel.wake()

    def _to_server(self, data: bytes) -> None:
        self._access.statistics.bytes_to_servers += len(data)
        try:
            self._server.receive(data, self._loop.time())
        except PeerError:
            self._service.server.endpoint.statistics.protocol_errors += 1
            self._server.lost()
            self._carry_soon()
        self._service.watch()
