"""Names of properties with ids from 0x8000 ([MS-OXCDATA] 2.6.1)."""

from typing import Final, Self

import msgspec

from loadgen.errors import WireError
from loadgen.wire.buffer import Reader, Writer

_TAIL = bytes.fromhex("00000000c000000000000046")
PS_MAPI: Final = bytes.fromhex("28030200") + _TAIL
PS_PUBLIC_STRINGS: Final = bytes.fromhex("29030200") + _TAIL
PS_INTERNET_HEADERS: Final = bytes.fromhex("86030200") + _TAIL
PSETID_Appointment: Final = bytes.fromhex("02200600") + _TAIL
PSETID_Task: Final = bytes.fromhex("03200600") + _TAIL
PSETID_Address: Final = bytes.fromhex("04200600") + _TAIL
PSETID_Common: Final = bytes.fromhex("08200600") + _TAIL

_BY_NUMBER = 0x00
_BY_STRING = 0x01
_NO_NAME = 0xFF


class PropertyName(msgspec.Struct, frozen=True, gc=False):
    """A number or a string within a property set; neither for an id that has no name."""

    guid: bytes
    lid: int | None = None
    name: str | None = None

    @classmethod
    def read(cls, reader: Reader) -> Self:
        """Raises :class:`WireError`."""
        kind, guid = reader.u8("Kind"), reader.take(16, "GUID")
        if kind == _BY_NUMBER:
            return cls(guid, lid=reader.u32("LID"))
        if kind == _BY_STRING:
            with reader.limited_to(reader.u8("NameSize"), "Name"):
                return cls(guid, name=reader.utf16z("Name"))
        if kind == _NO_NAME:
            return cls(guid)
        raise WireError("Kind", reader.offset - 17, f"0x{kind:02X} is no kind of name")

    def write(self, writer: Writer) -> None:
        """Kind, property set and what names the property in it."""
        if self.lid is not None:
            writer.u8(_BY_NUMBER)
            writer.raw(self.guid)
            writer.u32(self.lid)
        elif self.name is not None:
            text = self.name.encode("utf-16-le") + bytes(2)
            writer.u8(_BY_STRING)
            writer.raw(self.guid)
            writer.u8(len(text))
            writer.raw(text)
        else:
            writer.u8(_NO_NAME)
            writer.raw(self.guid)
