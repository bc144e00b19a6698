"""Whole synchronisations, against a foreign stream, any items, and any cuts."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadgen.errors import WireError
from loadgen.wire.fasttransfer.changes import (
    Deletions,
    FailedItem,
    FolderChange,
    MessageChange,
    MessageChangeHeader,
    MessageChangePartial,
    ProgressPerMessage,
    ProgressTotal,
    ReadStateChanges,
)
from loadgen.wire.fasttransfer.elements import Property, encode
from loadgen.wire.fasttransfer.markers import IncrSyncChg, IncrSyncEnd, IncrSyncGroupInfo, StartMessage
from loadgen.wire.fasttransfer.message import MessageContent, value_of
from loadgen.wire.fasttransfer.source import FastTransferSource
from loadgen.wire.fasttransfer.state import State
from loadgen.wire.fasttransfer.streams import ContentsReader, HierarchyReader, synchronization
from loadgen.wire.identifiers import object_id
from loadgen.wire.idset import GlobSet, IdSetByReplGuid, IdSetByReplId
from loadgen.wire.properties import PidTagAttachDataBinary, PidTagBody, PidTagDisplayName
from tests.wire.fasttransfer.strategies import CONTENTS_ITEMS, HIERARCHY_ITEMS

REPLICA = bytes.fromhex("5e3d7a6d1c9b6f4a8e572f1a0c4b7d90")
CHANGE = REPLICA + bytes.fromhex("000000004001")


def read(reader, *buffers):
    items = [item for buffer in buffers for item in reader.feed(buffer)]
    reader.finish()
    assert reader.complete
    return items


def seen(last):
    return IdSetByReplGuid.of_counters({REPLICA: GlobSet.of_ranges([(1, last)])})


def test_a_foreign_download_is_understood(vector):
    total, progress, change, *rest = read(ContentsReader(), vector("fx/contents.hex"))
    assert total == ProgressTotal(0, 0, 1, 1400)
    assert progress == ProgressPerMessage(1400, False)
    assert change.header == MessageChangeHeader(
        REPLICA + bytes.fromhex("000000002100"),
        0x01C7A68AEC175C00,
        CHANGE,
        b"\x16" + CHANGE,
        False,
        object_id(1, 0x2100),
        1400,
        object_id(1, 0x4001),
    )
    assert value_of(change.content.properties, PidTagBody) == "Hello Alice.\r\n"
    (recipient,), (attachment,) = change.content.recipients, change.content.attachments
    assert value_of(recipient.properties, PidTagDisplayName) == "Alice Adams"
    assert value_of(attachment.properties, PidTagAttachDataBinary) == b"0123456789"
    assert rest == [
        Deletions(IdSetByReplId.of([object_id(1, 0x2050)])),
        ReadStateChanges(IdSetByReplId.of(object_id(1, counter) for counter in range(0x2051, 0x2054))),
        State(
            IdSetByReplGuid.of_counters({REPLICA: GlobSet.of_ranges([(0x2000, 0x20D5), (0x2100, 0x2100)])}),
            seen(0x4001),
            seen(0x3FFF),
            seen(0x4002),
        ),
    ]


def test_a_foreign_download_is_written_again_but_for_the_form_of_one_set(vector):
    stream = vector("fx/contents.hex")
    ours = encode(synchronization(read(ContentsReader(), stream)))
    given_at = stream.index(bytes.fromhex("03001740"))
    assert ours[:given_at] == stream[:given_at]
    assert ours[given_at + 8 + 31 :] == stream[given_at + 8 + 34 :]


def test_cuts_change_nothing(vector):
    stream = vector("fx/contents.hex")
    whole = read(ContentsReader(), stream)
    assert read(ContentsReader(), *(bytes([byte]) for byte in stream)) == whole
    for cut in range(len(stream)):
        assert read(ContentsReader(), stream[:cut], stream[cut:]) == whole


def test_an_interrupted_download_keeps_what_was_complete(vector):
    stream = vector("fx/contents.hex")
    whole = read(ContentsReader(), stream)
    counts = []
    for size in range(len(stream)):
        reader = ContentsReader()
        items = reader.feed(stream[:size])
        assert items == whole[: len(items)]
        assert not reader.complete
        with pytest.raises(WireError):
            reader.finish()
        counts.append(len(items))
    assert counts == sorted(counts)
    assert set(counts) == set(range(len(whole)))


@given(CONTENTS_ITEMS, st.integers(100, 400))
def test_any_contents_come_back_over_buffers(items, size):
    source, reader = FastTransferSource(synchronization(items)), ContentsReader()
    assert read(reader, *iter(lambda: source.read(size), b"")) == items


@given(HIERARCHY_ITEMS, st.integers(100, 400))
def test_any_hierarchy_comes_back_over_buffers(items, size):
    source, reader = FastTransferSource(synchronization(items)), HierarchyReader()
    assert read(reader, *iter(lambda: source.read(size), b"")) == items


HEADER = MessageChangeHeader(b"source", 5, b"change", b"", False)
MESSAGE = MessageChange(HEADER, MessageContent(()))
FOLDER = FolderChange(b"", b"source", 5, b"change", b"", "In")
FAILED = FailedItem((Property(0x0037001F, "?"),))


def partial(**mapping):
    return MessageChangePartial(HEADER, (), MessageContent(()), **mapping)


@pytest.mark.parametrize(
    "changes",
    [
        [partial(), partial()],
        [partial(group_id=1), partial(group_id=1)],
        [partial(group_info=b"a"), partial(group_info=b"b")],
        [partial(group_id=1, group_info=b"a"), partial(group_id=2, group_info=b"b"), MESSAGE],
        [MESSAGE, ProgressPerMessage(1, False), partial(group_id=1), FAILED, MESSAGE, MESSAGE],
    ],
)
def test_changes_of_all_kinds_follow_each_other(changes):
    items = [*changes, State()]
    assert read(ContentsReader(), encode(synchronization(items))) == items


TOTAL = ProgressTotal(0, 0, 0, 0)


@pytest.mark.parametrize(
    ("reader", "items"),
    [
        (ContentsReader, [MESSAGE, TOTAL, State()]),
        (ContentsReader, [TOTAL, TOTAL, State()]),
        (ContentsReader, [Deletions(), MESSAGE, State()]),
        (ContentsReader, [Deletions(), Deletions(), State()]),
        (ContentsReader, [ReadStateChanges(), Deletions(), State()]),
        (ContentsReader, [State(), ReadStateChanges()]),
        (ContentsReader, [State(), State()]),
        (HierarchyReader, [Deletions(), FOLDER, State()]),
    ],
)
def test_items_out_of_order_are_refused(reader, items):
    with pytest.raises(WireError, match="comes too late"):
        reader().feed(encode(synchronization(items)))


@pytest.mark.parametrize(
    ("reader", "elements", "problem"),
    [
        (ContentsReader, [IncrSyncEnd], "IncrSyncEnd at byte 0: does not follow a state"),
        (ContentsReader, [*MESSAGE.elements(), IncrSyncEnd], "does not follow a state"),
        (ContentsReader, [StartMessage], "Element at byte 0: belongs to no item"),
        (ContentsReader, [*State().elements(), IncrSyncEnd, Property(0x00370003, 0)], "belongs to no item"),
        (ContentsReader, [*State().elements(), IncrSyncEnd, IncrSyncEnd], "does not follow a state"),
        (ContentsReader, [*State().elements(), IncrSyncEnd, IncrSyncChg], "comes too late"),
        (ContentsReader, [*MESSAGE.elements(), StartMessage, *State().elements()], "StartMessage at byte 0"),
        (ContentsReader, [*MESSAGE.elements(), *FOLDER.elements(), *State().elements()], "0x67AA000B"),
        (ContentsReader, [IncrSyncGroupInfo, *MESSAGE.elements()], "property 0x00000102 at byte 0"),
        (HierarchyReader, [*FOLDER.elements(), *ReadStateChanges().elements(), IncrSyncEnd], "IncrSyncRead"),
        (HierarchyReader, [*TOTAL.elements()], "belongs to no item"),
    ],
)
def test_streams_that_break_the_grammar_are_refused(reader, elements, problem):
    with pytest.raises(WireError, match=problem):
        reader().feed(encode(elements))


def test_an_error_names_the_place_of_its_item(vector):
    stream = encode([*MESSAGE.elements(), *MESSAGE.elements(), StartMessage, IncrSyncEnd])
    second = len(encode(MESSAGE.elements()))
    with pytest.raises(WireError, match=f"at byte {second}: does not belong here"):
        ContentsReader().feed(stream)


@given(st.lists(st.sampled_from([*State().elements(), *MESSAGE.elements(), *FAILED.elements(), IncrSyncEnd])))
def test_no_elements_raise_anything_else(elements):
    reader = ContentsReader()
    try:
        reader.feed(encode(elements))
        reader.finish()
    except WireError:
        return
    assert reader.complete
