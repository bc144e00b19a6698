"""Bytes of a stream, cut anywhere, to elements."""

from collections.abc import Generator, Iterator
from struct import Struct

from loadgen.errors import WireError
from loadgen.wire.buffer import decode_utf16
from loadgen.wire.fasttransfer.elements import (
    FIRST_NAMED_ID,
    Element,
    FixedForm,
    MultipleForm,
    Property,
    ValuePart,
    ValueStart,
    VariableForm,
    value_form,
)
from loadgen.wire.fasttransfer.markers import MARKER_NAMES, Marker
from loadgen.wire.properties import PropertyTag, Value
from loadgen.wire.property_names import PropertyName

_U32 = Struct("<I")
_NAMED = Struct("<16sB")
_BY_NUMBER = 0x00
_BY_STRING = 0x01
_LARGEST_NAME = 512
"""Bytes of a property's name; a longer one is refused, so that a stream without an end is never kept."""


class FastTransferParser:
    """Takes the buffers of one stream, in order, whatever their size ([MS-OXCFXICS] 2.2.4.1).

    Only a value that is not complete is kept, and each of its bytes is copied twice at most. One of more than
    ``largest_whole_value`` bytes is not kept at all, but passed on in parts as it comes. After a
    :class:`WireError` nothing more comes out.
    """

    def __init__(self, largest_whole_value: int | None = None) -> None:
        self._largest_whole_value = largest_whole_value
        self._data = b""
        self._position = 0
        self._start = 0  # of the data, in the stream
        self._boundary = 0
        self._steps = self._run()

    @property
    def offset(self) -> int:
        """Where the last complete element ends in the stream."""
        return self._boundary

    def feed(self, data: bytes) -> list[Element]:
        """The elements that are complete now; raises :class:`WireError`."""
        return list(self.elements(data))

    def elements(self, data: bytes) -> Iterator[Element]:
        """The same, one by one; all have to be taken before more data comes."""
        if self._position:
            self._start += self._position
            self._data = self._data[self._position :] + data
            self._position = 0
        else:
            self._data += data
        while (element := next(self._steps, None)) is not None:
            yield element

    def finish(self) -> None:
        """Raises :class:`WireError` if the stream stopped within an element."""
        end = self._start + len(self._data)
        if self._boundary != end:
            raise WireError(
                "Element", self._boundary, f"the stream ends {end - self._boundary} bytes into it"
            )

    def _run(self) -> Generator[Element | None, None, None]:
        """Yields None when it needs more data."""
        while True:
            word = yield from self._number()
            if word in MARKER_NAMES:
                yield self._complete(Marker(word))
                continue
            name = (yield from self._name()) if word >> 16 >= FIRST_NAMED_ID else None
            form = value_form(word)
            if form is None:
                raise WireError(
                    "PropertyType", self._boundary, f"0x{word & 0xFFFF:04X} has no form in a stream"
                )
            if isinstance(form, VariableForm):
                yield from self._variable(word, name, form)
            else:
                read = self._multiple(form) if isinstance(form, MultipleForm) else self._fixed(form)
                value = yield from read
                yield self._complete(Property(word, value, name))

    def _complete(self, element: Element) -> Element:
        self._boundary = self._start + self._position
        return element

    def _variable(
        self, tag: PropertyTag, name: PropertyName | None, form: VariableForm
    ) -> Generator[Element | None, None, None]:
        size = yield from self._number()
        if self._largest_whole_value is not None and size > self._largest_whole_value:
            yield ValueStart(tag, size, name)
            yield from self._parts(size)
        else:
            value = yield from self._sized(size, form)
            yield self._complete(Property(tag, value, name))

    def _parts(self, size: int) -> Generator[Element | None, None, None]:
        while size:
            part = self._data[self._position : self._position + size]
            self._position += len(part)
            size -= len(part)
            if size == 0:
                yield self._complete(ValuePart(part))
            else:
                if part:
                    yield ValuePart(part)
                yield None

    def _sized(self, size: int, form: VariableForm) -> Generator[None, None, Value]:
        offset = self._start + self._position
        raw = yield from self._take(size)
        return form.decode(raw, offset)

    def _fixed(self, form: FixedForm) -> Generator[None, None, Value]:
        raw = yield from self._take(form.layout.size)
        return form.layout.unpack(raw)[0]

    def _multiple(self, form: MultipleForm) -> Generator[None, None, tuple[Value, ...]]:
        count = yield from self._number()
        if isinstance(form.element, FixedForm):
            raw = yield from self._take(count * form.element.layout.size)
            return tuple(value for (value,) in form.element.layout.iter_unpack(raw))
        values: list[Value] = []
        while len(values) < count:
            size = yield from self._number()
            values.append((yield from self._sized(size, form.element)))
        return tuple(values)

    def _name(self) -> Generator[None, None, PropertyName]:
        guid, kind = _NAMED.unpack((yield from self._take(_NAMED.size)))
        if kind == _BY_NUMBER:
            return PropertyName(guid, lid=(yield from self._number()))
        if kind == _BY_STRING:
            return PropertyName(guid, name=(yield from self._string_name()))
        raise WireError("Kind", self._boundary, f"0x{kind:02X} is no kind of name")

    def _string_name(self) -> Generator[None, None, str]:
        while True:
            raw = self._data[self._position : self._position + _LARGEST_NAME]
            end = raw.find(b"\0\0")
            while end > 0 and end % 2:
                end = raw.find(b"\0\0", end + 1)
            if end >= 0:
                break
            if len(raw) == _LARGEST_NAME:
                raise WireError("Name", self._boundary, "string without end")
            yield None
        self._position += end + 2
        return decode_utf16(raw[:end], "Name", self._boundary)

    def _number(self) -> Generator[None, None, int]:
        while len(self._data) - self._position < _U32.size:
            yield None
        number: int = _U32.unpack_from(self._data, self._position)[0]
        self._position += _U32.size
        return number

    def _take(self, size: int) -> Generator[None, None, bytes]:
        """The next bytes; they are put aside as they come, so that none is copied over and over."""
        taken = self._data[self._position : self._position + size]
        self._position += len(taken)
        if len(taken) == size:
            return taken
        parts = [taken]
        size -= len(taken)
        while size:
            yield None
            part = self._data[self._position : self._position + size]
            self._position += len(part)
            size -= len(part)
            parts.append(part)
        return b"".join(parts)
