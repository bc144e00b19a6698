"""Finding a mailbox by a server's name, an address and a password: who is asked what, and is believed."""

import pytest
from msgspec.structs import replace

from loadgen.client import directory_discovery
from loadgen.client.account import RpcProxy
from loadgen.client.dialect import Ports
from loadgen.client.directory_discovery import DirectoryDiscovery
from loadgen.client.referral import name_of_server
from loadgen.client.transport import ConnectionOptions
from loadgen.errors import BindRefused, ConnectionLost, HttpRefused, MapiError, Unauthorized, WrongAnswer
from loadgen.wire import nspi, rfr
from loadgen.wire.nspi import constants
from loadgen.wire.nspi.tags import PidTagAddressBookHomeMessageDatabase
from loadgen.wire.properties import PidTagSmtpAddress, PropertyValue

from .scripted import ScriptedConnection, ScriptedDirectory, ScriptedReferral, make_account

PROXY = RpcProxy("mail.contoso.test", 443)
OPTIONS = ConnectionOptions()
PORTS = Ports()
KNOWN = make_account(7)
NEW = replace(KNOWN, legacy_dn="", display_name="", home_server="")
SERVER_DN = "/o=Contoso/ou=AG/cn=Configuration/cn=Servers/cn=MBX7"
DATABASE = f"{SERVER_DN}/cn=Microsoft Private MDB"


class Servers:
    """Stands in for the network; the directory tells of home databases."""

    def __init__(self, monkeypatch):
        self.referral = ScriptedReferral("GC1")
        self.referral.answers[rfr.RfrGetFQDNFromServerDNRequest] = self._name
        self.directory = ScriptedDirectory([make_account(index) for index in range(12)])
        self.directory.answers[nspi.NspiResolveNamesWRequest] = self._resolve
        self.directory.answers[nspi.NspiGetMatchesRequest] = self._match
        self.names_asked = []
        self.database = DATABASE
        self.refused = {}
        self.opened, self.connections = [], []
        monkeypatch.setattr(directory_discovery, "open_virtual_connection", self._open)

    async def _open(self, proxy, server, port, interfaces, credentials, options):
        assert (proxy, credentials, options) == (PROXY, NEW.credentials, OPTIONS)
        self.opened.append((server, port))
        if (server, port) in self.refused:
            raise self.refused[server, port]
        peer = self.referral if interfaces == (rfr.INTERFACE,) else self.directory
        self.connections.append(ScriptedConnection(peer, interfaces))
        return self.connections[-1]

    def _name(self, request):
        self.names_asked.append(request.server_dn)
        return rfr.RfrGetFQDNFromServerDNResponse("mbx7.contoso.test")

    def rows(self, begins_with, tags):
        found = [each for each in self.directory.entries if each.account.smtp.startswith(begins_with)]
        return tuple(
            tuple(
                PropertyValue(tag, self.database)
                if tag == PidTagAddressBookHomeMessageDatabase and self.database
                else each.value(tag)
                for tag in tags
            )
            for each in found
        )

    def _resolve(self, request):
        rows = self.rows(request.names[0], request.prop_tags)
        outcome = min(len(rows), 2) and (constants.RESOLVED if len(rows) == 1 else constants.AMBIGUOUS)
        return nspi.NspiResolveNamesResponse((outcome,), rows if len(rows) == 1 else ())

    def _match(self, request):
        rows = self.rows(request.filter.value.value, request.prop_tags)
        return nspi.NspiGetMatchesResponse(
            request.stat, tuple(0x10 + place for place in range(len(rows))), rows
        )

    async def complete(self, account=NEW, ports=PORTS):
        try:
            return await DirectoryDiscovery(PROXY, "RPC1", ports, OPTIONS).complete(account)
        finally:
            assert all(connection.ended == "closed" for connection in self.connections)


@pytest.fixture
def servers(monkeypatch):
    return Servers(monkeypatch)


async def test_a_server_an_address_and_a_password_are_enough(servers):
    assert await servers.complete() == replace(KNOWN, home_server="mbx7.contoso.test")
    assert servers.opened == [("RPC1", 6002), ("GC1", 6004)]
    assert servers.names_asked == [DATABASE]


async def test_what_was_known_stays(servers):
    account = replace(KNOWN, display_name="", home_server="MBX9")
    assert await servers.complete(account) == replace(KNOWN, home_server="MBX9")
    assert servers.names_asked == []


async def test_a_referral_that_does_not_tell_without_a_dn(servers):
    servers.referral.change(rfr.RfrGetNewDSARequest, return_value=rfr.GENERAL_FAILURE)
    await servers.complete()
    assert servers.opened[-1] == ("RPC1", 6004)
    with pytest.raises(MapiError, match="RfrGetNewDSA"):
        await servers.complete(replace(NEW, legacy_dn=KNOWN.legacy_dn))


async def test_no_home_database(servers):
    servers.database = ""
    assert (await servers.complete()).home_server == "GC1"


async def test_an_address_that_begins_another(servers):
    """Name resolution finds what begins so, and cannot decide; the address itself can."""
    longer = replace(KNOWN, smtp=f"{KNOWN.smtp}.example", display_name="Another")
    servers.directory = ScriptedDirectory([longer, KNOWN])
    servers.directory.answers[nspi.NspiResolveNamesWRequest] = servers._resolve
    servers.directory.answers[nspi.NspiGetMatchesRequest] = servers._match
    assert (await servers.complete()).display_name == KNOWN.display_name


@pytest.mark.parametrize("account", [replace(NEW, smtp="nobody@x"), replace(KNOWN, legacy_dn="/o=C/cn=no")])
async def test_somebody_whom_the_directory_does_not_know(servers, account):
    unknown = account.legacy_dn or account.smtp
    with pytest.raises(WrongAnswer, match=f"the directory does not know {unknown}"):
        await servers.complete(account)


async def test_another_entry_is_not_believed(servers):
    entry = servers.directory.entries[7]
    columns = directory_discovery._COLUMNS
    row = tuple(
        PropertyValue(tag, "other@x") if tag == PidTagSmtpAddress else entry.value(tag) for tag in columns
    )
    servers.directory.answers[nspi.NspiResolveNamesWRequest] = lambda _: nspi.NspiResolveNamesResponse(
        (constants.RESOLVED,), (row,)
    )
    with pytest.raises(WrongAnswer, match="the directory does not know"):
        await servers.complete()


@pytest.mark.parametrize(
    "error", [HttpRefused(503, "RPC Error", 0x6BA), ConnectionLost("closed"), BindRefused("no interface")]
)
async def test_one_endpoint_for_all(servers, error):
    servers.refused = {("RPC1", 6002): error, ("GC1", 6004): error}
    assert (await servers.complete()).is_complete
    assert servers.opened == [("RPC1", 6002), ("RPC1", 6001), ("GC1", 6004), ("GC1", 6001)]


async def test_the_first_refusal_is_told_if_6001_does_not_do_either(servers):
    first, second = ConnectionLost("first"), ConnectionLost("second")
    servers.refused = {("RPC1", 6002): first, ("RPC1", 6001): second}
    with pytest.raises(ConnectionLost, match="first"):
        await servers.complete()


async def test_refused_credentials_are_not_tried_again(servers):
    servers.refused = {("RPC1", 6002): Unauthorized("Unauthorized", ("Basic",))}
    with pytest.raises(Unauthorized):
        await servers.complete()
    servers.refused = {("RPC1", 6001): ConnectionLost("closed")}
    with pytest.raises(ConnectionLost):
        await servers.complete(ports=Ports(referral=6001))
    assert servers.opened == [("RPC1", 6002), ("RPC1", 6001)]


@pytest.mark.parametrize(
    ("dn", "name"),
    [(DATABASE, "MBX7"), (SERVER_DN, "MBX7"), (SERVER_DN.upper(), "MBX7"), ("/o=Contoso/cn=Else", "")],
)
async def test_a_name_that_the_referral_service_does_not_know_stands_in_the_dn(servers, dn, name):
    servers.referral.answers[rfr.RfrGetFQDNFromServerDNRequest] = lambda _: (
        rfr.RfrGetFQDNFromServerDNResponse(None, rfr.GENERAL_FAILURE)
    )
    connection = ScriptedConnection(servers.referral, (rfr.INTERFACE,))
    assert await name_of_server(connection, dn) == name
