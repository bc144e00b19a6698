"""A whole Outlook in cached mode over scripted connections: what it opens, hears of, and finds again."""

from collections.abc import Callable

import msgspec
import pytest

from loadgen.client.local_copy import LocalCopy
from loadgen.client.message import NewMessage, OutgoingMessage
from loadgen.errors import ConnectionLost, WrongAnswer
from loadgen.wire import emsmdb

from .scripted_mailbox import INBOX, ScriptedMailbox, written
from .scripted_network import ACCOUNT, EVERYBODY, Person, client_type
from .scripted_store import settle

pytestmark = pytest.mark.usefixtures("no_complaints")

OUTLOOK_2007 = "outlook2007-cached-anywhere"
OUTLOOK_2003 = "outlook2003-cached-anywhere"
every_type = pytest.mark.parametrize("name", [OUTLOOK_2007, OUTLOOK_2003])

CachedPersonOf = Callable[..., Person]


@pytest.fixture
def server() -> ScriptedMailbox:
    return ScriptedMailbox(ACCOUNT.display_name)


@pytest.fixture
def cached_person_of(person_of, server) -> CachedPersonOf:
    """A person whose mailbox is ``server``, the same for each; a copy may be left by the last one."""

    def make(name: str, *, startup: bool = False, copy: LocalCopy | None = None) -> Person:
        person = person_of(name, startup=startup)
        server.forget_sessions()
        person.network.mail = server
        if copy is not None:
            person.client._copy = copy
        return person

    return make


class TestConnections:
    @pytest.mark.parametrize(
        ("name", "startup", "counts"),
        [
            (OUTLOOK_2007, True, {"referral": 1, "directory": 2, "mail": 2, "public_folder": 1}),
            (OUTLOOK_2007, False, {"directory": 1, "mail": 2, "public_folder": 1}),
            (OUTLOOK_2003, True, {"referral": 1, "directory": 1, "mail": 1, "public_folder": 1}),
            (OUTLOOK_2003, False, {"directory": 1, "mail": 1, "public_folder": 1}),
        ],
    )
    async def test_what_is_open(self, cached_person_of, name, startup, counts):
        person = cached_person_of(name, startup=startup)
        await person.client.log_on()
        assert person.virtual_connections == counts
        await person.client.end_startup()
        steady = {purpose: min(count, 1) for purpose, count in counts.items() if purpose != "referral"}
        assert person.virtual_connections == steady | {"mail": counts["mail"]}
        await person.client.log_off()
        assert set(person.network.ended) == {"closed"}
        person.assert_totals()

    async def test_the_background_session_is_linked_and_waits_for_nothing(self, cached_person_of, server):
        person = cached_person_of(OUTLOOK_2007)
        await person.client.log_on()
        assert server.links == [(emsmdb.NO_LINK, 0), (1, 100)]
        foreground, background = [each for each in person.network.connections if each.answer is server]
        waits = [
            [isinstance(each, emsmdb.EcDoAsyncWaitExRequest) for each, _ in connection.silent]
            for connection in (foreground, background)
        ]
        assert waits == [[True], []]
        names = [name for call in server.calls for name in call.names]
        assert names.count("RegisterNotification") == 1

    async def test_what_it_says_of_itself(self, cached_person_of):
        delays = {
            name: cached_person_of(name).client.synchronisation_delay_s
            for name in (OUTLOOK_2007, OUTLOOK_2003)
        }
        assert delays == {OUTLOOK_2007: 30.0, OUTLOOK_2003: 30.0}
        assert [cached_person_of(name).client.notifies for name in delays] == [True, False]

    async def test_setting_up_is_timed_without_the_download(self, cached_person_of, server):
        person = cached_person_of(OUTLOOK_2007)
        await person.client.log_on()
        layers = [name for name, _, _ in person.layers if name.startswith("logon")]
        assert layers == ["logon_mailbox", "logon_public"]


class TestWork:
    @every_type
    async def test_a_day(self, cached_person_of, server, name):
        person = cached_person_of(name)
        client = person.client
        await client.log_on()
        await client.send_message(OutgoingMessage("1.2.3", tuple(EVERYBODY[:4]), 50_000))
        assert len(server.outgoing) == 1
        message_id = server.mail_comes("4.5.6", 50_000)
        await settle()
        assert person.heard == ["news"] * client.notifies
        assert list(await client.fetch_news()) == [NewMessage(message_id, "4.5.6")]
        sent = person.network.bytes
        await client.read_message(message_id, "4.5.6")
        await client.delete_message(message_id)
        assert person.network.bytes == sent
        await client.log_off()
        assert server.mails[INBOX] == {}
        person.assert_totals()

    @pytest.mark.parametrize(("name", "told"), [(OUTLOOK_2007, ["news"]), (OUTLOOK_2003, [])])
    @pytest.mark.parametrize("operation", ["read", "delete"])
    async def test_changes_of_the_copy_are_told_like_news(
        self, cached_person_of, server, name, told, operation
    ):
        """So that they are uploaded soon; a client that polls uploads with its next poll."""
        message_id = server.put(written("1.2.3"))
        person = cached_person_of(name)
        await person.client.log_on()
        if operation == "read":
            await person.client.read_message(message_id, "1.2.3")
        else:
            await person.client.delete_message(message_id)
        assert person.heard == told
        assert list(await person.client.fetch_news()) == []
        mail = server.mails[INBOX].get(message_id)
        assert mail is None if operation == "delete" else mail.read

    async def test_a_message_that_is_not_there(self, cached_person_of):
        person = cached_person_of(OUTLOOK_2007)
        await person.client.log_on()
        with pytest.raises(WrongAnswer):
            await person.client.delete_message(7)
        assert person.heard == []

    async def test_a_mode_of_its_own(self, cached_person_of, server):
        """One connection and no comparison: whatever the type says."""
        kind = client_type(OUTLOOK_2007)
        replace = msgspec.structs.replace
        kind = replace(
            kind,
            connections=replace(kind.connections, mail=1),
            cached=replace(kind.cached, compare_copy=False, synchronisation_delay_s=0.0),
        )
        server.put(written("1.2.3"))
        person = cached_person_of(kind)
        await person.client.log_on()
        assert person.virtual_connections["mail"] == 1
        server.downloaded.clear()
        await person.client.log_off()
        assert server.downloaded == []


class TestComingBack:
    @every_type
    async def test_the_copy_is_still_there(self, cached_person_of, server, name):
        copy = LocalCopy()
        person = cached_person_of(name, copy=copy)
        await person.client.log_on()
        old = server.mail_comes("1.2.3")
        await person.client.fetch_news()
        await person.client.delete_message(old)
        person.network.connection_to(server).lose(ConnectionLost("gone"))
        person.client.abort()
        server.downloaded.clear()
        new = server.put(written("4.5.6"))
        again = cached_person_of(name, copy=copy)
        await again.client.log_on()
        assert "news" in again.heard
        assert server.downloaded == [new]
        assert list(await again.client.fetch_news()) == [NewMessage(new, "4.5.6")]
        assert list(server.mails[INBOX]) == [new]
        await again.client.log_off()

    async def test_without_one_everything_comes_again(self, cached_person_of, server):
        old = server.put(written("1.2.3"))
        for _ in range(2):
            server.downloaded.clear()
            person = cached_person_of(OUTLOOK_2007)
            await person.client.log_on()
            assert server.downloaded == [old]
            assert person.heard == []
            person.client.abort()
