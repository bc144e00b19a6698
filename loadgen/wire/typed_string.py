"""TypedString ([MS-OXCDATA] 2.11.7): text in the shortest form that holds it."""

from typing import Final, Self

import msgspec

from loadgen.errors import WireError
from loadgen.wire.buffer import Reader, Writer

NONE: Final = 0x00
EMPTY: Final = 0x01
STRING8: Final = 0x02
REDUCED_UNICODE: Final = 0x03
UNICODE: Final = 0x04
"""StringType."""


class TypedString(msgspec.Struct, frozen=True, gc=False):
    """Text and its form; :meth:`of` picks one."""

    string_type: int
    text: str = ""

    @classmethod
    def of(cls, text: str | None) -> Self:
        """None for a property that is not there, then the shortest form."""
        if text is None:
            return cls(NONE)
        if not text:
            return cls(EMPTY)
        return cls(REDUCED_UNICODE if max(text) < "\u0100" else UNICODE, text)

    @classmethod
    def read(cls, reader: Reader, field: str) -> Self:
        """Raises :class:`WireError`."""
        kind = reader.u8(field)
        if kind in (NONE, EMPTY):
            return cls(kind)
        if kind in (STRING8, REDUCED_UNICODE):
            return cls(kind, reader.asciiz(field))
        if kind == UNICODE:
            return cls(kind, reader.utf16z(field))
        raise WireError(field, reader.offset - 1, f"0x{kind:02X} is no StringType")

    def write(self, writer: Writer) -> None:
        """StringType and the text."""
        writer.u8(self.string_type)
        if self.string_type == UNICODE:
            writer.utf16z(self.text)
        elif self.string_type in (STRING8, REDUCED_UNICODE):
            writer.asciiz(self.text)
