"""Whom a client access server lets in, and where to."""

import pytest

from loadgen.wire.http import basic_authorization
from mock_server.client_access import ClientAccess
from mock_server.topology_file import read_topology

TOPOLOGY = read_topology("default")
PASSWORD = TOPOLOGY.accounts.password


@pytest.fixture
def access():
    return ClientAccess(TOPOLOGY, TOPOLOGY.client_access[0], TOPOLOGY.directory())


@pytest.mark.parametrize("name", ["user00001", "USER00001@Contoso.test", "CONTOSO\\user00001"])
def test_forms_of_a_users_name(access, name):
    assert access.policy.connection().check(basic_authorization(name, PASSWORD)).user == "user00001"
    assert access.statistics.unauthorized == 0


@pytest.mark.parametrize(
    "authorization",
    [
        None,
        "NTLM TlRMTVNTUAAB",
        "NTLM !",
        "Digest username=user00001",
        "Basic !",
        basic_authorization("user00001", PASSWORD + "x"),
        basic_authorization("user00001", ""),
        basic_authorization("nobody", PASSWORD),
        basic_authorization("user00001@elsewhere.test", PASSWORD),
        basic_authorization("", ""),
    ],
)
def test_nobody_else_comes_in(access, authorization):
    assert access.policy.connection().check(authorization).user is None
    assert access.statistics.unauthorized == 1


@pytest.mark.parametrize(
    ("server", "port", "address", "column"),
    [
        ("MBX1", 6001, "127.0.10.11", "cas_to_stores"),
        ("mbx2.CONTOSO.test", 6001, "127.0.10.12", "cas_to_stores"),
        ("MBX1", 6002, "127.0.10.11", "cas_to_referral"),
        ("MBX2", 6004, "127.0.10.12", "cas_to_dsproxy"),
        ("PF1", 6001, "127.0.10.21", "cas_to_stores"),
    ],
)
def test_valid_ports(access, server, port, address, column):
    assert access.back_end(server, port) == (address, port, column)


@pytest.mark.parametrize(
    ("server", "port"),
    [
        ("MBX1", 593),
        ("MBX1", 6003),
        ("PF1", 6004),
        ("GC1", 6004),
        ("CAS1", 6001),
        ("127.0.10.11", 6001),
        ("", 0),
    ],
)
def test_all_else_is_refused(access, server, port):
    assert access.back_end(server, port) is None
