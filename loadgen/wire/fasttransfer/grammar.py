"""A run of elements, read by the rules of what they make up."""

from collections.abc import Sequence

from loadgen.errors import WireError
from loadgen.wire.fasttransfer.elements import Element, Property
from loadgen.wire.fasttransfer.markers import (
    MARKER_NAMES,
    Marker,
    MetaTagFXDelProp,
    MetaTagIncrementalSyncMessagePartial,
)
from loadgen.wire.properties import PropertyTag, Value

_DELIMITERS = (MetaTagFXDelProp, MetaTagIncrementalSyncMessagePartial)
"""Properties that begin something new, as markers do."""


class ElementReader:
    """A cursor over the elements of one object, which begins at ``offset`` of the stream."""

    __slots__ = ("_elements", "_index", "_offset")

    def __init__(self, elements: Sequence[Element], offset: int = 0) -> None:
        self._elements = elements
        self._offset = offset
        self._index = 0

    @property
    def next_marker(self) -> Marker | None:
        """The marker that comes next, if it is one."""
        element = self._peek()
        return element if isinstance(element, int) else None

    def take_marker(self, *expected: Marker) -> Marker:
        """The next element, which has to be one of these; raises :class:`WireError`."""
        element = self._peek()
        if not isinstance(element, int) or element not in expected:
            names = " or ".join(MARKER_NAMES[marker] for marker in expected)
            raise self.error(names, "is missing")
        self._index += 1
        return element

    def take_value(self, tag: PropertyTag) -> Value:
        """The value of the next element, which has to be this property; raises :class:`WireError`."""
        element = self.take_if(tag)
        if element is None:
            raise self.error(f"property 0x{tag:08X}", "is missing")
        return element.value

    def take_if(self, tag: PropertyTag) -> Property | None:
        """The next element if it is this property."""
        element = self._peek()
        if isinstance(element, Property) and element.tag == tag:
            self._index += 1
            return element
        return None

    def take_properties(self) -> tuple[Property, ...]:
        """All properties that follow (propList)."""
        properties: list[Property] = []
        while isinstance(element := self._peek(), Property) and element.tag not in _DELIMITERS:
            properties.append(element)
            self._index += 1
        return tuple(properties)

    def expect_end(self) -> None:
        """Raises :class:`WireError` if something is left."""
        element = self._peek()
        if element is not None:
            raise self.error(_name(element), "does not belong here")

    def error(self, field: str, problem: str) -> WireError:
        """An error about the object; the offset is that of its first byte."""
        return WireError(field, self._offset, f"{problem}, at element {self._index}")

    def _peek(self) -> Element | None:
        return self._elements[self._index] if self._index < len(self._elements) else None


def _name(element: Element) -> str:
    if isinstance(element, Property):
        return f"property 0x{element.tag:08X}"
    return MARKER_NAMES[element] if isinstance(element, int) else type(element).__name__
