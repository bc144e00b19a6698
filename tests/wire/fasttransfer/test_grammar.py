"""A cursor over elements, by its smallest rules."""

import pytest

from loadgen.errors import WireError
from loadgen.wire.fasttransfer.elements import Property, ValuePart
from loadgen.wire.fasttransfer.grammar import ElementReader
from loadgen.wire.fasttransfer.markers import (
    EndAttach,
    IncrSyncChg,
    IncrSyncEnd,
    MetaTagFXDelProp,
    MetaTagIncrementalSyncMessagePartial,
    NewAttach,
)

FIRST = Property(0x00370003, 1)
SECOND = Property(0x00380003, 2)


def test_elements_are_taken_in_their_order():
    reader = ElementReader([IncrSyncChg, FIRST, SECOND, IncrSyncEnd])
    assert reader.next_marker == IncrSyncChg
    assert reader.take_marker(IncrSyncEnd, IncrSyncChg) == IncrSyncChg
    assert reader.next_marker is None
    assert reader.take_if(SECOND.tag) is None
    assert reader.take_if(FIRST.tag) == FIRST
    assert reader.take_value(SECOND.tag) == 2
    assert reader.take_if(FIRST.tag) is None
    assert reader.take_marker(IncrSyncEnd) == IncrSyncEnd
    assert reader.next_marker is None
    reader.expect_end()


@pytest.mark.parametrize("tag", [MetaTagFXDelProp, MetaTagIncrementalSyncMessagePartial])
def test_a_list_of_properties_ends_where_something_new_begins(tag):
    reader = ElementReader([FIRST, SECOND, Property(tag, 1), FIRST])
    assert reader.take_properties() == (FIRST, SECOND)
    assert reader.take_properties() == ()
    assert ElementReader([FIRST, IncrSyncEnd]).take_properties() == (FIRST,)


@pytest.mark.parametrize(
    ("elements", "take", "text"),
    [
        (
            [FIRST],
            lambda reader: reader.take_marker(NewAttach, EndAttach),
            "NewAttach or EndAttach at byte 77: is missing, at element 0",
        ),
        ([], lambda reader: reader.take_marker(EndAttach), "EndAttach at byte 77: is missing"),
        ([IncrSyncEnd], lambda reader: reader.take_marker(EndAttach), "EndAttach at byte 77: is missing"),
        ([FIRST], lambda reader: reader.take_value(SECOND.tag), "property 0x00380003 at byte 77"),
        ([FIRST], ElementReader.expect_end, "property 0x00370003 at byte 77: does not belong here"),
        ([IncrSyncEnd], ElementReader.expect_end, "IncrSyncEnd at byte 77: does not belong here"),
    ],
)
def test_what_is_missing_or_left_over_is_named(elements, take, text):
    with pytest.raises(WireError, match=text):
        take(ElementReader(elements, 77))


def test_parts_of_large_values_belong_to_no_object():
    with pytest.raises(WireError, match="ValuePart"):
        ElementReader([ValuePart(b"a")]).expect_end()
