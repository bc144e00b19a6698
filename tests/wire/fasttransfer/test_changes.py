"""What a synchronisation tells, item by item."""

import pytest
from hypothesis import given

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
    PropertyGroup,
    ReadStateChanges,
)
from loadgen.wire.fasttransfer.elements import Property
from loadgen.wire.fasttransfer.grammar import ElementReader
from loadgen.wire.fasttransfer.markers import (
    FXErrorInfo,
    IncrSyncChg,
    IncrSyncChgPartial,
    IncrSyncDel,
    IncrSyncGroupInfo,
    IncrSyncMessage,
    IncrSyncProgressMode,
    IncrSyncProgressPerMsg,
    IncrSyncRead,
    MetaTagFXDelProp,
    MetaTagIdsetDeleted,
    MetaTagIdsetExpired,
    MetaTagIdsetNoLongerInScope,
    MetaTagIdsetRead,
    MetaTagIdsetUnread,
    MetaTagIncrementalSyncMessagePartial,
    MetaTagIncrSyncGroupId,
)
from loadgen.wire.fasttransfer.message import MessageContent
from loadgen.wire.identifiers import object_id
from loadgen.wire.idset import IdSetByReplId
from tests.wire.fasttransfer.strategies import (
    CHANGES,
    DELETIONS,
    FOLDER_CHANGES,
    PROGRESS_TOTALS,
    READ_STATE_CHANGES,
)

ONE_ID = IdSetByReplId.of([object_id(1, 0x2050)])
ONE_ID_WIRE = bytes.fromhex("0100 06 000000002050 00")
IDENTITY = [
    Property(0x65E00102, b"source"),
    Property(0x30080040, 5),
    Property(0x65E20102, b"change"),
    Property(0x65E30102, b"predecessors"),
]
HEADER = [*IDENTITY, Property(0x67AA000B, True)]
SUBJECT = Property(0x0037001F, "Hi")
REPLACED = [Property(MetaTagFXDelProp, 0x0E12000D), Property(MetaTagFXDelProp, 0x0E13000D)]
KNOWN_HEADER = MessageChangeHeader(b"source", 5, b"change", b"predecessors", True)

# Each item with its elements in the order that the reference gives in section 6.4.
ITEMS = [
    (
        ProgressTotal(2, 300, 1, 1400),
        [
            IncrSyncProgressMode,
            Property(
                0x00000102,
                bytes.fromhex("0000 0000 02000000 2c01000000000000 01000000 00000000 7805000000000000"),
            ),
        ],
    ),
    (
        ProgressPerMessage(1400, True),
        [IncrSyncProgressPerMsg, Property(0x00000003, 1400), Property(0x0000000B, True)],
    ),
    (
        MessageChange(KNOWN_HEADER, MessageContent((SUBJECT,))),
        [IncrSyncChg, *HEADER, IncrSyncMessage, SUBJECT, *REPLACED],
    ),
    (
        MessageChange(
            MessageChangeHeader(b"source", 5, b"change", b"predecessors", True, 6, 7, 8, (SUBJECT,)),
            MessageContent(()),
        ),
        [
            IncrSyncChg,
            *HEADER,
            Property(0x674A0014, 6),
            Property(0x0E080003, 7),
            Property(0x67A40014, 8),
            SUBJECT,
            IncrSyncMessage,
            *REPLACED,
        ],
    ),
    (
        MessageChangePartial(
            KNOWN_HEADER,
            (PropertyGroup(3, (SUBJECT,)), PropertyGroup(5, (Property(0x00000003, 0),))),
            MessageContent((), replaces_recipients=False, replaces_attachments=False),
            7,
            b"mapping",
        ),
        [
            IncrSyncGroupInfo,
            Property(0x00000102, b"mapping"),
            Property(MetaTagIncrSyncGroupId, 7),
            IncrSyncChgPartial,
            *HEADER,
            Property(MetaTagIncrementalSyncMessagePartial, 3),
            SUBJECT,
            Property(MetaTagIncrementalSyncMessagePartial, 5),
            Property(0x00000003, 0),
        ],
    ),
    (
        MessageChangePartial(KNOWN_HEADER, (), MessageContent(())),
        [IncrSyncChgPartial, *HEADER, *REPLACED],
    ),
    (
        FolderChange(b"parent", b"source", 5, b"change", b"predecessors", "In", 6, 7, (SUBJECT,)),
        [
            IncrSyncChg,
            Property(0x65E10102, b"parent"),
            *IDENTITY,
            Property(0x3001001F, "In"),
            Property(0x67480014, 6),
            Property(0x67490014, 7),
            SUBJECT,
        ],
    ),
    (
        Deletions(ONE_ID, ONE_ID, ONE_ID),
        [
            IncrSyncDel,
            Property(MetaTagIdsetDeleted, ONE_ID_WIRE),
            Property(MetaTagIdsetNoLongerInScope, ONE_ID_WIRE),
            Property(MetaTagIdsetExpired, ONE_ID_WIRE),
        ],
    ),
    (Deletions(expired=ONE_ID), [IncrSyncDel, Property(MetaTagIdsetExpired, ONE_ID_WIRE)]),
    (
        ReadStateChanges(ONE_ID, ONE_ID),
        [IncrSyncRead, Property(MetaTagIdsetRead, ONE_ID_WIRE), Property(MetaTagIdsetUnread, ONE_ID_WIRE)],
    ),
    (FailedItem((SUBJECT,)), [FXErrorInfo, SUBJECT]),
]


def read(kind, elements):
    reader = ElementReader(elements)
    item = kind.read(reader)
    reader.expect_end()
    return item


@pytest.mark.parametrize(("item", "elements"), ITEMS, ids=lambda value: type(value).__name__)
def test_items_are_elements_in_the_order_of_the_reference(item, elements):
    assert list(item.elements()) == elements
    assert read(type(item), elements) == item


@pytest.mark.parametrize(("item", "elements"), ITEMS, ids=lambda value: type(value).__name__)
def test_an_item_that_stops_early_is_refused_or_shorter(item, elements):
    for size in range(len(elements)):
        try:
            start = read(type(item), elements[:size])
        except WireError:
            continue
        assert list(start.elements()) == elements[:size]
        assert start != item


@given(CHANGES | FOLDER_CHANGES | DELETIONS | READ_STATE_CHANGES | PROGRESS_TOTALS)
def test_any_item_comes_back_from_its_elements(item):
    assert read(type(item), list(item.elements())) == item


def test_properties_of_a_header_may_come_in_any_order():
    assert read(MessageChange, [IncrSyncChg, *reversed(HEADER), IncrSyncMessage, *REPLACED]) == MessageChange(
        KNOWN_HEADER, MessageContent(())
    )


def test_a_property_that_comes_twice_is_kept_twice():
    change = read(MessageChange, [IncrSyncChg, *HEADER, HEADER[0], IncrSyncMessage])
    assert change.header.properties == (HEADER[0],)


@pytest.mark.parametrize(
    ("kind", "elements", "problem"),
    [
        (ProgressTotal, [IncrSyncProgressMode, Property(0x00000102, bytes(31))], "ProgressInformation"),
        (ProgressTotal, [IncrSyncProgressMode, Property(0x00000102, bytes(33))], "ProgressInformation"),
        (ProgressTotal, [IncrSyncProgressMode, Property(0x00000102, b"\1" + bytes(31))], "Version"),
        (MessageChange, [IncrSyncChg, *HEADER[1:], IncrSyncMessage], "0x65E00102 .* is missing"),
        (MessageChange, [IncrSyncChg, *HEADER], "IncrSyncMessage .* is missing"),
        (FolderChange, [IncrSyncChg, *IDENTITY], "0x65E10102 .* is missing"),
        (Deletions, [IncrSyncDel, SUBJECT], "0x0037001F .* among sets of ids"),
        (Deletions, [IncrSyncDel, Property(MetaTagIdsetDeleted, b"1")], "Replica"),
        (ReadStateChanges, [IncrSyncRead, Property(MetaTagIdsetDeleted, b"")], "0x67E50102 .* among"),
    ],
)
def test_items_that_break_the_grammar_are_refused(kind, elements, problem):
    with pytest.raises(WireError, match=problem):
        read(kind, elements)
