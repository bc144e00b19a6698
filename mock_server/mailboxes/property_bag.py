"""Properties as the store keeps them, and as a client may ask for them ([MS-OXCDATA] 2.8 and 2.11).

Strings are stored as Unicode only; a client asks for either form, or for no type at all.
"""

from collections.abc import Iterable
from typing import Final, Protocol

from loadgen.wire.properties import (
    MULTIPLE,
    PropertyTag,
    PtypBoolean,
    PtypInteger16,
    PtypString,
    PtypString8,
    PtypUnspecified,
    TypedPropertyValue,
    Value,
)

_STORED_AS: Final = {PtypString8: PtypString, MULTIPLE | PtypString8: MULTIPLE | PtypString}
_SMALL: Final = {PtypBoolean: 1, PtypInteger16: 2}
_INTEGER32: Final = 4
_LARGE: Final = 8


class PropertyBag(Protocol):
    """Whatever has properties: a message, a draft, an attachment, a folder, a store."""

    def get(self, tag: PropertyTag) -> Value:
        """The value stored or computed under exactly this tag; None if there is none."""

    def tags(self) -> Iterable[PropertyTag]:
        """The tags of all properties, without those that are computed for tables only."""


def stored_tag(tag: PropertyTag) -> PropertyTag:
    """The tag under which a value is kept: strings are Unicode."""
    kind = tag & 0xFFFF
    return tag & ~0xFFFF | _STORED_AS.get(kind, kind)


def read_property(bag: PropertyBag, tag: PropertyTag) -> Value:
    """What a client gets for ``tag``, in the type that it names; None if it isn't there."""
    kind = tag & 0xFFFF
    if kind == PtypUnspecified:
        return _read_untyped(bag, tag >> 16)
    if kind not in _STORED_AS:
        return bag.get(tag)
    value = bag.get(stored_tag(tag))
    return value if value is None else _to_8_bit(value)


def value_size(tag: PropertyTag, value: Value) -> int:
    """Bytes that the value counts for in the size of its object."""
    if isinstance(value, str):
        return 2 * len(value) + 2
    if isinstance(value, bytes):
        return len(value)
    if isinstance(value, tuple):
        return sum(value_size(tag & ~MULTIPLE, element) for element in value)
    return _SMALL.get(tag & 0xFFFF, _INTEGER32 if isinstance(value, int) and value < 1 << 32 else _LARGE)


def _read_untyped(bag: PropertyBag, property_id: int) -> TypedPropertyValue | None:
    for tag in bag.tags():
        if tag >> 16 == property_id:
            return TypedPropertyValue(tag & 0xFFFF, bag.get(tag))
    return None


def _to_8_bit(value: str | tuple[str, ...]) -> str | tuple[str, ...]:
    if isinstance(value, tuple):
        return tuple(element.encode("latin-1", "replace").decode("latin-1") for element in value)
    return value.encode("latin-1", "replace").decode("latin-1")
