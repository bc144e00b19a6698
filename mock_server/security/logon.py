"""How the servers of a topology know their users, and what they demand of them."""

from mock_server.directory import Directory
from mock_server.rpc.security import LEVELS, RpcSecurity
from mock_server.security.accounts import Accounts
from mock_server.security.ntlm import NtlmServer
from mock_server.topology import Topology


def ntlm_server(topology: Topology, name: str, directory: Directory) -> NtlmServer:
    """The server called ``name``, a member of the organisation's domain."""
    accounts = Accounts(directory, topology.accounts.password, frozenset(topology.security.expired))
    return NtlmServer(accounts, name, topology.organisation.domain)


def rpc_security(topology: Topology, name: str, directory: Directory) -> RpcSecurity:
    """What the endpoints of the server called ``name`` go by."""
    settings = topology.security
    server = ntlm_server(topology, name, directory)
    return RpcSecurity(server, LEVELS[settings.rpc_minimum], settings.header_signing)
