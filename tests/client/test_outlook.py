"""A whole Outlook over scripted connections: what each type opens, keeps, hears of and closes."""

import asyncio
from collections.abc import Sequence

import msgspec
import pytest

from loadgen.client.content import Content
from loadgen.client.message import NewMessage, OutgoingMessage
from loadgen.errors import (
    BindRefused,
    ConnectionLost,
    HttpRefused,
    MapiError,
)
from loadgen.wire import emsmdb, nspi, rfr
from loadgen.wire import properties as p
from loadgen.wire.pdu import SyntaxId

from .scripted_network import EVERYBODY, ONLINE, client_type
from .scripted_store import settle

pytestmark = pytest.mark.usefixtures("no_complaints")

REFERRAL = ("referral", "MBX2", 6002, (rfr.INTERFACE,))
REFERRED_DIRECTORY = ("directory", "GC7", 6004, (nspi.INTERFACE,))
DIRECTORY = ("directory", "MBX2", 6004, (nspi.INTERFACE,))
BOTH = (emsmdb.INTERFACE, emsmdb.ASYNC_INTERFACE)
ALONE = (emsmdb.INTERFACE,)


def stores(interfaces: Sequence[SyntaxId]) -> list[tuple]:
    return [("mail", "MBX2", 6001, interfaces), ("public_folder", "PF1", 6001, interfaces)]


OPENED = {
    "outlook2007-online-anywhere": (
        [REFERRAL, REFERRED_DIRECTORY, *stores(BOTH)],
        [DIRECTORY, *stores(BOTH)],
    ),
    "outlook2003-online-anywhere": (
        [REFERRAL, REFERRED_DIRECTORY, *stores(ALONE)],
        [DIRECTORY, *stores(ALONE)],
    ),
    "loadgen-2007-online": (stores(BOTH)[:1], stores(BOTH)[:1]),
    "loadgen-2003-online": (stores(ALONE)[:1], stores(ALONE)[:1]),
    "loadgen-2003-cached": (stores(ALONE)[:1], stores(ALONE)[:1]),
}
"""What each type opens in this order: with start-up, and without."""

every_type = pytest.mark.parametrize("name", ONLINE)


def test_every_type_in_online_mode_is_here():
    assert set(ONLINE) == set(OPENED)


class TestConnections:
    @every_type
    @pytest.mark.parametrize("startup", [True, False])
    async def test_what_is_opened_in_which_order(self, person_of, name, startup):
        person = person_of(name, startup=startup)
        assert person.virtual_connections == {}
        await person.client.log_on()
        expected = OPENED[name][not startup]
        assert person.network.opened == [each[1:] for each in expected]
        assert person.virtual_connections == {purpose: 1 for purpose, *_ in expected}
        assert person.network.ended == [""] * len(expected)
        assert person.client.notifies == ("2007" in name)
        person.assert_totals()
        assert min(person.network.bytes) > 0

    async def test_a_profile_remembers_whom_the_user_was_referred_to(self, person_of):
        """Who is starting asks anew."""
        opened = []
        for startup in (True, False):
            person = person_of(startup=startup, directory_server="gc9.contoso.test")
            await person.client.log_on()
            opened.append([(purpose, server) for server, purpose, _ in person.network.opened][:2])
        assert opened == [
            [(6002, "MBX2"), (6004, "GC7")],
            [(6004, "gc9.contoso.test"), (6001, "MBX2")],
        ]

    async def test_a_remembered_server_that_is_gone_is_asked_for_anew(self, person_of):
        """Once, by whoever remembers one, and not on a connection that stays."""
        person = person_of(startup=False, directory_server="gc9.contoso.test")
        person.network.refused["gc9.contoso.test"] = HttpRefused(503, "RPC Error: 6ba", 0x6BA)
        await person.client.log_on()
        expected = [REFERRAL, REFERRED_DIRECTORY, *stores(BOTH)]
        assert person.network.opened == [each[1:] for each in expected]
        assert person.network.ended == ["closed", "", "", ""]
        assert person.virtual_connections == {purpose: 1 for purpose, *_ in expected[1:]}
        assert person.heard == []
        person.assert_totals()

    async def test_who_comes_back_goes_where_he_was_referred_to_anew(self, person_of):
        referred: dict[int, str] = {}
        opened = []
        for _ in range(2):
            person = person_of(startup=False, directory_server="gc9.contoso.test", referred=referred)
            person.network.refused["gc9.contoso.test"] = HttpRefused(503, "RPC Error: 6ba", 0x6BA)
            await person.client.log_on()
            opened.append([(port, server) for server, port, _ in person.network.opened][:2])
        assert opened == [[(6002, "MBX2"), (6004, "GC7")], [(6004, "GC7"), (6001, "MBX2")]]

    async def test_a_server_that_is_gone_as_well_is_not_remembered(self, person_of):
        referred: dict[int, str] = {}
        person = person_of(startup=False, directory_server="gc9.contoso.test", referred=referred)
        person.network.refused[6004] = HttpRefused(503, "RPC Error: 6ba", 0x6BA)
        with pytest.raises(HttpRefused):
            await person.client.log_on()
        assert referred == {}

    @pytest.mark.parametrize(
        ("startup", "remembered", "gone", "error", "opened"),
        [
            (False, "", "MBX2", HttpRefused(503, "RPC Error: 6ba", 0x6BA), []),
            (True, "gc9.contoso.test", "GC7", HttpRefused(503, "RPC Error: 6ba", 0x6BA), [6002]),
            (False, "gc9.contoso.test", 6004, HttpRefused(503, "RPC Error: 6ba", 0x6BA), [6002]),
            (False, "gc9.contoso.test", 6004, HttpRefused(503, "Service Unavailable"), []),
            (False, "gc9.contoso.test", 6004, ConnectionLost("gone"), []),
        ],
    )
    async def test_no_other_refusal_of_the_directory_is_answered_by_asking(
        self, person_of, startup, remembered, gone, error, opened
    ):
        person = person_of(startup=startup, directory_server=remembered)
        person.network.refused[gone] = error
        with pytest.raises(type(error)):
            await person.client.log_on()
        assert [port for _, port, _ in person.network.opened] == opened

    @pytest.mark.parametrize("startup", [True, False])
    async def test_inside_the_firewall_the_referral_is_asked_in_any_case(self, person_of, startup):
        """Who is not starting asks, too, but does not keep the connection."""
        person = person_of("outlook2007-online", startup=startup)
        await person.client.log_on()
        expected = OPENED["outlook2007-online-anywhere"][0]
        assert person.network.opened == [each[1:] for each in expected]
        assert person.network.ended == ["" if startup else "closed", "", "", ""]
        kept = {purpose: 1 for purpose, *_ in expected if startup or purpose != "referral"}
        assert person.virtual_connections == kept
        person.assert_totals()

    async def test_who_has_no_directory_inside_asks_nobody(self, person_of):
        person = person_of("loadgen-2007-online-inside")
        await person.client.log_on()
        assert person.network.opened == [each[1:] for each in stores(BOTH)[:1]]

    @every_type
    async def test_what_only_starting_needs_is_closed(self, person_of, name):
        person = person_of(name)
        await person.client.log_on()
        await person.client.end_startup()
        steady = {purpose: 1 for purpose, *_ in OPENED[name][1]}
        assert person.virtual_connections == steady
        assert person.network.ended.count("closed") == len(OPENED[name][0]) - len(steady)
        if "referral" in {purpose for purpose, *_ in OPENED[name][0]}:
            assert person.network.connection_to(person.network.referral).ended == "closed"
        await person.client.end_startup()
        assert person.virtual_connections == steady
        assert person.heard == []
        person.assert_totals()

    async def test_several_directory_connections(self, person_of):
        """Those of start-up count as directory connections, too, and the steady one stays."""
        kind = client_type("outlook2007-online-anywhere")
        replace = msgspec.structs.replace
        kind = replace(
            kind,
            startup=replace(kind.startup, directory=2),
            connections=replace(kind.connections, directory=2, public_folder=3),
        )
        person = person_of(kind)
        await person.client.log_on()
        assert person.virtual_connections == {"referral": 1, "directory": 4, "mail": 1, "public_folder": 3}
        await person.client.end_startup()
        assert person.virtual_connections == {"directory": 2, "mail": 1, "public_folder": 3}
        assert person.network.ended == ["closed", "", "", "closed", "closed", "", "", "", ""]
        await person.client.resolve_names(EVERYBODY[:4])
        assert isinstance(person.network.connections[2].requests[-1], nspi.NspiResolveNamesWRequest)
        await person.client.log_off()
        assert set(person.network.ended) == {"closed"}

    async def test_layers_that_are_passed(self, person_of):
        person = person_of()
        await person.client.log_on()
        names = [name for name, _, _ in person.layers]
        own = ["refer", "bind_directory", "logon_mailbox", "logon_public"]
        assert names == [name for layer in own for name in ("connect_tcp", layer)]
        assert all(started <= ended for _, started, ended in person.layers)

    @pytest.mark.parametrize(
        ("port", "opened", "step"),
        [(6002, 0, "rts_referral"), (6004, 1, "rts_directory"), (6001, 2, "rts_store")],
    )
    async def test_a_connection_that_is_refused(self, person_of, port, opened, step):
        person = person_of()
        person.network.refused[port] = HttpRefused(503, "RPC Error: 6ba", 0x6BA)
        with pytest.raises(HttpRefused) as refusal:
            await person.client.log_on()
        assert refusal.value.step == step
        assert len(person.network.connections) == opened
        person.client.abort()
        assert person.network.ended == ["aborted"] * opened
        assert person.heard == []

    @pytest.mark.parametrize(
        ("service", "port", "bound", "step"),
        [
            ("referral", 0, False, "map_referral"),
            ("", 6002, False, "tcp_referral"),
            ("", 6004, True, "bind_directory"),
            ("", 6001, False, "tcp_store"),
            ("", 6001, True, "bind_store"),
        ],
    )
    async def test_what_is_refused_inside_the_firewall(self, person_of, service, port, bound, step):
        """By the endpoint mapper, where a port is not static, by the port, or, ``bound``, only by bind."""
        person = person_of("outlook2007-online")
        refused, network = BindRefused("no"), person.network
        network.unregistered = {service}

        def refuse(_connection):
            if network.opened[-1][1] == port:
                raise refused

        if bound:
            network.on_open = refuse
        elif port:
            network.refused[port] = refused
        with pytest.raises(BindRefused) as refusal:
            await person.client.log_on()
        assert refusal.value.step == step

    async def test_a_store_of_public_folders_inside_is_told_from_a_mailbox(self, person_of):
        person = person_of("outlook2007-online")

        def refuse(_connection):
            if person.network.opened[-1][0] == "PF1":
                raise BindRefused("no")

        person.network.on_open = refuse
        with pytest.raises(BindRefused) as refusal:
            await person.client.log_on()
        assert refusal.value.step == "bind_public_folders"

    @pytest.mark.parametrize(
        ("peer", "kind", "call", "step"),
        [
            ("referral", rfr.RfrGetNewDSARequest, "RfrGetNewDSA", "referral"),
            ("directory", nspi.NspiBindRequest, "NspiBind", "directory"),
            ("mail", emsmdb.EcDoConnectExRequest, "EcDoConnectEx", "mailbox"),
            ("mail", emsmdb.EcDoAsyncConnectExRequest, "EcDoAsyncConnectEx", "mailbox"),
            ("public", emsmdb.EcDoConnectExRequest, "EcDoConnectEx", "public_folders"),
            ("public", emsmdb.EcDoAsyncConnectExRequest, "EcDoAsyncConnectEx", "public_folders"),
        ],
    )
    async def test_a_logon_that_is_refused(self, person_of, peer, kind, call, step):
        person = person_of()
        getattr(person.network, peer).change(kind, return_value=0x80040111)
        with pytest.raises(MapiError) as refusal:
            await person.client.log_on()
        assert (refusal.value.call, refusal.value.code, refusal.value.step) == (call, 0x80040111, step)
        assert person.heard == []

    async def test_a_connection_that_goes_while_others_are_opened(self, person_of):
        person = person_of()
        error = ConnectionLost("gone")

        def lose_the_directory(connection):
            if connection.answer is person.network.public:
                person.network.connection_to(person.network.directory).lose(error)

        person.network.on_open = lose_the_directory
        with pytest.raises(ConnectionLost, match="gone"):
            await person.client.log_on()
        assert person.heard == [error]
        assert person.virtual_connections == {"referral": 1, "mail": 1, "public_folder": 1}


class TestPolling:
    @pytest.mark.parametrize("name", [name for name in ONLINE if "2003" in name])
    async def test_who_polls_never_waits(self, person_of, name):
        person = person_of(name)
        await person.client.log_on()
        assert person.client.poll_interval_s == 45.0
        message_id = person.network.mail.deliver("1.2.3 (1000 bytes)")
        await settle()
        assert person.heard == []
        assert list(await person.client.fetch_news()) == [NewMessage(message_id, "1.2.3")]
        await person.client.log_off()
        for connection in person.network.connections:
            assert emsmdb.ASYNC_INTERFACE not in connection.interfaces
            kinds = {type(request) for request in connection.requests}
            assert not kinds & {emsmdb.EcDoAsyncConnectExRequest, emsmdb.EcDoAsyncWaitExRequest}

    async def test_news_that_comes_with_another_answer_is_told_of(self, person_of):
        person = person_of("outlook2003-online-anywhere")
        await person.client.log_on()
        message_id = person.network.mail.deliver("1.2.3 (1000 bytes)")
        await person.client.delete_message(message_id)
        assert person.heard == ["news"]


@pytest.mark.parametrize(
    ("version", "words", "chained"),
    [
        ("11.0.6555.0", (11, 6555, 0), False),
        ("12.0.4206.32767", (12, 4206, 32767), False),
        ("12.0.4207.0", (12, 4207, 0), True),
        ("12.0.6206.1000", (12, 6206, 1000), True),
        ("14.0.4760.1000", (14, 4760, 1000), True),
    ],
)
async def test_how_streams_are_read_depends_on_the_version(person_of, version, words, chained):
    person = person_of(client_type("loadgen-2007-online", version=version))
    await person.client.log_on()
    content = Content("1.2.3", 50_000)
    message_id = person.network.mail.deliver(content.subject, content.html, content.attachment)
    await person.client.read_message(message_id, "1.2.3")
    flags = {bool(call.flags & emsmdb.CHAIN) for call in person.network.mail.calls}
    assert flags == ({True, False} if chained else {False})
    assert person.network.connections[0].requests[0].client_version == words


class TestWork:
    async def test_a_day(self, person_of):
        person = person_of()
        client, network = person.client, person.network
        await client.log_on()
        await client.resolve_names(EVERYBODY[:4])
        await client.send_message(OutgoingMessage("1.2.3", tuple(EVERYBODY[:4]), 50_000))
        assert network.mail.submitted[0].values[p.PidTagNormalizedSubject] == "1.2.3 (50000 bytes)"
        content = Content("4.5.6", 50_000)
        message_id = network.mail.deliver(content.subject, content.html, content.attachment)
        await settle()
        assert person.heard == ["news"]
        assert list(await client.fetch_news()) == [NewMessage(message_id, "4.5.6")]
        await client.read_message(message_id, "4.5.6")
        await client.delete_message(message_id)
        assert network.mail.inbox.items == []
        await client.browse_address_book()
        assert isinstance(network.connection_to(network.directory).requests[-1], nspi.NspiQueryRowsRequest)
        await client.log_off()
        person.assert_totals()

    @pytest.mark.parametrize("name", [name for name in ONLINE if "loadgen" in name])
    async def test_who_has_no_public_folders_does_nothing_there(self, person_of, name):
        person = person_of(name)
        await person.client.log_on()
        before = person.network.bytes
        await person.client.browse_public_folder()
        await person.client.post_public_folder("1.0.post.0")
        await person.client.publish_free_busy()
        await person.client.fetch_public_news()
        assert person.network.bytes == before

    async def test_work_in_public_folders_goes_over_their_connection(self, person_of):
        person = person_of()
        client, public = person.client, person.network.public
        await client.log_on()
        of_mail = len(person.network.mail.calls)
        await client.publish_free_busy()
        await client.post_public_folder("1.0.post.0")
        await client.browse_public_folder()
        (post,) = [item for folder in public.shared for item in folder.items]
        assert post.values[p.PidTagSentRepresentingName] == "User 00003"
        assert len(public.groups[1].items) == 1
        assert len(person.network.mail.calls) == of_mail
        await client.log_off()
        person.assert_totals()

    async def test_public_news_is_told_until_the_client_leaves(self, person_of):
        person = person_of()
        client, public = person.client, person.network.public
        await client.log_on()
        for told in (1, 2):
            public.announce()
            await settle()
            assert person.heard == ["public news"] * told
            await client.fetch_public_news()
        person.network.mail.answers[emsmdb.EcDoDisconnectRequest] = lambda _: None
        leaving = asyncio.create_task(client.log_off())
        await settle()
        public.announce()
        client.abort()
        await asyncio.gather(leaving, return_exceptions=True)
        await settle()
        assert person.heard == ["public news"] * 2

    @pytest.mark.parametrize("name", [name for name in ONLINE if "loadgen" in name])
    async def test_who_has_no_directory_asks_it_nothing(self, person_of, name):
        person = person_of(name)
        await person.client.log_on()
        before = person.network.bytes
        await person.client.resolve_names(EVERYBODY[:4])
        await person.client.browse_address_book()
        assert person.network.bytes == before

    @pytest.mark.parametrize(
        ("obfuscate", "auxiliary", "compress"), [(True, True, False), (False, False, True)]
    )
    async def test_transfer_is_as_the_type_says(self, person_of, obfuscate, auxiliary, compress):
        kind = client_type("loadgen-2007-online")
        transfer = msgspec.structs.replace(
            kind.transfer, obfuscate=obfuscate, auxiliary=auxiliary, compress_received=compress
        )
        person = person_of(msgspec.structs.replace(kind, transfer=transfer))
        await person.client.log_on()
        (connection,) = person.network.connections
        executed = [r for r in connection.requests if isinstance(r, emsmdb.EcDoRpcExt2Request)]
        assert {bool(r.flags & emsmdb.NO_XOR_MAGIC) for r in executed} == {not obfuscate}
        assert {bool(r.flags & emsmdb.NO_COMPRESSION) for r in executed} == {not compress}
        assert {bool(r.aux_in) for r in connection.requests if hasattr(r, "aux_in")} == {auxiliary}
