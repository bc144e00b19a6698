"""Any elements of a stream, and any of the objects that they make up."""

import msgspec
from hypothesis import strategies as st

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
from loadgen.wire.fasttransfer.elements import CODE_PAGE, Property
from loadgen.wire.fasttransfer.markers import MARKER_NAMES, Marker, MetaTagIdsetGiven
from loadgen.wire.fasttransfer.message import Attachment, MessageContent, Recipient
from loadgen.wire.fasttransfer.state import State
from loadgen.wire.identifiers import object_id
from loadgen.wire.idset import GlobSet, IdSetByReplGuid, IdSetByReplId
from loadgen.wire.properties import (
    MULTIPLE,
    PtypBinary,
    PtypBoolean,
    PtypCurrency,
    PtypErrorCode,
    PtypFloating32,
    PtypFloating64,
    PtypFloatingTime,
    PtypGuid,
    PtypInteger16,
    PtypInteger32,
    PtypInteger64,
    PtypObject,
    PtypServerId,
    PtypString,
    PtypString8,
    PtypTime,
)
from loadgen.wire.property_names import PropertyName

U16, U32, U64 = (st.integers(0, (1 << bits) - 1) for bits in (16, 32, 64))
BYTES = st.binary(max_size=40)
TEXT = st.text(max_size=20)
NARROW_TEXT = st.text(st.characters(max_codepoint=0xFF), max_size=20)
GUIDS = st.binary(min_size=16, max_size=16)

REPEATABLE = {
    PtypInteger16: U16,
    PtypInteger32: U32,
    PtypFloating32: st.floats(width=32, allow_nan=False),
    PtypFloating64: st.floats(allow_nan=False),
    PtypCurrency: U64,
    PtypFloatingTime: st.floats(allow_nan=False),
    PtypInteger64: U64,
    PtypTime: U64,
    PtypGuid: GUIDS,
    PtypString8: NARROW_TEXT,
    PtypString: TEXT,
    PtypBinary: BYTES,
}
VALUES = {
    PtypErrorCode: U32,
    PtypBoolean: st.booleans(),
    PtypObject: BYTES,
    PtypServerId: BYTES,
    CODE_PAGE | 1200: TEXT,
    CODE_PAGE | 1252: NARROW_TEXT,
    **REPEATABLE,
    **{
        MULTIPLE | property_type: st.lists(values, max_size=4).map(tuple)
        for property_type, values in REPEATABLE.items()
    },
}
PROPERTY_NAMES = st.builds(PropertyName, GUIDS, U32) | st.builds(
    PropertyName, GUIDS, name=TEXT.map(lambda text: text.replace("\0", "0"))
)


@st.composite
def properties(draw):
    """A property of any type, with or without a name, that no structure gives a meaning to."""
    property_type = draw(st.sampled_from(sorted(VALUES)))
    value = draw(VALUES[property_type])
    if draw(st.booleans()):
        return Property(draw(st.integers(0x1000, 0x2FFF)) << 16 | property_type, value)
    return Property(draw(st.integers(0x8000, 0xFFFF)) << 16 | property_type, value, draw(PROPERTY_NAMES))


MARKERS = st.sampled_from([Marker(value) for value in MARKER_NAMES])
ELEMENTS = MARKERS | properties() | st.builds(Property, st.just(MetaTagIdsetGiven), BYTES)
STREAMS = st.lists(ELEMENTS, max_size=12)
PROPERTY_LISTS = st.lists(properties(), max_size=4).map(tuple)

RECIPIENTS = st.builds(Recipient, U32, PROPERTY_LISTS)


def _contents(embedded):
    attachments = st.builds(Attachment, U32, PROPERTY_LISTS, st.none() | embedded)
    return st.builds(
        MessageContent,
        PROPERTY_LISTS,
        st.lists(RECIPIENTS, max_size=2).map(tuple),
        st.lists(attachments, max_size=2).map(tuple),
        st.booleans(),
        st.booleans(),
    )


CONTENTS = st.recursive(st.builds(MessageContent, PROPERTY_LISTS), _contents, max_leaves=3)
HEADERS = st.builds(
    MessageChangeHeader,
    BYTES,
    U64,
    BYTES,
    BYTES,
    st.booleans(),
    *[st.none() | values for values in (U64, U32, U64)],
    PROPERTY_LISTS,
)
IDS = st.builds(IdSetByReplId.of, st.lists(st.builds(object_id, U16, st.integers(0, 300)), max_size=5))
KNOWN = st.builds(
    IdSetByReplGuid.of_counters,
    st.dictionaries(GUIDS, st.builds(GlobSet.of, st.lists(st.integers(0, 300), max_size=5)), max_size=2),
)
CHANGES = (
    st.builds(ProgressPerMessage, U32, st.booleans())
    | st.builds(MessageChange, HEADERS, CONTENTS)
    | st.builds(
        MessageChangePartial,
        HEADERS,
        st.lists(st.builds(PropertyGroup, U32, PROPERTY_LISTS), max_size=3).map(tuple),
        _contents(CONTENTS).map(lambda content: msgspec.structs.replace(content, properties=())),
        st.none() | U32,
        st.none() | BYTES,
    )
    | st.builds(FailedItem, PROPERTY_LISTS)
)
FOLDER_CHANGES = st.builds(
    FolderChange, BYTES, BYTES, U64, BYTES, BYTES, TEXT, st.none() | U64, st.none() | U64, PROPERTY_LISTS
) | st.builds(FailedItem, PROPERTY_LISTS)
DELETIONS = st.builds(Deletions, IDS, IDS, IDS)
READ_STATE_CHANGES = st.builds(ReadStateChanges, IDS, IDS)
STATES = st.builds(State, KNOWN, KNOWN, st.none() | KNOWN, st.none() | KNOWN)
PROGRESS_TOTALS = st.builds(ProgressTotal, U32, U64, U32, U64)


def _in_order(*stages):
    return st.tuples(*stages).map(lambda groups: [item for group in groups for item in group])


def _perhaps(items):
    return st.lists(items, max_size=1)


CONTENTS_ITEMS = _in_order(
    _perhaps(PROGRESS_TOTALS),
    st.lists(CHANGES, max_size=3),
    _perhaps(DELETIONS),
    _perhaps(READ_STATE_CHANGES),
    st.tuples(STATES),
)
HIERARCHY_ITEMS = _in_order(st.lists(FOLDER_CHANGES, max_size=3), _perhaps(DELETIONS), st.tuples(STATES))
