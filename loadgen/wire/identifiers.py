"""Object ids and entry ids ([MS-OXCDATA] 2.2).

Folder and message ids are the unsigned 64-bit integers that PtypInteger64 properties hold: the replica id in
the low 16 bits, above it the six bytes of a big-endian counter.
"""

from struct import Struct
from typing import Any, Final, Self

import msgspec

from loadgen.errors import WireError
from loadgen.wire.buffer import Reader, Writer

_ID = Struct("<H6s")
_U64 = Struct("<Q")

PUBLIC_PROVIDER: Final = bytes.fromhex("1a447390aa6611cd9bc800aa002fc45a")
"""Provider of entry ids in the public store; in a mailbox it is the MailboxGuid of the logon."""

ADDRESS_BOOK_PROVIDER: Final = bytes.fromhex("dca740c8c042101ab4b908002b2fe182")
ONE_OFF_PROVIDER: Final = bytes.fromhex("812b1fa4bea310199d6e00dd010f5402")

PRIVATE_FOLDER: Final = 1
PUBLIC_FOLDER: Final = 3
MAPPED_PUBLIC_FOLDER: Final = 5
PRIVATE_MESSAGE: Final = 7
PUBLIC_MESSAGE: Final = 9
MAPPED_PUBLIC_MESSAGE: Final = 11

_ONE_OFF_UNICODE = 0x8000


def object_id(replica_id: int, counter: int) -> int:
    """The FID or MID of the object that a replica numbered ``counter`` ([MS-OXCDATA] 2.2.1.1 and 2.2.1.2)."""
    number: int = _U64.unpack(_ID.pack(replica_id, counter.to_bytes(6, "big")))[0]
    return number


def replica_id_of(identifier: int) -> int:
    """The replica id in a FID or MID."""
    return identifier & 0xFFFF


def counter_of(identifier: int) -> int:
    """The counter in a FID or MID."""
    return int.from_bytes(global_counter_of(identifier), "big")


def global_counter_of(identifier: int) -> bytes:
    """The six bytes of the counter in a FID or MID (GLOBCNT)."""
    return identifier.to_bytes(8, "little")[2:]


def long_term_id(replica_guid: bytes, identifier: int) -> bytes:
    """The LongTermID of an object of that replica ([MS-OXCDATA] 2.2.1.3.1)."""
    return replica_guid + global_counter_of(identifier) + bytes(2)


class FolderEntryId(msgspec.Struct, frozen=True, gc=False):
    """Names a folder in any store ([MS-OXCDATA] 2.2.4.1); ids are LongTermIDs of 24 bytes."""

    provider: bytes
    folder_type: int
    folder: bytes

    @classmethod
    def decode(cls, data: bytes) -> Self:
        """From 46 bytes; raises :class:`WireError`."""
        return cls(*_unpack(_FOLDER_ENTRY_ID, data, "Folder EntryID"))

    def encode(self) -> bytes:
        """46 bytes."""
        return _FOLDER_ENTRY_ID.pack(0, self.provider, self.folder_type, self.folder)


class MessageEntryId(msgspec.Struct, frozen=True, gc=False):
    """Names a message in any store ([MS-OXCDATA] 2.2.4.2); ids are LongTermIDs of 24 bytes."""

    provider: bytes
    message_type: int
    folder: bytes
    message: bytes

    @classmethod
    def decode(cls, data: bytes) -> Self:
        """From 70 bytes; raises :class:`WireError`."""
        return cls(*_unpack(_MESSAGE_ENTRY_ID, data, "Message EntryID"))

    def encode(self) -> bytes:
        """70 bytes."""
        return _MESSAGE_ENTRY_ID.pack(0, self.provider, self.message_type, self.folder, self.message)


class AddressBookEntryId(msgspec.Struct, frozen=True, gc=False):
    """An entry of the address book, by its legacy DN ([MS-OXCDATA] 2.2.5.2); display type 0 is a user."""

    legacy_dn: str
    display_type: int = 0

    @classmethod
    def decode(cls, data: bytes) -> Self:
        """Raises :class:`WireError`."""
        reader = Reader(data)
        _expect(reader, ADDRESS_BOOK_PROVIDER, "Address Book EntryID")
        if reader.u32("Version") != 1:
            raise WireError("Version", reader.offset - 4, "is not 1")
        display_type = reader.u32("Type")
        entry_id = cls(reader.asciiz("X500DN"), display_type)
        reader.expect_end("Address Book EntryID")
        return entry_id

    def encode(self) -> bytes:
        """Flags, provider, version, type and the DN."""
        writer = Writer()
        writer.u32(0)
        writer.raw(ADDRESS_BOOK_PROVIDER)
        writer.u32(1)
        writer.u32(self.display_type)
        writer.asciiz(self.legacy_dn)
        return writer.getvalue()


class OneOffEntryId(msgspec.Struct, frozen=True, gc=False):
    """A recipient who is in no address book ([MS-OXCDATA] 2.2.5.1); 0x8000 in ``flags`` is Unicode."""

    display_name: str
    address_type: str
    address: str
    flags: int = _ONE_OFF_UNICODE | 0x0001

    @classmethod
    def decode(cls, data: bytes) -> Self:
        """Raises :class:`WireError`."""
        reader = Reader(data)
        _expect(reader, ONE_OFF_PROVIDER, "One-Off EntryID")
        if reader.u16("Version") != 0:
            raise WireError("Version", reader.offset - 2, "is not 0")
        flags = reader.u16("Flags")
        read = reader.utf16z if flags & _ONE_OFF_UNICODE else reader.asciiz
        entry_id = cls(read("DisplayName"), read("AddressType"), read("EmailAddress"), flags)
        reader.expect_end("One-Off EntryID")
        return entry_id

    def encode(self) -> bytes:
        """Flags, provider, version and the three strings."""
        writer = Writer()
        writer.u32(0)
        writer.raw(ONE_OFF_PROVIDER)
        writer.u16(0)
        writer.u16(self.flags)
        write = writer.utf16z if self.flags & _ONE_OFF_UNICODE else writer.asciiz
        for text in (self.display_name, self.address_type, self.address):
            write(text)
        return writer.getvalue()


_FOLDER_ENTRY_ID = Struct("<I16sH24s")
_MESSAGE_ENTRY_ID = Struct("<I16sH24s24s")


def _unpack(layout: Struct, data: bytes, what: str) -> tuple[Any, ...]:
    reader = Reader(data)
    flags, *fields = reader.unpack(layout, what)
    reader.expect_end(what)
    if flags:
        raise WireError("Flags", 0, f"0x{flags:08X} in a {what}")
    return tuple(fields)


def _expect(reader: Reader, provider: bytes, what: str) -> None:
    if reader.u32("Flags") != 0 or reader.take(16, "ProviderUID") != provider:
        raise WireError("ProviderUID", 0, f"not a {what}")
