"""Layouts from annotations: a ROP's class lists its fields in wire order, each with its form on the wire.

``folder_id: U64`` is an ``int`` for the type checker and eight bytes for :func:`layout_of`. Fields without a
form are left to their class. Runs of fields of fixed size become one :class:`struct.Struct`, so most ROPs are
read and written in one step.
"""

from collections.abc import Iterator, Sequence
from functools import cache
from struct import Struct
from typing import Annotated, Any, Protocol, TypeAlias, get_type_hints

import msgspec

from loadgen.wire.buffer import Reader, Writer
from loadgen.wire.properties import PropertyProblem, PropertyTag, PropertyValue
from loadgen.wire.restrictions import Restriction, read_restriction


class FieldForm(Protocol):
    """How a field of variable size stands on the wire."""

    def read(self, reader: Reader, field: str) -> Any:  # noqa: ANN401 - each form has its own type of value
        """The field's value."""

    def write(self, writer: Writer, value: Any) -> None:  # noqa: ANN401
        """The field's bytes."""


class Fixed(msgspec.Struct, frozen=True):
    """A field of fixed size, by its format character in :mod:`struct`."""

    code: str


U8: TypeAlias = Annotated[int, Fixed("B")]
U16: TypeAlias = Annotated[int, Fixed("H")]
U32: TypeAlias = Annotated[int, Fixed("I")]
U64: TypeAlias = Annotated[int, Fixed("Q")]
I32: TypeAlias = Annotated[int, Fixed("i")]
I64: TypeAlias = Annotated[int, Fixed("q")]
Bool8: TypeAlias = Annotated[bool, Fixed("?")]
Guid: TypeAlias = Annotated[bytes, Fixed("16s")]
LongTermId: TypeAlias = Annotated[bytes, Fixed("24s")]
"""LongTermID: replica GUID, counter, two zero bytes ([MS-OXCDATA] 2.2.1.3.1)."""


class _AsciiText:
    def read(self, reader: Reader, field: str) -> str:
        return reader.asciiz(field)

    def write(self, writer: Writer, value: str) -> None:
        writer.asciiz(value)


class _SizedBytes:
    def read(self, reader: Reader, field: str) -> bytes:
        return reader.take(reader.u16(field), field)

    def write(self, writer: Writer, value: bytes) -> None:
        writer.u16(len(value))
        writer.raw(value)


class _LongSizedBytes:
    def read(self, reader: Reader, field: str) -> bytes:
        return reader.take(reader.u32(field), field)

    def write(self, writer: Writer, value: bytes) -> None:
        writer.u32(len(value))
        writer.raw(value)


class _Array(msgspec.Struct, frozen=True):
    """Elements of one fixed layout behind their u16 count."""

    element: Struct

    def read(self, reader: Reader, field: str) -> tuple[Any, ...]:
        data = reader.take(reader.u16(field) * self.element.size, field)
        return tuple(number for (number,) in self.element.iter_unpack(data))

    def write(self, writer: Writer, value: Sequence[Any]) -> None:
        writer.u16(len(value))
        for element in value:
            writer.pack(self.element, element)


_PROBLEM = Struct("<HII")


class _Problems:
    def read(self, reader: Reader, field: str) -> tuple[PropertyProblem, ...]:
        data = reader.take(reader.u16(field) * _PROBLEM.size, field)
        return tuple(PropertyProblem(*problem) for problem in _PROBLEM.iter_unpack(data))

    def write(self, writer: Writer, value: Sequence[PropertyProblem]) -> None:
        writer.u16(len(value))
        for problem in value:
            writer.pack(_PROBLEM, problem.index, problem.tag, problem.error_code)


class _PropertyValues:
    def read(self, reader: Reader, field: str) -> tuple[PropertyValue, ...]:
        return tuple(PropertyValue.read(reader) for _ in range(reader.u16(field)))

    def write(self, writer: Writer, value: Sequence[PropertyValue]) -> None:
        writer.u16(len(value))
        for property_value in value:
            property_value.write(writer)


class _SizedRestriction:
    """A restriction behind its size; size 0 for none."""

    def read(self, reader: Reader, field: str) -> Restriction | None:
        size = reader.u16(field)
        if size == 0:
            return None
        with reader.limited_to(size, field):
            return read_restriction(reader)

    def write(self, writer: Writer, value: Restriction | None) -> None:
        start = len(writer)
        writer.u16(0)
        if value is not None:
            value.write(writer)
            writer.patch_u16(start, len(writer) - start - 2)


class _Sized(msgspec.Struct, frozen=True):
    """Another form behind the u16 size of what it writes."""

    form: FieldForm

    def read(self, reader: Reader, field: str) -> Any:  # noqa: ANN401 - the value is the inner form's
        with reader.limited_to(reader.u16(field), field):
            return self.form.read(reader, field)

    def write(self, writer: Writer, value: Any) -> None:  # noqa: ANN401
        start = len(writer)
        writer.u16(0)
        self.form.write(writer, value)
        writer.patch_u16(start, len(writer) - start - 2)


Asciiz: TypeAlias = Annotated[str, _AsciiText()]
SizedBytes: TypeAlias = Annotated[bytes, _SizedBytes()]
LongSizedBytes: TypeAlias = Annotated[bytes, _LongSizedBytes()]
"""Bytes behind their size as u32."""

PropertyIds: TypeAlias = Annotated[tuple[int, ...], _Array(Struct("<H"))]
PropertyTags: TypeAlias = Annotated[tuple[PropertyTag, ...], _Array(Struct("<I"))]
ObjectIds: TypeAlias = Annotated[tuple[int, ...], _Array(Struct("<Q"))]
LongTermIds: TypeAlias = Annotated[tuple[bytes, ...], _Array(Struct("<24s"))]
PropertyProblems: TypeAlias = Annotated[tuple[PropertyProblem, ...], _Problems()]
PropertyValues: TypeAlias = Annotated[tuple[PropertyValue, ...], _PropertyValues()]
SizedPropertyValues: TypeAlias = Annotated[tuple[PropertyValue, ...], _Sized(_PropertyValues())]
SizedRestriction: TypeAlias = Annotated[Restriction | None, _SizedRestriction()]


class _Run:
    """Neighbouring fields of fixed size, moved together."""

    __slots__ = ("names", "struct")

    def __init__(self, names: Sequence[str], codes: str) -> None:
        self.names = tuple(names)
        self.struct = Struct("<" + codes)

    def read(self, reader: Reader) -> tuple[Any, ...]:
        return reader.unpack(self.struct, self.names[0])

    def write(self, writer: Writer, message: msgspec.Struct) -> None:
        writer.pack(self.struct, *[getattr(message, name) for name in self.names])


class _Single:
    """One field of variable size."""

    __slots__ = ("form", "name")

    def __init__(self, name: str, form: FieldForm) -> None:
        self.name = name
        self.form = form

    def read(self, reader: Reader) -> tuple[Any, ...]:
        return (self.form.read(reader, self.name),)

    def write(self, writer: Writer, message: msgspec.Struct) -> None:
        self.form.write(writer, getattr(message, self.name))


class Layout:
    """The fields of one class, in wire order."""

    __slots__ = ("_steps",)

    def __init__(self, steps: Sequence[_Run | _Single]) -> None:
        self._steps = tuple(steps)

    def read(self, reader: Reader) -> Iterator[Any]:
        """The values of all fields; raises :class:`WireError`, naming the first field of a run."""
        for step in self._steps:
            yield from step.read(reader)

    def write(self, writer: Writer, message: msgspec.Struct) -> None:
        """All fields of ``message``."""
        for step in self._steps:
            step.write(writer, message)


@cache
def layout_of(message: type[msgspec.Struct]) -> Layout:
    """The layout of a class: those of its fields whose annotation names a form, in the order of the class."""
    hints = get_type_hints(message, include_extras=True)
    steps: list[_Run | _Single] = []
    names: list[str] = []
    codes = ""
    for name in message.__struct_fields__:
        form = getattr(hints[name], "__metadata__", (None,))[0]
        if isinstance(form, Fixed):
            names.append(name)
            codes += form.code
            continue
        if names:
            steps.append(_Run(names, codes))
            names, codes = [], ""
        if form is not None:
            steps.append(_Single(name, form))
    if names:
        steps.append(_Run(names, codes))
    return Layout(steps)
