"""The elements of a stream, and how each is written ([MS-OXCFXICS] 2.2.4.1).

Values are those of :mod:`loadgen.wire.properties`, in a form of their own: a Boolean takes two bytes, and
every value of variable size has its size in bytes before it, as u32. A type of 0x8000 and a code page is a
string.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from struct import Struct
from typing import Any, Final, NamedTuple, TypeAlias

import msgspec

from loadgen.errors import LocalProtocolError
from loadgen.wire.buffer import decode_utf16, encode_utf16
from loadgen.wire.fasttransfer.markers import Marker, MetaTagIdsetGiven
from loadgen.wire.properties import (
    MULTIPLE,
    PropertyTag,
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
    Value,
)
from loadgen.wire.property_names import PropertyName

FIRST_NAMED_ID: Final = 0x8000
CODE_PAGE: Final = 0x8000
"""In a type: the other bits are the code page of a string."""

_UTF16 = 1200


class Property(msgspec.Struct, frozen=True, gc=False):
    """A property with its whole value; ``name`` for ids from 0x8000, which mean nothing to the other side."""

    tag: PropertyTag
    value: Value
    name: PropertyName | None = None


class ValueStart(msgspec.Struct, frozen=True, gc=False):
    """Stands for a property whose value is too large to be had whole: ``size`` bytes come in ValueParts.

    They are bytes as in the stream, for a string with its terminator.
    """

    tag: PropertyTag
    size: int
    name: PropertyName | None = None


class ValuePart(msgspec.Struct, frozen=True, gc=False):
    """The next bytes of a large value."""

    data: bytes


Element: TypeAlias = Marker | Property | ValueStart | ValuePart


class FixedForm(NamedTuple):
    """A value of fixed size."""

    layout: Struct


class VariableForm(NamedTuple):
    """A value behind its size; ``decode`` takes the bytes and, for an error, their offset."""

    decode: Callable[[bytes, int], Value]
    encode: Callable[[Any], bytes]


class MultipleForm(NamedTuple):
    """A count and so many values."""

    element: FixedForm | VariableForm


ValueForm: TypeAlias = FixedForm | VariableForm | MultipleForm


def _decode_wide(raw: bytes, offset: int) -> str:
    text = decode_utf16(raw, "PropertyValue", offset)
    return text.removesuffix("\0")  # large strings of old servers have no terminator


def _decode_narrow(raw: bytes, _offset: int) -> str:
    return raw.removesuffix(b"\0").decode("latin-1")


_BYTES = VariableForm(lambda raw, _offset: raw, lambda value: value)
_WIDE = VariableForm(_decode_wide, lambda text: encode_utf16(text) + b"\0\0")
_NARROW = VariableForm(_decode_narrow, lambda text: text.encode("latin-1") + b"\0")

_REPEATABLE: Mapping[int, FixedForm | VariableForm] = {
    PtypInteger16: FixedForm(Struct("<H")),
    PtypInteger32: FixedForm(Struct("<I")),
    PtypFloating32: FixedForm(Struct("<f")),
    PtypFloating64: FixedForm(Struct("<d")),
    PtypCurrency: FixedForm(Struct("<Q")),
    PtypFloatingTime: FixedForm(Struct("<d")),
    PtypInteger64: FixedForm(Struct("<Q")),
    PtypTime: FixedForm(Struct("<Q")),
    PtypGuid: FixedForm(Struct("<16s")),
    PtypString8: _NARROW,
    PtypString: _WIDE,
    PtypBinary: _BYTES,
}
_FORMS: Mapping[int, ValueForm] = {
    PtypErrorCode: FixedForm(Struct("<I")),
    PtypBoolean: FixedForm(Struct("<?x")),
    PtypObject: _BYTES,
    PtypServerId: _BYTES,
    **_REPEATABLE,
    **{MULTIPLE | property_type: MultipleForm(form) for property_type, form in _REPEATABLE.items()},
}


def value_form(tag: PropertyTag) -> ValueForm | None:
    """How the value of a property stands in the stream; None if the tag's type is none."""
    if tag == MetaTagIdsetGiven:
        return _BYTES
    property_type = tag & 0xFFFF
    if property_type & CODE_PAGE:
        return _WIDE if property_type == CODE_PAGE | _UTF16 else _NARROW
    return _FORMS.get(property_type)


Atom: TypeAlias = tuple[bytes, bool]
"""Bytes, and whether a buffer may end within them."""

_U32 = Struct("<I")
_NUMBER_NAME = Struct("<I16sBI")
_STRING_NAME = Struct("<I16sB")
_BY_NUMBER = 0x00
_BY_STRING = 0x01


def atoms(element: Element) -> list[Atom]:
    """What an element looks like on the wire."""
    if isinstance(element, Property):
        return [(_head(element.tag, element.name), False), *_value_atoms(element)]
    if isinstance(element, ValueStart):
        return [(_head(element.tag, element.name), False), (_U32.pack(element.size), False)]
    if isinstance(element, ValuePart):
        return [(element.data, True)]
    return [(_U32.pack(element), False)]


def encode(elements: Iterable[Element]) -> bytes:
    """A whole stream."""
    return b"".join([data for element in elements for data, _divisible in atoms(element)])


def _head(tag: PropertyTag, name: PropertyName | None) -> bytes:
    if tag >> 16 < FIRST_NAMED_ID:
        return _U32.pack(tag)
    if name is not None and name.lid is not None:
        return _NUMBER_NAME.pack(tag, name.guid, _BY_NUMBER, name.lid)
    if name is not None and name.name is not None:
        return _STRING_NAME.pack(tag, name.guid, _BY_STRING) + encode_utf16(name.name) + b"\0\0"
    raise LocalProtocolError(f"property 0x{tag:08X} needs a name in a stream")


def _value_atoms(element: Property) -> Iterator[Atom]:
    form = value_form(element.tag)
    if isinstance(form, MultipleForm):
        yield _U32.pack(len(element.value)), False
        for value in element.value:
            yield from _single_atoms(form.element, value)
    elif form is not None:
        yield from _single_atoms(form, element.value)
    else:
        raise LocalProtocolError(f"property 0x{element.tag:08X} has a type that no stream carries")


def _single_atoms(form: FixedForm | VariableForm, value: Value) -> Iterator[Atom]:
    if isinstance(form, FixedForm):
        yield form.layout.pack(value), False
    else:
        data = form.encode(value)
        yield _U32.pack(len(data)), False
        yield data, True
