"""Restrictions in their NDR form ([MS-OXNSPI] 2.2.5): which objects NspiGetMatches is to find.

A restriction stands in two parts, as NDR lays it out: its own words, where a pointer stands for what hangs on
it; then, when all its siblings' words have been, what they point to. Comparison operators and fuzzy levels
have the names and numbers of :mod:`loadgen.wire.restrictions`; the high fuzzy level is shifted by 16.
"""

from collections.abc import Callable, Sequence
from struct import Struct
from typing import Final, NamedTuple, TypeAlias

import msgspec

from loadgen.errors import WireError
from loadgen.wire.ndr import NdrReader, NdrWriter
from loadgen.wire.nspi.values import expect_max_count, read_value, write_values
from loadgen.wire.properties import PropertyValue

MAX_DEPTH: Final = 32
"""How deep restrictions may hang on each other before they are refused."""


class AndRestriction(msgspec.Struct, frozen=True):
    """All of them hold."""

    restrictions: "tuple[Restriction, ...]"


class OrRestriction(msgspec.Struct, frozen=True):
    """At least one of them holds."""

    restrictions: "tuple[Restriction, ...]"


class NotRestriction(msgspec.Struct, frozen=True):
    """It does not hold."""

    restriction: "Restriction"


class ContentRestriction(msgspec.Struct, frozen=True):
    """A string has ``value`` in it: as a whole, anywhere or at its beginning (``fuzzy_level``)."""

    fuzzy_level: int
    tag: int
    value: PropertyValue


class PropertyRestriction(msgspec.Struct, frozen=True):
    """A property compares with ``value`` as ``relop`` says."""

    relop: int
    tag: int
    value: PropertyValue


class ComparePropsRestriction(msgspec.Struct, frozen=True, gc=False):
    """Two properties of an object compare as ``relop`` says."""

    relop: int
    tag1: int
    tag2: int


class BitMaskRestriction(msgspec.Struct, frozen=True, gc=False):
    """A property has none (``relop`` 0) or some (1) of the bits."""

    relop: int
    tag: int
    mask: int


class SizeRestriction(msgspec.Struct, frozen=True, gc=False):
    """A property's size in bytes compares as ``relop`` says."""

    relop: int
    tag: int
    size: int


class ExistRestriction(msgspec.Struct, frozen=True, gc=False):
    """An object has a property."""

    reserved1: int
    tag: int
    reserved2: int


class SubRestriction(msgspec.Struct, frozen=True):
    """It holds for the objects that a table property lists."""

    tag: int
    restriction: "Restriction"


Restriction: TypeAlias = (
    AndRestriction
    | OrRestriction
    | NotRestriction
    | ContentRestriction
    | PropertyRestriction
    | ComparePropsRestriction
    | BitMaskRestriction
    | SizeRestriction
    | ExistRestriction
    | SubRestriction
)


class _Kind(NamedTuple):
    """``layout`` is that of the words in place; ``hanging`` says what the last points to ("": no pointer)."""

    rt: int
    type: Callable[..., Restriction]
    layout: Struct
    hanging: str = ""


_HEAD = Struct("<II")  # rt, and once more as the union's tag
_ONE, _TWO, _THREE = Struct("<I"), Struct("<II"), Struct("<III")
_KINDS = (
    _Kind(0, AndRestriction, _TWO, "restrictions"),
    _Kind(1, OrRestriction, _TWO, "restrictions"),
    _Kind(2, NotRestriction, _ONE, "restriction"),
    _Kind(3, ContentRestriction, _THREE, "value"),
    _Kind(4, PropertyRestriction, _THREE, "value"),
    _Kind(5, ComparePropsRestriction, _THREE),
    _Kind(6, BitMaskRestriction, _THREE),
    _Kind(7, SizeRestriction, _THREE),
    _Kind(8, ExistRestriction, _THREE),
    _Kind(9, SubRestriction, _TWO, "restriction"),
)
_KIND_OF = {kind.type: kind for kind in _KINDS}


def read_restriction(reader: NdrReader) -> Restriction:
    """A Restriction_r and all that hangs on it; raises :class:`WireError`."""
    return _read_all(reader, 1, 1)[0]


def write_restriction(writer: NdrWriter, restriction: Restriction) -> None:
    """A Restriction_r and all that hangs on it."""
    _write_all(writer, (restriction,))


def _read_all(reader: NdrReader, count: int, depth: int) -> tuple[Restriction, ...]:
    if depth > MAX_DEPTH:
        raise WireError("Restriction_r", reader.offset, f"more than {MAX_DEPTH} deep")
    in_place = [_read_in_place(reader) for _ in range(count)]
    return tuple([_read_hanging(reader, kind, words, depth) for kind, words in in_place])


def _read_in_place(reader: NdrReader) -> tuple[_Kind, tuple[int, ...]]:
    reader.align(4)
    rt, union_tag = reader.unpack(_HEAD, "Restriction_r")
    if rt >= len(_KINDS) or union_tag != rt:
        raise WireError(
            "rt", reader.offset - _HEAD.size, f"restriction {rt:#x} with the arm of {union_tag:#x}"
        )
    kind = _KINDS[rt]
    return kind, reader.unpack(kind.layout, "RestrictionUnion_r")


def _read_hanging(reader: NdrReader, kind: _Kind, words: tuple[int, ...], depth: int) -> Restriction:
    if not kind.hanging:
        return kind.type(*words)
    *plain, referent = words
    if not referent:
        raise WireError(kind.hanging, reader.offset, "null pointer")
    if kind.hanging == "value":
        return kind.type(*plain, read_value(reader))
    if kind.hanging == "restriction":
        return kind.type(*plain, *_read_all(reader, 1, depth + 1))
    expect_max_count(reader, "cRes", plain[0])
    return kind.type(_read_all(reader, plain[0], depth + 1))


def _write_all(writer: NdrWriter, restrictions: Sequence[Restriction]) -> None:
    writer.align(4)
    for restriction in restrictions:
        kind = _KIND_OF[type(restriction)]
        writer.pack(_HEAD, kind.rt, kind.rt)
        writer.pack(kind.layout, *_words(writer, restriction, kind))
    for restriction in restrictions:
        _write_hanging(writer, restriction)


def _words(writer: NdrWriter, restriction: Restriction, kind: _Kind) -> tuple[int, ...]:
    fields = msgspec.structs.astuple(restriction)
    if not kind.hanging:
        return fields
    plain = (len(fields[0]),) if kind.hanging == "restrictions" else fields[:-1]
    return (*plain, writer.next_referent())


def _write_hanging(writer: NdrWriter, restriction: Restriction) -> None:
    match restriction:
        case AndRestriction() | OrRestriction():
            writer.u32(len(restriction.restrictions))
            _write_all(writer, restriction.restrictions)
        case NotRestriction() | SubRestriction():
            _write_all(writer, (restriction.restriction,))
        case ContentRestriction() | PropertyRestriction():
            write_values(writer, (restriction.value,))
