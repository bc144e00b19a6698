"""NDR 2.0 transfer syntax ([C706] 14, [MS-RPCE] 2.2.5): the few constructions that our interfaces use.

Pointers that are embedded in a structure leave only their referent id there; what they point to follows after
the outermost structure. That order is the caller's: read or write all ids first, then all referents.
"""

from codecs import utf_16_le_decode
from struct import Struct
from typing import Final

from loadgen.errors import WireError
from loadgen.wire.buffer import Reader, Writer, encode_utf16

_FIRST_REFERENT = 0x00020000
_U32 = Struct("<I")
_VARYING = Struct("<III")
_U32_BEHIND: Final = tuple(Struct(f"<{padding}xI").pack for padding in range(4))
"""By how many bytes of padding it needs."""
_unpack_counts = _VARYING.unpack_from
_NUL_EXPECTED = "string does not end with its only NUL"


class NdrReader(Reader):
    """A :class:`Reader` of one stub, which starts at byte 0 of ``data``."""

    __slots__ = ()

    def u16(self, field: str) -> int:
        """An aligned unsigned 16-bit integer."""
        self.align(2)
        return super().u16(field)

    def u32(self, field: str) -> int:
        """An aligned unsigned 32-bit integer."""
        # Every count and every pointer comes through here: one step, not a call for each part of it.
        start = self.offset + (-self.offset & 3)
        stop = start + 4
        if stop > self.end:
            raise WireError(field, start, f"needs 4 bytes, {max(0, self.end - start)} are left")
        self.offset = stop
        value: int = _U32.unpack_from(self.data, start)[0]
        return value

    def i32(self, field: str) -> int:
        """An aligned signed 32-bit integer."""
        self.align(4)
        return super().i32(field)

    def pointer(self, field: str) -> bool:
        """The referent id of a unique pointer: whether there is something to follow."""
        return self.u32(field) != 0

    def context_handle(self, field: str) -> bytes:
        """A context handle: 20 opaque bytes."""
        self.align(4)
        return self.take(20, field)

    def conformant_bytes(self, field: str) -> bytes:
        """``[size_is] byte[]``: max_count, then the bytes."""
        return self.take(self.u32(field), field)

    def conformant_varying_bytes(self, field: str) -> bytes:
        """``[size_is, length_is] byte[]``: max_count, offset (0), actual_count, then the bytes."""
        maximum, offset, actual = self.u32(field), self.u32(field), self.u32(field)
        if offset or actual > maximum:
            raise WireError(field, self.offset - 12, _bad_counts(maximum, offset, actual))
        return self.take(actual, field)

    def string(self, field: str) -> str:
        """``[string] char*``: an 8-bit string whose counts include its NUL, as Latin-1."""
        text, nul, behind = self.conformant_varying_bytes(field).decode("latin-1").partition("\0")
        if behind or not nul:
            raise WireError(field, self.offset, _NUL_EXPECTED)
        return text

    def wide_string(self, field: str) -> str:
        """``[string] wchar_t*``: a UTF-16LE string whose counts include its NUL."""
        # A page of the address book has hundreds of these: one step, not a call for each part of it.
        data, end, start = self.data, self.end, self.offset + 3 & ~3
        body = start + _VARYING.size
        if body > end:
            raise WireError(field, start, f"needs {_VARYING.size} bytes for its counts")
        maximum, offset, actual = _unpack_counts(data, start)
        self.offset = stop = body + 2 * actual
        if offset or actual > maximum or stop > end:
            raise WireError(field, start, _bad_counts(maximum, offset, actual))
        try:
            text, nul, behind = utf_16_le_decode(data[body:stop], "strict", True)[0].partition("\0")
        except UnicodeDecodeError as error:
            raise WireError(field, body, f"not UTF-16: {error.reason}") from None
        if behind or not nul:
            raise WireError(field, body, _NUL_EXPECTED)
        return text


class NdrWriter(Writer):
    """A :class:`Writer` of one stub, which hands out referent ids as Windows does."""

    __slots__ = ("_referents",)

    def __init__(self) -> None:
        super().__init__()
        self._referents = _FIRST_REFERENT

    def u16(self, value: int) -> None:
        """An aligned unsigned 16-bit integer."""
        self.align(2)
        super().u16(value)

    def u32(self, value: int) -> None:
        """An aligned unsigned 32-bit integer."""
        buffer = self.buffer
        buffer += _U32_BEHIND[-len(buffer) & 3](value)

    def i32(self, value: int) -> None:
        """An aligned signed 32-bit integer."""
        self.align(4)
        super().i32(value)

    def pointer(self, present: bool) -> None:
        """The referent id of a unique pointer; 0 when nothing follows."""
        self.u32(self.next_referent() if present else 0)

    def next_referent(self) -> int:
        """A referent id that this stub does not use yet, for a pointer inside a layout."""
        referent = self._referents
        self._referents += 4
        return referent

    def context_handle(self, handle: bytes) -> None:
        """A context handle: 20 opaque bytes."""
        self.align(4)
        self.raw(handle)

    def conformant_bytes(self, data: bytes) -> None:
        """``[size_is] byte[]``: max_count, then the bytes."""
        self.u32(len(data))
        self.raw(data)

    def conformant_varying_bytes(self, data: bytes) -> None:
        """``[size_is, length_is] byte[]``: max_count, offset (0), actual_count, then the bytes."""
        self._varying(data, len(data))

    def string(self, text: str) -> None:
        """``[string] char*``: an 8-bit string (Latin-1) and its NUL."""
        self.conformant_varying_bytes(text.encode("latin-1") + b"\0")

    def wide_string(self, text: str) -> None:
        """``[string] wchar_t*``: a UTF-16LE string and its NUL."""
        raw = encode_utf16(text) + b"\0\0"
        self._varying(raw, len(raw) // 2)

    def _varying(self, raw: bytes, count: int) -> None:
        buffer = self.buffer
        buffer += bytes(-len(buffer) & 3) + _VARYING.pack(count, 0, count) + raw


def _bad_counts(maximum: int, offset: int, actual: int) -> str:
    return f"offset {offset}, {actual} of at most {maximum} elements"
