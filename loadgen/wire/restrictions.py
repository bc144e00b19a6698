"""Restrictions as ROPs carry them, with 16-bit counts ([MS-OXCDATA] 2.12)."""

from collections.abc import Callable
from struct import Struct
from typing import ClassVar, Final, Self, TypeAlias

import msgspec

from loadgen.errors import WireError
from loadgen.wire.buffer import Reader, Writer
from loadgen.wire.properties import PropertyTag, PropertyValue

FULL_STRING: Final = 0
SUBSTRING: Final = 1
PREFIX: Final = 2
"""FuzzyLevelLow."""

IGNORE_CASE: Final = 1
IGNORE_NON_SPACE: Final = 2
LOOSE: Final = 4
"""FuzzyLevelHigh."""

LESS: Final = 0
LESS_OR_EQUAL: Final = 1
GREATER: Final = 2
GREATER_OR_EQUAL: Final = 3
EQUAL: Final = 4
NOT_EQUAL: Final = 5
MATCHES: Final = 6
MEMBER_OF_DL: Final = 0x64
"""RelOp."""

_MAX_DEPTH = 64
"""Deeper nesting is refused, so that hostile bytes cannot exhaust the interpreter's stack."""


class RestrictAnd(msgspec.Struct, frozen=True):
    """All must hold ([MS-OXCDATA] 2.12.1)."""

    restrict_type: ClassVar[int] = 0x00
    restrictions: "tuple[Restriction, ...]"

    @classmethod
    def read(cls, reader: Reader, depth: int) -> Self:
        """What stands behind RestrictType; raises :class:`WireError`."""
        return cls(tuple(_read(reader, depth) for _ in range(reader.u16("RestrictCount"))))

    def write(self, writer: Writer) -> None:
        """RestrictType and the rest."""
        writer.u8(self.restrict_type)
        writer.u16(len(self.restrictions))
        for restriction in self.restrictions:
            restriction.write(writer)


class RestrictOr(RestrictAnd, frozen=True):
    """One must hold ([MS-OXCDATA] 2.12.2)."""

    restrict_type: ClassVar[int] = 0x01


class RestrictNot(msgspec.Struct, frozen=True):
    """The opposite ([MS-OXCDATA] 2.12.3)."""

    restrict_type: ClassVar[int] = 0x02
    restriction: "Restriction"

    @classmethod
    def read(cls, reader: Reader, depth: int) -> Self:
        """What stands behind RestrictType; raises :class:`WireError`."""
        return cls(_read(reader, depth))

    def write(self, writer: Writer) -> None:
        """RestrictType and the rest."""
        writer.u8(self.restrict_type)
        self.restriction.write(writer)


_CONTENT = Struct("<HHI")


class RestrictContent(msgspec.Struct, frozen=True):
    """A string or binary contains ``value`` ([MS-OXCDATA] 2.12.4)."""

    restrict_type: ClassVar[int] = 0x03
    fuzzy_level_low: int
    fuzzy_level_high: int
    tag: PropertyTag
    value: PropertyValue

    @classmethod
    def read(cls, reader: Reader, _depth: int) -> Self:
        """What stands behind RestrictType; raises :class:`WireError`."""
        low, high, tag = reader.unpack(_CONTENT, "FuzzyLevelLow")
        return cls(low, high, tag, PropertyValue.read(reader))

    def write(self, writer: Writer) -> None:
        """RestrictType and the rest."""
        writer.u8(self.restrict_type)
        writer.pack(_CONTENT, self.fuzzy_level_low, self.fuzzy_level_high, self.tag)
        self.value.write(writer)


_PROPERTY = Struct("<BI")


class RestrictProperty(msgspec.Struct, frozen=True):
    """Compares a property with ``value`` ([MS-OXCDATA] 2.12.5)."""

    restrict_type: ClassVar[int] = 0x04
    rel_op: int
    tag: PropertyTag
    value: PropertyValue

    @classmethod
    def read(cls, reader: Reader, _depth: int) -> Self:
        """What stands behind RestrictType; raises :class:`WireError`."""
        rel_op, tag = reader.unpack(_PROPERTY, "RelOp")
        return cls(rel_op, tag, PropertyValue.read(reader))

    def write(self, writer: Writer) -> None:
        """RestrictType and the rest."""
        writer.u8(self.restrict_type)
        writer.pack(_PROPERTY, self.rel_op, self.tag)
        self.value.write(writer)


class _FixedRestriction(msgspec.Struct, frozen=True):
    restrict_type: ClassVar[int]
    layout: ClassVar[Struct]

    @classmethod
    def read(cls, reader: Reader, _depth: int) -> Self:
        """What stands behind RestrictType; raises :class:`WireError`."""
        return cls(*reader.unpack(cls.layout, cls.__name__))

    def write(self, writer: Writer) -> None:
        """RestrictType and the rest."""
        writer.u8(self.restrict_type)
        writer.pack(self.layout, *msgspec.structs.astuple(self))


class RestrictCompareProperties(_FixedRestriction, frozen=True):
    """Compares two properties ([MS-OXCDATA] 2.12.6)."""

    restrict_type: ClassVar[int] = 0x05
    layout: ClassVar[Struct] = Struct("<BII")
    rel_op: int
    first_tag: PropertyTag
    second_tag: PropertyTag


class RestrictBitmask(_FixedRestriction, frozen=True):
    """Whether bits of a property are all zero (0) or not (1) ([MS-OXCDATA] 2.12.7)."""

    restrict_type: ClassVar[int] = 0x06
    layout: ClassVar[Struct] = Struct("<BII")
    rel_op: int
    tag: PropertyTag
    mask: int


class RestrictSize(_FixedRestriction, frozen=True):
    """Compares the size of a value in bytes ([MS-OXCDATA] 2.12.8)."""

    restrict_type: ClassVar[int] = 0x07
    layout: ClassVar[Struct] = Struct("<BII")
    rel_op: int
    tag: PropertyTag
    size: int


class RestrictExist(_FixedRestriction, frozen=True):
    """Whether there is such a property ([MS-OXCDATA] 2.12.9)."""

    restrict_type: ClassVar[int] = 0x08
    layout: ClassVar[Struct] = Struct("<I")
    tag: PropertyTag


class RestrictSubObject(msgspec.Struct, frozen=True):
    """Holds for a recipient or an attachment, as ``sub_object`` says ([MS-OXCDATA] 2.12.10)."""

    restrict_type: ClassVar[int] = 0x09
    sub_object: PropertyTag
    restriction: "Restriction"

    @classmethod
    def read(cls, reader: Reader, depth: int) -> Self:
        """What stands behind RestrictType; raises :class:`WireError`."""
        return cls(reader.u32("SubObject"), _read(reader, depth))

    def write(self, writer: Writer) -> None:
        """RestrictType and the rest."""
        writer.u8(self.restrict_type)
        writer.u32(self.sub_object)
        self.restriction.write(writer)


class RestrictComment(msgspec.Struct, frozen=True):
    """A restriction, if any, with values that only its author looks at ([MS-OXCDATA] 2.12.11)."""

    restrict_type: ClassVar[int] = 0x0A
    values: tuple[PropertyValue, ...]
    restriction: "Restriction | None"

    @classmethod
    def read(cls, reader: Reader, depth: int) -> Self:
        """What stands behind RestrictType; raises :class:`WireError`."""
        values = tuple(PropertyValue.read(reader) for _ in range(reader.u8("TaggedValuesCount")))
        return cls(values, _read(reader, depth) if reader.u8("RestrictionPresent") else None)

    def write(self, writer: Writer) -> None:
        """RestrictType and the rest."""
        writer.u8(self.restrict_type)
        writer.u8(len(self.values))
        for value in self.values:
            value.write(writer)
        writer.u8(self.restriction is not None)
        if self.restriction is not None:
            self.restriction.write(writer)


class RestrictCount(msgspec.Struct, frozen=True):
    """At most ``count`` rows for which the restriction holds ([MS-OXCDATA] 2.12.12)."""

    restrict_type: ClassVar[int] = 0x0B
    count: int
    restriction: "Restriction"

    @classmethod
    def read(cls, reader: Reader, depth: int) -> Self:
        """What stands behind RestrictType; raises :class:`WireError`."""
        return cls(reader.u32("Count"), _read(reader, depth))

    def write(self, writer: Writer) -> None:
        """RestrictType and the rest."""
        writer.u8(self.restrict_type)
        writer.u32(self.count)
        self.restriction.write(writer)


Restriction: TypeAlias = (
    RestrictAnd
    | RestrictOr
    | RestrictNot
    | RestrictContent
    | RestrictProperty
    | RestrictCompareProperties
    | RestrictBitmask
    | RestrictSize
    | RestrictExist
    | RestrictSubObject
    | RestrictComment
    | RestrictCount
)

_READERS: dict[int, Callable[[Reader, int], Restriction]] = {
    kind.restrict_type: kind.read
    for kind in (
        RestrictAnd,
        RestrictOr,
        RestrictNot,
        RestrictContent,
        RestrictProperty,
        RestrictCompareProperties,
        RestrictBitmask,
        RestrictSize,
        RestrictExist,
        RestrictSubObject,
        RestrictComment,
        RestrictCount,
    )
}


def read_restriction(reader: Reader) -> Restriction:
    """Any restriction; raises :class:`WireError`, also when they nest deeper than 64."""
    return _read(reader, 0)


def _read(reader: Reader, depth: int) -> Restriction:
    kind = reader.u8("RestrictType")
    read = _READERS.get(kind)
    if read is None or depth > _MAX_DEPTH:
        raise WireError("RestrictType", reader.offset - 1, f"0x{kind:02X} at depth {depth}")
    return read(reader, depth + 1)
