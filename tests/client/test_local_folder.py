"""The copy of a folder: what a synchronisation does to it, and when two copies are the same."""

import msgspec
import pytest

from loadgen.client.local_folder import LocalFolder, LocalMessage, digest_of
from loadgen.client.replica import Replica
from loadgen.errors import RemoteProtocolError
from loadgen.wire import properties as p
from loadgen.wire.fasttransfer.changes import (
    Deletions,
    MessageChange,
    MessageChangeHeader,
    ReadStateChanges,
)
from loadgen.wire.fasttransfer.elements import Property
from loadgen.wire.fasttransfer.message import Attachment, MessageContent
from loadgen.wire.identifiers import object_id
from loadgen.wire.idset import GlobSet, IdSetByReplGuid, IdSetByReplId

from .scripted import make_account
from .scripted_mailbox import INBOX, REPLICA, source_key, written

OTHER = b"O" * 16
replace = msgspec.structs.replace


def header_of(counter: int, change: int, *, associated: bool = False, **fields) -> MessageChangeHeader:
    key = source_key(object_id(1, change))
    header = MessageChangeHeader(
        source_key(object_id(1, counter)),
        0,
        key,
        b"\x16" + key,
        associated,
        object_id(1, counter),
        1_000,
        object_id(1, change),
    )
    return replace(header, **fields)


def change_of(counter: int, change: int, content: MessageContent | None = None, **fields) -> MessageChange:
    return MessageChange(header_of(counter, change, **fields), content or written(f"1.2.{counter}"))


def counters(ids: IdSetByReplGuid | None) -> list[int]:
    return list((ids or IdSetByReplGuid()).counters(REPLICA))


def ids(*numbers: int) -> IdSetByReplId:
    return IdSetByReplId.of(object_id(1, number) for number in numbers)


@pytest.fixture
def folder() -> LocalFolder:
    folder = LocalFolder(INBOX, Replica(1, REPLICA))
    for counter, change in ((0x2001, 0x2101), (0x2002, 0x2102), (0x2003, 0x2103)):
        folder.take_change(change_of(counter, change))
    return folder


def with_html(content: MessageContent, html: bytes) -> MessageContent:
    values = tuple(Property(p.PidTagHtml, html) if k.tag == p.PidTagHtml else k for k in content.properties)
    return replace(content, properties=values)


class TestMessages:
    def test_what_is_kept_of_one(self, folder):
        message = folder.messages[object_id(1, 0x2002)]
        assert message == LocalMessage(
            object_id(1, 0x2002),
            b"\x16" + source_key(object_id(1, 0x2102)),
            "1.2.8194",
            True,
            True,
            digest_of(written("1.2.8194")),
        )
        assert len(message.digest) == 16

    @pytest.mark.parametrize(
        ("content", "key", "intact"),
        [
            (written("1.2.3"), "1.2.3", True),
            (with_html(written("1.2.3"), b"<p>other</p>"), "1.2.3", False),
            (replace(written("1.2.3"), attachments=()), "1.2.3", False),
            (replace(written("1.2.3"), attachments=(*written("1.2.3").attachments,) * 2), "1.2.3", False),
            (replace(written("1.2.3"), attachments=written("4.5.6").attachments), "1.2.3", False),
            (MessageContent((Property(p.PidTagNormalizedSubject, "Lunch?"),)), "", False),
            (MessageContent(()), "", False),
        ],
    )
    def test_whether_it_is_what_its_sender_wrote(self, content, key, intact):
        message = LocalMessage.of(7, header_of(7, 8), content)
        assert (message.key, message.intact) == (key, intact)

    def test_all_that_it_says_is_in_the_digest(self):
        content = written("1.2.3", recipients=(make_account(1), make_account(2)))
        (attachment,) = content.attachments
        changed = [
            content,
            with_html(content, b""),
            replace(content, properties=()),
            replace(content, recipients=content.recipients[:1]),
            replace(content, recipients=content.recipients[::-1]),
            replace(content, attachments=()),
            replace(content, attachments=(replace(attachment, properties=attachment.properties[:-1]),)),
            replace(content, recipients=(), attachments=()),
        ]
        for tag in (
            p.PidTagMessageClass,
            p.PidTagNormalizedSubject,
            p.PidTagSenderName,
            p.PidTagSenderEmailAddress,
            p.PidTagClientSubmitTime,
            p.PidTagImportance,
        ):
            rest = tuple(known for known in content.properties if known.tag != tag)
            changed.append(replace(content, properties=rest))
        assert len({digest_of(each) for each in changed}) == len(changed)

    def test_what_tells_of_place_and_history_is_not(self):
        content = written("1.2.3")
        placed = (*content.properties, Property(p.PidTagEntryId, b"here"), Property(p.PidTagMessageSize, 7))
        assert digest_of(replace(content, properties=placed)) == digest_of(content)
        renumbered = (Attachment(5, content.attachments[0].properties),)
        assert digest_of(replace(content, attachments=renumbered)) == digest_of(content)


class TestChanges:
    def test_the_state_knows_of_each(self, folder):
        assert counters(folder.state.idset_given) == [0x2001, 0x2002, 0x2003]
        assert counters(folder.state.cnset_seen) == [0x2101, 0x2102, 0x2103]
        assert counters(folder.state.cnset_seen_fai) == counters(folder.state.cnset_read) == []

    def test_new_messages_are_told_once_in_their_order(self, folder):
        assert folder.has_arrived
        assert [message.key for message in folder.take_arrived()] == ["1.2.8193", "1.2.8194", "1.2.8195"]
        assert not folder.has_arrived
        assert folder.take_arrived() == []
        folder.take_change(change_of(0x2002, 0x2110, written("4.5.6")))
        folder.take_change(change_of(0x2004, 0x2111))
        folder.take_change(change_of(0x2005, 0x2112))
        folder.take_deletions(Deletions(ids(0x2005)))
        assert [message.key for message in folder.take_arrived()] == ["1.2.8196"]
        assert folder.messages[object_id(1, 0x2002)].key == "4.5.6"

    def test_a_change_that_a_client_named(self, folder):
        """The name of a change may be anybody's; its number is the server's, and that is what is seen."""
        key = OTHER + b"\0\0\0\1"
        folder.take_change(change_of(0x2009, 0x2120, change_key=key, predecessor_change_list=b"\x14" + key))
        assert 0x2120 in counters(folder.state.cnset_seen)
        assert folder.messages[object_id(1, 0x2009)].predecessor_change_list == b"\x14" + key

    def test_a_hidden_message_is_in_the_state_alone(self, folder):
        folder.take_arrived()
        folder.take_change(change_of(0x2009, 0x2120, associated=True))
        assert object_id(1, 0x2009) not in folder.messages
        assert 0x2009 in counters(folder.state.idset_given)
        assert counters(folder.state.cnset_seen_fai) == [0x2120]
        assert not folder.has_arrived
        folder.state = replace(folder.state, cnset_seen_fai=None)
        folder.take_change(change_of(0x200A, 0x2121, associated=True))
        assert counters(folder.state.cnset_seen_fai) == [0x2121]

    @pytest.mark.parametrize("missing", ["message_id", "change_number"])
    def test_one_that_lacks_its_number(self, folder, missing):
        before = folder.state
        with pytest.raises(RemoteProtocolError, match="lacks the message's id or the change's number"):
            folder.take_change(change_of(0x2009, 0x2120, **{missing: None}))
        assert folder.state == before

    @pytest.mark.parametrize("why", ["deleted", "no_longer_in_scope", "expired"])
    def test_deletions(self, folder, why):
        folder.unconfirmed.add(object_id(1, 0x2001))
        folder.take_deletions(Deletions(**{why: ids(0x2001, 0x2003, 0x7777)}))
        assert list(folder.messages) == [object_id(1, 0x2002)]
        assert counters(folder.state.idset_given) == [0x2002]
        assert folder.unconfirmed == set()

    def test_read_states(self, folder):
        folder.take_read_states(ReadStateChanges(unread_ids=ids(0x2001, 0x2003, 0x7777)))
        folder.take_read_states(ReadStateChanges(read_ids=ids(0x2003)))
        assert [message.read for message in folder.messages.values()] == [False, True, True]

    def test_what_went_away_by_the_clients_own_doing(self, folder):
        del folder.messages[object_id(1, 0x2002)]
        folder.forget(object_id(1, 0x2002))
        assert counters(folder.state.idset_given) == [0x2001, 0x2003]


class TestConfirming:
    def test_an_unconfirmed_message(self, folder):
        message_id = object_id(1, 0x5000)
        folder.messages[message_id] = LocalMessage(message_id, b"", "7.8.9", True, True, b"digest")
        folder.unconfirmed.add(message_id)
        folder.take_arrived()
        assert folder.confirm(header_of(0x5000, 0x2150))
        assert folder.unconfirmed == set()
        assert 0x5000 in counters(folder.state.idset_given)
        assert 0x2150 in counters(folder.state.cnset_seen)
        history = b"\x16" + source_key(object_id(1, 0x2150))
        assert folder.messages[message_id] == LocalMessage(
            message_id, history, "7.8.9", True, True, b"digest"
        )
        assert not folder.has_arrived
        assert not folder.confirm(header_of(0x5000, 0x2151))

    @pytest.mark.parametrize(
        "header", [header_of(0x2001, 0x2150), header_of(0x5000, 0x2150, associated=True)]
    )
    def test_another(self, folder, header):
        folder.unconfirmed.add(object_id(1, 0x5000))
        before = folder.state
        assert not folder.confirm(header)
        assert (folder.state, folder.unconfirmed) == (before, {object_id(1, 0x5000)})


class TestDifferences:
    def same(self) -> LocalFolder:
        folder = LocalFolder(INBOX, Replica(1, REPLICA))
        for counter, change in ((0x2003, 0x2203), (0x2002, 0x2202), (0x2001, 0x2201)):
            folder.take_change(change_of(counter, change))
        return folder

    def test_none(self, folder):
        assert folder.differences(self.same()) == self.same().differences(folder) == []

    def test_each_kind(self, folder):
        mailbox = self.same()
        del folder.messages[object_id(1, 0x2001)]
        mailbox.mark(object_id(1, 0x2002), read=False)
        mailbox.take_change(change_of(0x2003, 0x2210, with_html(written("1.2.8195"), b"")))
        folder.take_change(change_of(0x2004, 0x2211))
        assert folder.differences(mailbox) == [
            "message 1.2.8193 is only in the mailbox",
            "message 1.2.8194 differs",
            "message 1.2.8195 differs",
            "message 1.2.8196 is only in the copy",
        ]


def test_names_of_a_replica():
    replica = Replica(1, REPLICA)
    assert replica.source_key(object_id(1, 0x2001)) == REPLICA + bytes.fromhex("000000002001")
    assert replica.with_id(IdSetByReplGuid(), object_id(1, 5)) == IdSetByReplGuid.of_counters(
        {REPLICA: GlobSet.of([5])}
    )
    foreign = IdSetByReplId.of([object_id(1, 5), object_id(2, 6)])
    assert counters(replica.globally(foreign)) == [5]
