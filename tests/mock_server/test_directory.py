"""Who is in the mock organisation."""

import pytest

from mock_server.directory import Directory, Organisation

DN = "/o=Contoso/ou=First Administrative Group"
DIRECTORY = Directory(Organisation(servers=("MBX1", "MBX2"), public_servers=("PF1",)), 7)


def test_the_pattern_of_a_user():
    user = DIRECTORY.users[3]
    assert user.index == 3
    assert user.alias == "user00003"
    assert user.display_name == "User 00003"
    assert user.smtp == "user00003@contoso.test"
    assert user.dn == f"{DN}/cn=Recipients/cn=user00003"
    assert (user.home_server, user.public_server) == ("MBX2", "PF1")
    assert len({user.mid for user in DIRECTORY.users}) == 7


def test_a_server():
    server = DIRECTORY.home_server(DIRECTORY.users[0])
    assert (server.name, server.display_name, server.fqdn) == ("MBX1", "MBX1", "mbx1.contoso.test")
    assert server.dn == f"{DN}/cn=Configuration/cn=Servers/cn=MBX1"
    assert server.private_store_dn == f"{server.dn}/cn=Microsoft Private MDB"
    assert [server.name for server in DIRECTORY.servers] == ["MBX1", "MBX2", "PF1"]


def test_every_object_is_found_by_its_mid():
    for found in (*DIRECTORY.users, *DIRECTORY.servers):
        assert DIRECTORY.by_mid(found.mid) is found
    mids = {found.mid for found in (*DIRECTORY.users, *DIRECTORY.servers)}
    around = {mid + step for mid in mids for step in (-1, 0, 1)} | {0, 1, 2, 0xFFFFFFFF}
    assert all(DIRECTORY.by_mid(mid) is None for mid in around - mids)


@pytest.mark.parametrize(
    "name", ["user00003@contoso.test", "CONTOSO\\USER00003", "User00003", "x\\user00003"]
)
def test_logon_names(name: str):
    assert DIRECTORY.by_logon_name(name) is DIRECTORY.users[3]


@pytest.mark.parametrize("name", ["", "user00007", "user00003@fabrikam.test", "@contoso.test", "user00003@"])
def test_logon_names_of_nobody(name: str):
    assert DIRECTORY.by_logon_name(name) is None


def test_distinguished_names_ignore_case():
    assert DIRECTORY.by_dn(DIRECTORY.users[3].dn.upper()) is DIRECTORY.users[3]
    assert DIRECTORY.by_dn(DIRECTORY.users[3].dn + "x") is None
    assert DIRECTORY.by_dn("/o=Fabrikam/cn=user00003") is None
    server = DIRECTORY.servers[1]
    assert DIRECTORY.server_by_dn(server.dn.lower()) is server
    assert DIRECTORY.server_by_dn(server.private_store_dn) is None
    assert DIRECTORY.server_by_store_dn(server.private_store_dn.upper()) is server
    assert DIRECTORY.server_by_store_dn(server.private_store_dn + "x") is None
    assert DIRECTORY.server_by_store_dn(server.dn) is None


@pytest.mark.parametrize("name", ["MBX2", "mbx2", "MBX2.Contoso.test"])
def test_servers_by_host_name(name: str):
    assert DIRECTORY.server_by_host(name) is DIRECTORY.servers[1]
    assert DIRECTORY.server_by_host("mbx2.fabrikam.test") is None


def test_equal_organisations_have_equal_directories():
    assert Directory(DIRECTORY.organisation, 7).users == DIRECTORY.users
    assert Directory(DIRECTORY.organisation, 9).server_guid == DIRECTORY.server_guid
    assert Directory(Organisation(domain="fabrikam.test"), 7).server_guid != DIRECTORY.server_guid
    assert len(DIRECTORY.server_guid) == 16


def test_an_organisation_without_public_folders():
    assert Directory(Organisation(public_servers=()), 1).users[0].public_server == ""
