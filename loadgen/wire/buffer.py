"""The cursor that every decoder reads with, and its mirror for encoders. All integers are little-endian."""

from codecs import utf_16_le_decode, utf_16_le_encode
from collections.abc import Iterator
from contextlib import contextmanager
from struct import Struct
from typing import Any

from loadgen.errors import WireError

_U16 = Struct("<H")
_U32 = Struct("<I")
_I32 = Struct("<i")
_U64 = Struct("<Q")


class Reader:
    """A cursor over ``data``; every read names its field, so that an error can say which one was bad.

    Alignment counts from the start of ``data``. All methods raise :class:`WireError` when the bytes run out.
    """

    __slots__ = ("data", "end", "offset")

    def __init__(self, data: bytes, offset: int = 0) -> None:
        self.data = data
        self.offset = offset
        self.end = len(data)

    @property
    def remaining(self) -> int:
        """Bytes not yet read."""
        return self.end - self.offset

    def _advance(self, size: int, field: str) -> int:
        start = self.offset
        if size > self.end - start:
            raise WireError(field, start, f"needs {size} bytes, {self.end - start} are left")
        self.offset = start + size
        return start

    def u8(self, field: str) -> int:
        """An unsigned byte."""
        return self.data[self._advance(1, field)]

    def u16(self, field: str) -> int:
        """An unsigned 16-bit integer."""
        value: int = _U16.unpack_from(self.data, self._advance(2, field))[0]
        return value

    def u32(self, field: str) -> int:
        """An unsigned 32-bit integer."""
        value: int = _U32.unpack_from(self.data, self._advance(4, field))[0]
        return value

    def i32(self, field: str) -> int:
        """A signed 32-bit integer."""
        value: int = _I32.unpack_from(self.data, self._advance(4, field))[0]
        return value

    def u64(self, field: str) -> int:
        """An unsigned 64-bit integer."""
        value: int = _U64.unpack_from(self.data, self._advance(8, field))[0]
        return value

    def take(self, size: int, field: str) -> bytes:
        """The next ``size`` bytes."""
        start = self.offset
        stop = start + size
        if stop > self.end:
            raise WireError(field, start, f"needs {size} bytes, {self.end - start} are left")
        self.offset = stop
        return self.data[start:stop]

    def rest(self) -> bytes:
        """All bytes up to the end or the limit."""
        return self.take(self.remaining, "rest")

    def unpack(self, layout: Struct, field: str) -> tuple[Any, ...]:
        """A whole fixed layout at once."""
        return layout.unpack_from(self.data, self._advance(layout.size, field))

    def align(self, size: int) -> None:
        """Skip padding up to a multiple of ``size``; what the padding holds is not looked at."""
        self._advance(-self.offset % size, "padding")

    def asciiz(self, field: str) -> str:
        """An 8-bit string up to and including its NUL, as Latin-1 so that every byte survives."""
        end = self.data.find(b"\0", self.offset, self.end)
        if end < 0:
            raise WireError(field, self.offset, "string without end")
        text = self.take(end - self.offset, field).decode("latin-1")
        self.offset += 1
        return text

    def utf16z(self, field: str) -> str:
        """A UTF-16LE string up to and including its 16-bit NUL."""
        start = end = self.offset
        while True:
            end = self.data.find(b"\0\0", end, self.end)
            if end < 0:
                raise WireError(field, start, "string without end")
            if (end - start) % 2 == 0:
                break
            end += 1
        raw = self.take(end - start, field)
        self.offset += 2
        return decode_utf16(raw, field, start)

    def expect_end(self, what: str) -> None:
        """Nothing may be left over: a field forgotten on both sides still trips here."""
        if self.offset != self.end:
            raise WireError(what, self.offset, f"{self.remaining} bytes left over")

    @contextmanager
    def limited_to(self, size: int, what: str) -> Iterator[None]:
        """Read exactly ``size`` bytes inside the block."""
        outer = self.end
        self.end = self._advance(size, what) + size
        self.offset = self.end - size
        yield
        self.expect_end(what)
        self.end = outer


class Writer:
    """Bytes being written, one after the other; alignment counts from the first of them."""

    __slots__ = ("buffer",)

    def __init__(self) -> None:
        self.buffer = bytearray()

    def __len__(self) -> int:
        return len(self.buffer)

    def getvalue(self) -> bytes:
        """All that was written."""
        return bytes(self.buffer)

    def u8(self, value: int) -> None:
        """An unsigned byte."""
        self.buffer.append(value)

    def u16(self, value: int) -> None:
        """An unsigned 16-bit integer."""
        self.buffer += _U16.pack(value)

    def u32(self, value: int) -> None:
        """An unsigned 32-bit integer."""
        self.buffer += _U32.pack(value)

    def i32(self, value: int) -> None:
        """A signed 32-bit integer."""
        self.buffer += _I32.pack(value)

    def u64(self, value: int) -> None:
        """An unsigned 64-bit integer."""
        self.buffer += _U64.pack(value)

    def raw(self, data: bytes) -> None:
        """Bytes as they are."""
        self.buffer += data

    def pack(self, layout: Struct, *values: Any) -> None:  # noqa: ANN401 - a layout takes what its format says
        """A whole fixed layout at once."""
        self.buffer += layout.pack(*values)

    def align(self, size: int) -> None:
        """Zero padding up to a multiple of ``size``."""
        self.buffer += bytes(-len(self.buffer) % size)

    def asciiz(self, text: str) -> None:
        """An 8-bit string (Latin-1) and its NUL."""
        self.buffer += text.encode("latin-1") + b"\0"

    def utf16z(self, text: str) -> None:
        """A UTF-16LE string and its 16-bit NUL."""
        self.buffer += encode_utf16(text) + b"\0\0"

    def patch_u16(self, offset: int, value: int) -> None:
        """Fill in a 16-bit length or count that was not known when its place was written."""
        _U16.pack_into(self.buffer, offset, value)

    def patch_u32(self, offset: int, value: int) -> None:
        """Fill in a 32-bit length or count that was not known when its place was written."""
        _U32.pack_into(self.buffer, offset, value)


def decode_utf16(raw: bytes, field: str, offset: int) -> str:
    """UTF-16LE text of the field at ``offset``; raises :class:`WireError` for what is none."""
    # The codec itself, because bytes.decode looks it up by name: that takes five times as long as to decode.
    try:
        return utf_16_le_decode(raw, "strict", True)[0]
    except UnicodeDecodeError as error:
        raise WireError(field, offset, f"not UTF-16: {error.reason}") from None


def encode_utf16(text: str) -> bytes:
    """UTF-16LE, without an end."""
    return utf_16_le_encode(text)[0]
