"""Layouts made from annotations, with the smallest classes that show their rules."""

from typing import ClassVar

import msgspec
import pytest

from loadgen.errors import WireError
from loadgen.wire.buffer import Reader, Writer
from loadgen.wire.properties import PropertyProblem, PropertyValue
from loadgen.wire.restrictions import RestrictExist
from loadgen.wire.rop.layout import (
    U8,
    U16,
    U32,
    Asciiz,
    Bool8,
    LongSizedBytes,
    ObjectIds,
    PropertyProblems,
    PropertyTags,
    SizedBytes,
    SizedPropertyValues,
    SizedRestriction,
    layout_of,
)


class Mixed(msgspec.Struct, frozen=True):
    constant: ClassVar[int] = 9
    first: U8
    second: U16
    name: Asciiz
    elsewhere: int  # without a form: left to the class
    last: U32 = 0


class Arrays(msgspec.Struct, frozen=True):
    tags: PropertyTags
    ids: ObjectIds
    data: SizedBytes
    problems: PropertyProblems
    values: SizedPropertyValues
    flag: Bool8
    more: LongSizedBytes
    condition: SizedRestriction
    nothing: SizedRestriction


ARRAYS = Arrays(
    (0x0037001F,),
    (1, 2),
    b"ab",
    (PropertyProblem(1, 0x0037001F, 5),),
    (PropertyValue(0x0037001E, "x"),),
    True,
    b"cd",
    RestrictExist(0x0037001F),
    None,
)
ARRAYS_WIRE = (
    "0100 1f003700 0200 0100000000000000 0200000000000000 0200 6162 0100 0100 1f003700 05000000"
    "0800 0100 1e003700 7800 01 02000000 6364 0500 08 1f003700 0000"
)


def written(message):
    writer = Writer()
    layout_of(type(message)).write(writer, message)
    return writer.getvalue()


def test_fields_stand_in_the_order_of_the_class_and_those_without_a_form_do_not_stand():
    assert written(Mixed(1, 2, "A", 99, 4)) == bytes.fromhex("01 0200 4100 04000000")
    assert list(layout_of(Mixed).read(Reader(bytes.fromhex("01 0200 4100 04000000")))) == [1, 2, "A", 4]


def test_counts_and_sizes_come_from_what_is_written():
    wire = bytes.fromhex(ARRAYS_WIRE)
    assert written(ARRAYS) == wire
    assert Arrays(*layout_of(Arrays).read(Reader(wire))) == ARRAYS
    for size in range(len(wire)):
        with pytest.raises(WireError):
            list(layout_of(Arrays).read(Reader(wire[:size])))


def test_a_size_that_disagrees_with_the_values_in_it_is_refused():
    with pytest.raises(WireError, match="values"):
        list(
            layout_of(Arrays).read(
                Reader(bytes.fromhex(ARRAYS_WIRE.replace("0800 0100", "0900 0100") + "00"))
            )
        )


def test_a_cut_names_the_field_that_it_fell_in():
    with pytest.raises(WireError, match="first"):
        list(layout_of(Mixed).read(Reader(b"\1")))
    with pytest.raises(WireError, match="name"):
        list(layout_of(Mixed).read(Reader(b"\1\2\0A")))
