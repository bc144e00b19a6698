"""What a cached Outlook keeps from one connection to the next."""

import msgspec
import pytest

from loadgen.client.local_copy import RESERVED_IDS, LocalCopy, Move
from loadgen.client.local_folder import LocalMessage
from loadgen.client.logon import PrivateLogon
from loadgen.client.replica import Replica
from loadgen.errors import WrongAnswer
from loadgen.protocol.emsmdb_session import ServerObjectHandle
from loadgen.wire.identifiers import counter_of, object_id

from .scripted_mailbox import DELETED_ITEMS, INBOX, REPLICA, SENT_ITEMS
from .scripted_store import FOLDER_IDS

LOGON = PrivateLogon(ServerObjectHandle(7), FOLDER_IDS, b"M" * 16, Replica(1, REPLICA))
MESSAGE = LocalMessage(object_id(1, 0x2001), b"history", "1.2.3", True, False, b"digest")


@pytest.fixture
def copy() -> LocalCopy:
    copy = LocalCopy()
    copy.open(LOGON)
    copy.take_ids(0x5000)
    return copy


def test_it_begins_empty():
    copy = LocalCopy()
    assert (copy.folders, copy.is_filled, copy.needs_ids) == ((), False, True)
    copy.open(LOGON)
    folders = (copy.inbox, copy.sent_items, copy.deleted_items)
    assert copy.folders == folders
    assert [folder.folder_id for folder in folders] == [INBOX, SENT_ITEMS, DELETED_ITEMS]


def test_it_is_of_one_mailbox(copy):
    folders = copy.folders
    copy.open(msgspec.structs.replace(LOGON, handle=ServerObjectHandle(9)))
    assert copy.folders is folders
    for changes in ({"mailbox_guid": b"N" * 16}, {"replica": Replica(1, b"S" * 16)}):
        with pytest.raises(WrongAnswer, match="not the one that the copy is of"):
            copy.open(msgspec.structs.replace(LOGON, **changes))


def test_ids_are_used_once_and_run_out(copy):
    assert not copy.needs_ids
    assert [counter_of(copy.new_id()) for _ in range(3)] == [0x5000, 0x5001, 0x5002]
    used = 3
    while not copy.needs_ids:
        copy.new_id()
        used += 1
    assert 0 < RESERVED_IDS - used < RESERVED_IDS // 10
    copy.take_ids(0x90000)
    assert not copy.needs_ids
    assert copy.new_id() == object_id(1, 0x90000)


def test_no_two_changes_have_one_name(copy):
    """They ascend as bytes, by which servers tell the later of two."""
    keys = [copy.new_change_key() for _ in range(300)]
    assert keys == sorted(set(keys))
    assert {len(key) for key in keys} == {20}
    other = LocalCopy().new_change_key()
    assert other[:16] != keys[0][:16]


def test_deleting_moves(copy):
    copy.inbox.messages[MESSAGE.message_id] = MESSAGE
    copy.delete(MESSAGE)
    new_id = object_id(1, 0x5000)
    assert copy.inbox.messages == {}
    assert copy.deleted_items.messages == {new_id: msgspec.structs.replace(MESSAGE, message_id=new_id)}
    (move,) = copy.moves
    assert move == Move(MESSAGE.message_id, new_id, b"history", move.change_key)
