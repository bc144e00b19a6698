"""RecipientRow ([MS-OXCDATA] 2.8.3): a recipient, as OpenMessage and ModifyRecipients carry it."""

from collections.abc import Sequence
from typing import Final, Self

import msgspec

from loadgen.errors import WireError
from loadgen.wire.buffer import Reader, Writer
from loadgen.wire.properties import PropertyRow, PropertyTag

TO: Final = 1
CC: Final = 2
BCC: Final = 3
"""RecipientType."""

_TYPE_MASK = 0x0007
_X500_DN = 1
_SMTP = 3
_PERSONAL_LISTS = (6, 7)
_EMAIL_ADDRESS = 0x0008
_DISPLAY_NAME = 0x0010
_TRANSMITTABLE_NAME = 0x0020
_TRANSMITTABLE_IS_DISPLAY_NAME = 0x0040
_UNICODE = 0x0200
_SIMPLE_NAME = 0x0400
_OTHER_ADDRESS_TYPE = 0x8000


class RecipientRow(msgspec.Struct, frozen=True, kw_only=True):
    """A recipient; ``flags`` says which of the parts are there, the others keep their defaults.

    ``row`` holds the first columns of the ROP's column list. Make one with :func:`exchange_recipient` or
    :func:`smtp_recipient`.
    """

    flags: int
    row: PropertyRow
    address_prefix_used: int = 0
    display_type: int = 0
    x500_dn: str = ""
    entry_id: bytes = b""
    search_key: bytes = b""
    address_type: str = ""
    email_address: str = ""
    display_name: str = ""
    simple_display_name: str = ""
    transmittable_display_name: str = ""

    def legacy_dn(self, dn_prefix: str) -> str:
        """The whole DN of a recipient in the organisation; ``dn_prefix`` is what EcDoConnectEx returned."""
        return dn_prefix[: self.address_prefix_used] + self.x500_dn

    @classmethod
    def read(cls, reader: Reader, columns: Sequence[PropertyTag]) -> Self:
        """A row over ``columns``; raises :class:`WireError`."""
        flags = reader.u16("RecipientFlags")
        parts: dict[str, int | str | bytes] = {}
        kind = flags & _TYPE_MASK
        if kind == _X500_DN:
            parts["address_prefix_used"] = reader.u8("AddressPrefixUsed")
            parts["display_type"] = reader.u8("DisplayType")
            parts["x500_dn"] = reader.asciiz("X500DN")
        elif kind in _PERSONAL_LISTS:
            parts["entry_id"] = reader.take(reader.u16("EntryIdSize"), "EntryId")
            parts["search_key"] = reader.take(reader.u16("SearchKeySize"), "SearchKey")
        elif _has_address_type(flags):
            parts["address_type"] = reader.asciiz("AddressType")
        read = reader.utf16z if flags & _UNICODE else reader.asciiz
        for bit, name in _NAMES:
            if flags & bit:
                parts[name] = read(name)
        row = PropertyRow.read(reader, _first(reader, columns))
        return cls(flags=flags, row=row, **parts)  # type: ignore[arg-type]  # each part has its field's type

    def write(self, writer: Writer) -> None:
        """The flags and the parts that they name."""
        writer.u16(self.flags)
        kind = self.flags & _TYPE_MASK
        if kind == _X500_DN:
            writer.u8(self.address_prefix_used)
            writer.u8(self.display_type)
            writer.asciiz(self.x500_dn)
        elif kind in _PERSONAL_LISTS:
            for data in (self.entry_id, self.search_key):
                writer.u16(len(data))
                writer.raw(data)
        elif _has_address_type(self.flags):
            writer.asciiz(self.address_type)
        write = writer.utf16z if self.flags & _UNICODE else writer.asciiz
        for bit, name in _NAMES:
            if self.flags & bit:
                write(getattr(self, name))
        writer.u16(len(self.row.columns))
        self.row.write(writer)


_NAMES = (
    (_EMAIL_ADDRESS, "email_address"),
    (_DISPLAY_NAME, "display_name"),
    (_SIMPLE_NAME, "simple_display_name"),
    (_TRANSMITTABLE_NAME, "transmittable_display_name"),
)


def exchange_recipient(
    legacy_dn: str, display_name: str, dn_prefix: str, row: PropertyRow, display_type: int = 0
) -> RecipientRow:
    """A recipient in the organisation, the DN cut by ``dn_prefix`` if it can be; display type 0 is a user."""
    prefix_used = len(dn_prefix) if legacy_dn.startswith(dn_prefix) and len(dn_prefix) < 0x100 else 0
    return RecipientRow(
        flags=_X500_DN | _DISPLAY_NAME | _TRANSMITTABLE_IS_DISPLAY_NAME | _UNICODE | _SIMPLE_NAME,
        row=row,
        address_prefix_used=prefix_used,
        display_type=display_type,
        x500_dn=legacy_dn[prefix_used:],
        display_name=display_name,
        simple_display_name=legacy_dn.rpartition("=")[2],
    )


def smtp_recipient(address: str, display_name: str, row: PropertyRow) -> RecipientRow:
    """A recipient on the Internet."""
    return RecipientRow(
        flags=_SMTP | _EMAIL_ADDRESS | _DISPLAY_NAME | _TRANSMITTABLE_IS_DISPLAY_NAME | _UNICODE,
        row=row,
        email_address=address,
        display_name=display_name,
    )


def _has_address_type(flags: int) -> bool:
    return flags & _TYPE_MASK == 0 and bool(flags & _OTHER_ADDRESS_TYPE)


def _first(reader: Reader, columns: Sequence[PropertyTag]) -> Sequence[PropertyTag]:
    count = reader.u16("RecipientColumnCount")
    if count > len(columns):
        raise WireError("RecipientColumnCount", reader.offset - 2, f"{count} of {len(columns)} columns")
    return columns[:count]
