"""NDR 2.0 transfer syntax ([C706] 14, [MS-RPCE] 2.2.5): the few constructions that our interfaces use.

Pointers that are embedded in a structure leave only their referent id there; what they point to follows after
the outermost structure. That order is the caller's: read or write all ids first, then all referents.
"""

from struct import Struct

from loadgen.errors import WireError
from loadgen.wire.buffer import Reader, Writer, decode_utf16

_FIRST_REFERENT = 0x00020000
_VARYING = Struct("<III")
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
        self.align(4)
        return super().u32(field)

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
        return self._varying(1, field)

    def string(self, field: str) -> str:
        """``[string] char*``: an 8-bit string whose counts include its NUL, as Latin-1."""
        text = self._varying(1, field).decode("latin-1")
        if not text or text.find("\0") != len(text) - 1:
            raise WireError(field, self.offset, _NUL_EXPECTED)
        return text[:-1]

    def wide_string(self, field: str) -> str:
        """``[string] wchar_t*``: a UTF-16LE string whose counts include its NUL."""
        raw = self._varying(2, field)
        text = decode_utf16(raw, field, self.offset - len(raw))
        if not text or text.find("\0") != len(text) - 1:
            raise WireError(field, self.offset, _NUL_EXPECTED)
        return text[:-1]

    def _varying(self, width: int, field: str) -> bytes:
        # A page of the address book has hundreds of strings: one step here, not a cursor call per count.
        start = self.offset + (-self.offset & 3)
        body = start + _VARYING.size
        if body > self.end:
            raise WireError(field, start, "no room for the counts of an array")
        maximum, offset, actual = _VARYING.unpack_from(self.data, start)
        stop = body + width * actual
        if offset or actual > maximum or stop > self.end:
            raise WireError(field, start, f"offset {offset}, {actual} of at most {maximum} elements")
        self.offset = stop
        return bytes(self.data[body:stop])


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
        self.align(4)
        super().u32(value)

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
        raw = text.encode("utf-16-le") + b"\0\0"
        self._varying(raw, len(raw) // 2)

    def _varying(self, raw: bytes, count: int) -> None:
        buffer = self.buffer
        buffer += bytes(-len(buffer) & 3) + _VARYING.pack(count, 0, count) + raw
