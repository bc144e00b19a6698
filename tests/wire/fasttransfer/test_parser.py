"""Streams in any cuts, against foreign bytes and any elements."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadgen.errors import WireError
from loadgen.wire.fasttransfer.elements import Property, ValuePart, ValueStart, encode
from loadgen.wire.fasttransfer.markers import (
    EndAttach,
    EndToRecip,
    IncrSyncChg,
    IncrSyncDel,
    IncrSyncEnd,
    IncrSyncMessage,
    IncrSyncProgressMode,
    IncrSyncProgressPerMsg,
    IncrSyncRead,
    IncrSyncStateBegin,
    IncrSyncStateEnd,
    MetaTagCnsetRead,
    MetaTagCnsetSeen,
    MetaTagCnsetSeenFAI,
    MetaTagFXDelProp,
    MetaTagIdsetDeleted,
    MetaTagIdsetGiven,
    MetaTagIdsetRead,
    NewAttach,
    StartRecip,
)
from loadgen.wire.fasttransfer.parser import FastTransferParser
from loadgen.wire.property_names import PropertyName, PSETID_Common
from tests.wire.fasttransfer.strategies import ELEMENTS, STREAMS

REPLICA = bytes.fromhex("5e3d7a6d1c9b6f4a8e572f1a0c4b7d90")
CHANGE = REPLICA + bytes.fromhex("000000004001")
TIME = 0x01C7A68AEC175C00

CONTENTS = [
    IncrSyncProgressMode,
    Property(0x00000102, bytes(16) + bytes.fromhex("01000000 00000000 7805000000000000")),
    IncrSyncProgressPerMsg,
    Property(0x00000003, 0x578),
    Property(0x0000000B, False),
    IncrSyncChg,
    Property(0x65E00102, REPLICA + bytes.fromhex("000000002100")),
    Property(0x30080040, TIME),
    Property(0x65E20102, CHANGE),
    Property(0x65E30102, b"\x16" + CHANGE),
    Property(0x67AA000B, False),
    Property(0x674A0014, 0x0021_0000_0000_0001),
    Property(0x0E080003, 0x578),
    Property(0x67A40014, 0x0140_0000_0000_0001),
    IncrSyncMessage,
    Property(0x001A001F, "IPM.Note"),
    Property(0x0E070003, 0),
    Property(0x0E060040, TIME),
    Property(0x00390040, TIME),
    Property(0x0042001F, "Bob Brown"),
    Property(0x0037001F, "Hi"),
    Property(0x0E1B000B, False),
    Property(0x80010003, 0x1C13F, PropertyName(PSETID_Common, lid=0x8552)),
    Property(0x1000001F, "Hello Alice.\r\n"),
    Property(MetaTagFXDelProp, 0x0E12000D),
    StartRecip,
    Property(0x30000003, 0),
    Property(0x0C150003, 1),
    Property(0x3001001F, "Alice Adams"),
    Property(0x3002001F, "EX"),
    Property(0x3003001F, "/o=Contoso/ou=First Administrative Group/cn=Recipients/cn=user001"),
    EndToRecip,
    Property(MetaTagFXDelProp, 0x0E13000D),
    NewAttach,
    Property(0x0E210003, 0),
    Property(0x37050003, 1),
    Property(0x3707001F, "a.txt"),
    Property(0x37010102, b"0123456789"),
    EndAttach,
    IncrSyncDel,
    Property(MetaTagIdsetDeleted, bytes.fromhex("0100 06 000000002050 00")),
    IncrSyncRead,
    Property(MetaTagIdsetRead, bytes.fromhex("0100 05 0000000020 52 51 53 50 00")),
    IncrSyncStateBegin,
    Property(MetaTagIdsetGiven, REPLICA + bytes.fromhex("05 0000000020 52 00 d5 50 06 000000002100 00")),
    Property(MetaTagCnsetSeen, REPLICA + bytes.fromhex("04 00000000 52 0001 4001 50 00")),
    Property(MetaTagCnsetSeenFAI, REPLICA + bytes.fromhex("04 00000000 52 0001 3fff 50 00")),
    Property(MetaTagCnsetRead, REPLICA + bytes.fromhex("04 00000000 52 0001 4002 50 00")),
    IncrSyncStateEnd,
    IncrSyncEnd,
]


def parsed(*buffers, **options):
    parser = FastTransferParser(**options)
    elements = [element for buffer in buffers for element in parser.feed(buffer)]
    parser.finish()
    assert parser.offset == sum(map(len, buffers))
    return elements


def test_a_foreign_stream_is_read_and_written_as_it_stands(vector):
    stream = vector("fx/contents.hex")
    assert parsed(stream) == CONTENTS
    assert encode(CONTENTS) == stream


@pytest.mark.parametrize("name", ["fx/contents.hex", "fx/message-content.hex"])
def test_cuts_change_nothing(vector, name):
    stream = vector(name)
    whole = parsed(stream)
    assert encode(whole) == stream
    assert parsed(*(bytes([byte]) for byte in stream)) == whole
    for cut in range(len(stream)):
        assert parsed(stream[:cut], stream[cut:]) == whole


def test_a_stream_that_stops_within_an_element_is_found_out(vector):
    stream = vector("fx/contents.hex")
    complete = 0
    for size in range(len(stream)):
        parser = FastTransferParser()
        elements = parser.feed(stream[:size])
        assert elements == CONTENTS[: len(elements)]
        if parser.offset == size:
            parser.finish()
            complete += 1
        else:
            with pytest.raises(WireError, match="the stream ends"):
                parser.finish()
    assert complete == len(CONTENTS)


@given(STREAMS, st.data())
def test_any_stream_in_any_cuts(elements, data):
    stream = encode(elements)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=8)))
    buffers = [stream[start:end] for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True)]
    assert parsed(*buffers) == elements


def joined(elements):
    """Elements with the parts of each large value in one."""
    together = []
    for element in elements:
        if isinstance(element, ValuePart) and isinstance(together[-1], ValuePart):
            together[-1] = ValuePart(together[-1].data + element.data)
        else:
            together.append(element)
    return together


@pytest.mark.parametrize("size", [1, 2, 3, 5, 100])
def test_a_large_value_comes_in_parts_as_the_buffers_do(size):
    name = PropertyName(PSETID_Common, lid=1)
    stream = encode(
        [
            Property(0x37010102, b"0123456789"),
            Property(0x10130102, b"01234567"),
            Property(0x80020102, b"9876543210", name),
            Property(0x0037001F, "Large"),
            Property(0x66001102, (b"0123456789",)),
            IncrSyncEnd,
        ]
    )
    buffers = [stream[start : start + size] for start in range(0, len(stream), size)]
    elements = parsed(*buffers, largest_whole_value=8)
    assert encode(elements) == stream
    assert joined(elements) == [
        ValueStart(0x37010102, 10),
        ValuePart(b"0123456789"),
        Property(0x10130102, b"01234567"),
        ValueStart(0x80020102, 10, name),
        ValuePart(b"9876543210"),
        ValueStart(0x0037001F, 12),
        ValuePart("Large\0".encode("utf-16-le")),
        Property(0x66001102, (b"0123456789",)),
        IncrSyncEnd,
    ]
    parser = FastTransferParser(largest_whole_value=8)
    parser.feed(stream[:15])
    with pytest.raises(WireError, match="the stream ends 15 bytes into it"):
        parser.finish()


def test_a_large_string_may_lack_its_terminator():
    assert parsed(bytes.fromhex("1f003700 04000000 48006900")) == [Property(0x0037001F, "Hi")]
    assert parsed(bytes.fromhex("1e003700 02000000 4869")) == [Property(0x0037001E, "Hi")]
    assert parsed(bytes.fromhex("1f003700 00000000")) == [Property(0x0037001F, "")]


def test_a_name_may_hold_zero_bytes_across_its_characters():
    element = Property(0x80010003, 5, PropertyName(PSETID_Common, name="\u0100\u0001"))
    assert parsed(encode([element])) == [element]
    assert parsed(*(bytes([byte]) for byte in encode([element]))) == [element]


HEAD = f"03000180 {PSETID_Common.hex()}"


@pytest.mark.parametrize(
    ("wire", "field", "offset"),
    [
        ("03001440 01003700", "PropertyType", 4),
        ("0b103700 00000000", "PropertyType", 0),
        (f"03001440 {HEAD} 02", "Kind", 4),
        (f"{HEAD} 01" + "4100" * 256, "Name", 0),
        (f"{HEAD} 01 00d8 0000", "Name", 0),
        ("03001440 1f003700 02000000 00d8", "PropertyValue", 12),
        ("1f003700 03000000 410000", "PropertyValue", 8),
    ],
)
def test_malformed_bytes_are_refused_where_they_stand(wire, field, offset):
    parser = FastTransferParser()
    with pytest.raises(WireError) as caught:
        parser.feed(bytes.fromhex(wire))
    assert (caught.value.field, caught.value.offset) == (field, offset)
    assert parser.feed(encode([IncrSyncEnd])) == []
    with pytest.raises(WireError):
        parser.finish()


@given(st.lists(ELEMENTS, max_size=2), st.binary(max_size=60), st.integers(0, 60))
def test_no_bytes_raise_anything_else(elements, noise, cut):
    stream = encode(elements) + noise
    parser = FastTransferParser()
    try:
        parser.feed(stream[:cut])
        parser.feed(stream[cut:])
        parser.finish()
    except WireError:
        pass
    assert parser.offset >= 0


def test_bytes_of_an_incomplete_value_are_put_aside_and_not_joined_for_each_buffer():
    whole = Property(0x37010102, bytes(20_000))
    stream, size = encode([whole]), 100
    parser = FastTransferParser()
    elements = []
    for start in range(0, len(stream), size):
        elements += parser.feed(stream[start : start + size])
        assert len(parser._data) <= size
    assert elements == [whole]
