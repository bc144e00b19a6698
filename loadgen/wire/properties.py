"""Property types, tags, values and rows ([MS-OXCDATA] 2.8, 2.9, 2.11) as ROPs carry them: packed, unaligned.

Python values: ``int`` for every integer, time (FILETIME), currency and error code, all unsigned, as their
bits are; ``float``, ``bool``, ``str``; ``bytes`` for binary, server id and GUID (16, in wire order); a tuple
for multiple values; ``None`` for a type that has no value. 8-bit strings are Latin-1, so every byte survives.
"""

from collections.abc import Callable, Sequence
from struct import Struct
from typing import Any, Final, NamedTuple, Self, TypeAlias

import msgspec

from loadgen.errors import WireError
from loadgen.wire.buffer import Reader, Writer

PropertyTag: TypeAlias = int
"""``id << 16 | type``; ids from 0x8000 are named properties, which every logon numbers anew."""

Value: TypeAlias = Any
"""What a property holds; the tag's type says which of the Python types it is."""

PtypUnspecified: Final = 0x0000
PtypNull: Final = 0x0001
PtypInteger16: Final = 0x0002
PtypInteger32: Final = 0x0003
PtypFloating32: Final = 0x0004
PtypFloating64: Final = 0x0005
PtypCurrency: Final = 0x0006
PtypFloatingTime: Final = 0x0007
PtypErrorCode: Final = 0x000A
PtypBoolean: Final = 0x000B
PtypObject: Final = 0x000D
PtypInteger64: Final = 0x0014
PtypString8: Final = 0x001E
PtypString: Final = 0x001F
PtypTime: Final = 0x0040
PtypGuid: Final = 0x0048
PtypServerId: Final = 0x00FB
PtypBinary: Final = 0x0102
MULTIPLE: Final = 0x1000
"""Added to a type: a tuple of such values."""

PtypMultipleInteger16: Final = MULTIPLE | PtypInteger16
PtypMultipleInteger32: Final = MULTIPLE | PtypInteger32
PtypMultipleInteger64: Final = MULTIPLE | PtypInteger64
PtypMultipleString8: Final = MULTIPLE | PtypString8
PtypMultipleString: Final = MULTIPLE | PtypString
PtypMultipleTime: Final = MULTIPLE | PtypTime
PtypMultipleGuid: Final = MULTIPLE | PtypGuid
PtypMultipleBinary: Final = MULTIPLE | PtypBinary


def property_type(tag: PropertyTag) -> int:
    """The type in a tag."""
    return tag & 0xFFFF


def property_id(tag: PropertyTag) -> int:
    """The id in a tag."""
    return tag >> 16


_FILETIME_UNIT_PER_S = 10_000_000
_FILETIME_OF_UNIX_EPOCH = 11_644_473_600 * _FILETIME_UNIT_PER_S


def filetime_from_unix(seconds: float) -> int:
    """A FILETIME (100 ns since 1601, UTC) from seconds since 1970."""
    return round(seconds * _FILETIME_UNIT_PER_S) + _FILETIME_OF_UNIX_EPOCH


def unix_from_filetime(filetime: int) -> float:
    """Seconds since 1970 from a FILETIME."""
    return (filetime - _FILETIME_OF_UNIX_EPOCH) / _FILETIME_UNIT_PER_S


class PropertyValue(msgspec.Struct, frozen=True, gc=False):
    """TaggedPropertyValue: a tag and what the property holds ([MS-OXCDATA] 2.11.4)."""

    tag: PropertyTag
    value: Value

    @classmethod
    def read(cls, reader: Reader) -> Self:
        """Raises :class:`WireError`, also for a type that this module does not know."""
        tag = reader.u32("PropertyTag")
        return cls(tag, read_value(reader, tag & 0xFFFF))

    def write(self, writer: Writer) -> None:
        """The tag, then the value."""
        writer.u32(self.tag)
        write_value(writer, self.tag & 0xFFFF, self.value)


class TypedPropertyValue(msgspec.Struct, frozen=True, gc=False):
    """What a column of type PtypUnspecified holds: a value and the type that it has ([MS-OXCDATA] 2.11.3)."""

    property_type: int
    value: Value


class PropertyError(msgspec.Struct, frozen=True, gc=False):
    """Stands in a row for a value that the server could not give ([MS-OXCDATA] 2.11.5)."""

    code: int


class PropertyProblem(msgspec.Struct, frozen=True, gc=False):
    """Why one property of a ROP could not be set or deleted ([MS-OXCDATA] 2.7)."""

    index: int
    tag: PropertyTag
    error_code: int


class _ValueCodec(NamedTuple):
    read: Callable[[Reader], Value]
    write: Callable[[Writer, Value], None]


def _fixed(layout: Struct) -> _ValueCodec:
    def read(reader: Reader) -> Value:
        return reader.unpack(layout, "PropertyValue")[0]

    def write(writer: Writer, value: Value) -> None:
        writer.pack(layout, value)

    return _ValueCodec(read, write)


def _write_binary(writer: Writer, value: bytes) -> None:
    writer.u16(len(value))
    writer.raw(value)


def _read_typed(reader: Reader) -> TypedPropertyValue:
    actual = reader.u16("PropertyType")
    if actual == PtypUnspecified:
        raise WireError("PropertyType", reader.offset - 2, "a value whose own type is unspecified")
    return TypedPropertyValue(actual, read_value(reader, actual))


def _write_typed(writer: Writer, value: TypedPropertyValue) -> None:
    writer.u16(value.property_type)
    write_value(writer, value.property_type, value.value)


def _multiple(single: _ValueCodec) -> _ValueCodec:
    def read(reader: Reader) -> tuple[Value, ...]:
        return tuple(single.read(reader) for _ in range(reader.u32("Count")))

    def write(writer: Writer, value: Sequence[Value]) -> None:
        writer.u32(len(value))
        for element in value:
            single.write(writer, element)

    return _ValueCodec(read, write)


_NOTHING = _ValueCodec(lambda _reader: None, lambda _writer, _value: None)
_BINARY = _ValueCodec(
    lambda reader: reader.take(reader.u16("Count"), "PropertyValue"),
    _write_binary,
)
_SINGLE = {
    PtypInteger16: _fixed(Struct("<H")),
    PtypInteger32: _fixed(Struct("<I")),
    PtypFloating32: _fixed(Struct("<f")),
    PtypFloating64: _fixed(Struct("<d")),
    PtypCurrency: _fixed(Struct("<Q")),
    PtypFloatingTime: _fixed(Struct("<d")),
    PtypInteger64: _fixed(Struct("<Q")),
    PtypString8: _ValueCodec(lambda reader: reader.asciiz("PropertyValue"), Writer.asciiz),
    PtypString: _ValueCodec(lambda reader: reader.utf16z("PropertyValue"), Writer.utf16z),
    PtypTime: _fixed(Struct("<Q")),
    PtypGuid: _fixed(Struct("<16s")),
    PtypBinary: _BINARY,
}
_CODECS = {
    PtypUnspecified: _ValueCodec(_read_typed, _write_typed),
    PtypNull: _NOTHING,
    PtypErrorCode: _fixed(Struct("<I")),
    PtypBoolean: _fixed(Struct("<?")),
    PtypObject: _NOTHING,  # opened by a ROP of its own
    PtypServerId: _BINARY,
    **_SINGLE,
    **{MULTIPLE | property_type: _multiple(codec) for property_type, codec in _SINGLE.items()},
}


def read_value(reader: Reader, property_type: int) -> Value:
    """The value of a property of ``property_type``; raises :class:`WireError`, also for an unknown type."""
    codec = _CODECS.get(property_type)
    if codec is None:
        raise WireError("PropertyType", reader.offset, f"0x{property_type:04X} is not a type of values")
    return codec.read(reader)


def write_value(writer: Writer, property_type: int, value: Value) -> None:
    """The value of a property of ``property_type``."""
    _CODECS[property_type].write(writer, value)


_STANDARD = 0
_FLAGGED = 1
_VALUE_FOLLOWS = 0x00
_VALUE_ABSENT = 0x01
_VALUE_IS_ERROR = 0x0A


class PropertyRow(msgspec.Struct, frozen=True):
    """The values of ``columns`` for one object ([MS-OXCDATA] 2.8.1): all there, or each with a flag.

    In ``values`` stand :class:`PropertyError` for an error, ``None`` for a flagged value that is absent, and
    :class:`TypedPropertyValue` where the column's type is PtypUnspecified. :meth:`of` picks the form.
    """

    columns: tuple[PropertyTag, ...]
    values: tuple[Value, ...]
    flagged: bool

    @classmethod
    def of(cls, columns: Sequence[PropertyTag], values: Sequence[Value]) -> Self:
        """A row in the short form if every column has a value, else in the flagged one."""
        flagged = any(value is None or isinstance(value, PropertyError) for value in values)
        return cls(tuple(columns), tuple(values), flagged)

    def get(self, tag: PropertyTag, default: Value = None) -> Value:
        """What column ``tag`` holds; ``default`` if there is no such column, no value, or an error."""
        for column, value in zip(self.columns, self.values, strict=True):
            if column == tag:
                return default if value is None or isinstance(value, PropertyError) else value
        return default

    @classmethod
    def read(cls, reader: Reader, columns: Sequence[PropertyTag]) -> Self:
        """A row over ``columns``; raises :class:`WireError`."""
        form = reader.u8("Flag")
        if form not in (_STANDARD, _FLAGGED):
            raise WireError("Flag", reader.offset - 1, f"{form} is no form of a row")
        read = read_value if form == _STANDARD else _read_flagged
        return cls(tuple(columns), tuple(read(reader, tag & 0xFFFF) for tag in columns), form == _FLAGGED)

    def write(self, writer: Writer) -> None:
        """The flag byte and the values."""
        writer.u8(_FLAGGED if self.flagged else _STANDARD)
        write = _write_flagged if self.flagged else write_value
        for tag, value in zip(self.columns, self.values, strict=True):
            write(writer, tag & 0xFFFF, value)


def _read_flagged(reader: Reader, column_type: int) -> Value:
    actual = column_type or reader.u16("PropertyType")
    flag = reader.u8("Flag")
    if flag == _VALUE_FOLLOWS:
        value = read_value(reader, actual)
        return value if column_type else TypedPropertyValue(actual, value)
    if flag == _VALUE_ABSENT:
        return None
    if flag == _VALUE_IS_ERROR:
        return PropertyError(reader.u32("PropertyValue"))
    raise WireError("Flag", reader.offset - 1, f"0x{flag:02X} does not say what follows")


def _write_flagged(writer: Writer, column_type: int, value: Value) -> None:
    if isinstance(value, TypedPropertyValue):
        writer.u16(value.property_type)
        writer.u8(_VALUE_FOLLOWS)
        write_value(writer, value.property_type, value.value)
        return
    if column_type == PtypUnspecified:
        writer.u16(PtypErrorCode if isinstance(value, PropertyError) else PtypNull)
    if value is None:
        writer.u8(_VALUE_ABSENT)
    elif isinstance(value, PropertyError):
        writer.u8(_VALUE_IS_ERROR)
        writer.u32(value.code)
    else:
        writer.u8(_VALUE_FOLLOWS)
        write_value(writer, column_type, value)


PidTagImportance: Final = 0x00170003
PidTagMessageClass: Final = 0x001A001F
PidTagOriginatorDeliveryReportRequested: Final = 0x0023000B
PidTagPriority: Final = 0x00260003
PidTagReadReceiptRequested: Final = 0x0029000B
PidTagSensitivity: Final = 0x00360003
PidTagSubject: Final = 0x0037001F
PidTagClientSubmitTime: Final = 0x00390040
PidTagSentRepresentingSearchKey: Final = 0x003B0102
PidTagSubjectPrefix: Final = 0x003D001F
PidTagReceivedByEntryId: Final = 0x003F0102
PidTagReceivedByName: Final = 0x0040001F
PidTagSentRepresentingEntryId: Final = 0x00410102
PidTagSentRepresentingName: Final = 0x0042001F
PidTagReceivedRepresentingEntryId: Final = 0x00430102
PidTagReceivedRepresentingName: Final = 0x0044001F
PidTagSentRepresentingAddressType: Final = 0x0064001F
PidTagSentRepresentingEmailAddress: Final = 0x0065001F
PidTagConversationTopic: Final = 0x0070001F
PidTagConversationIndex: Final = 0x00710102
PidTagReceivedByAddressType: Final = 0x0075001F
PidTagReceivedByEmailAddress: Final = 0x0076001F
PidTagTransportMessageHeaders: Final = 0x007D001F
PidTagRecipientType: Final = 0x0C150003
PidTagSenderEntryId: Final = 0x0C190102
PidTagSenderName: Final = 0x0C1A001F
PidTagSenderSearchKey: Final = 0x0C1D0102
PidTagSenderAddressType: Final = 0x0C1E001F
PidTagSenderEmailAddress: Final = 0x0C1F001F
PidTagDeleteAfterSubmit: Final = 0x0E01000B
PidTagDisplayBcc: Final = 0x0E02001F
PidTagDisplayCc: Final = 0x0E03001F
PidTagDisplayTo: Final = 0x0E04001F
PidTagMessageDeliveryTime: Final = 0x0E060040
PidTagMessageFlags: Final = 0x0E070003
PidTagMessageSize: Final = 0x0E080003
PidTagSentMailEntryId: Final = 0x0E0A0102
PidTagMessageRecipients: Final = 0x0E12000D
PidTagMessageAttachments: Final = 0x0E13000D
PidTagMessageStatus: Final = 0x0E170003
PidTagHasAttachments: Final = 0x0E1B000B
PidTagNormalizedSubject: Final = 0x0E1D001F
PidTagRtfInSync: Final = 0x0E1F000B
PidTagAttachSize: Final = 0x0E200003
PidTagAttachNumber: Final = 0x0E210003
PidTagAccess: Final = 0x0FF40003
PidTagInstanceKey: Final = 0x0FF60102
PidTagMappingSignature: Final = 0x0FF80102
PidTagRecordKey: Final = 0x0FF90102
PidTagStoreRecordKey: Final = 0x0FFA0102
PidTagObjectType: Final = 0x0FFE0003
PidTagEntryId: Final = 0x0FFF0102
PidTagBody: Final = 0x1000001F
PidTagRtfCompressed: Final = 0x10090102
PidTagHtml: Final = 0x10130102
PidTagNativeBodyInfo: Final = 0x10160003
PidTagInternetMessageId: Final = 0x1035001F
PidTagInternetReferences: Final = 0x1039001F
PidTagInReplyToId: Final = 0x1042001F
PidTagIconIndex: Final = 0x10800003
PidTagFlagStatus: Final = 0x10900003
PidTagRowId: Final = 0x30000003
PidTagDisplayName: Final = 0x3001001F
PidTagAddressType: Final = 0x3002001F
PidTagEmailAddress: Final = 0x3003001F
PidTagComment: Final = 0x3004001F
PidTagCreationTime: Final = 0x30070040
PidTagLastModificationTime: Final = 0x30080040
PidTagSearchKey: Final = 0x300B0102
PidTagTargetEntryId: Final = 0x30100102
PidTagStoreSupportMask: Final = 0x340D0003
PidTagFolderType: Final = 0x36010003
PidTagContentCount: Final = 0x36020003
PidTagContentUnreadCount: Final = 0x36030003
PidTagSubfolders: Final = 0x360A000B
PidTagContainerClass: Final = 0x3613001F
PidTagIpmAppointmentEntryId: Final = 0x36D00102
PidTagIpmContactEntryId: Final = 0x36D10102
PidTagIpmJournalEntryId: Final = 0x36D20102
PidTagIpmNoteEntryId: Final = 0x36D30102
PidTagIpmTaskEntryId: Final = 0x36D40102
PidTagRemindersOnlineEntryId: Final = 0x36D50102
PidTagIpmDraftsEntryId: Final = 0x36D70102
PidTagAdditionalRenEntryIds: Final = 0x36D81102
PidTagFreeBusyEntryIds: Final = 0x36E41102
PidTagAttachDataObject: Final = 0x3701000D
PidTagAttachDataBinary: Final = 0x37010102
PidTagAttachExtension: Final = 0x3703001F
PidTagAttachFilename: Final = 0x3704001F
PidTagAttachMethod: Final = 0x37050003
PidTagAttachLongFilename: Final = 0x3707001F
PidTagRenderingPosition: Final = 0x370B0003
PidTagAttachMimeTag: Final = 0x370E001F
PidTagAttachContentId: Final = 0x3712001F
PidTagAttachFlags: Final = 0x37140003
PidTagDisplayType: Final = 0x39000003
PidTagSmtpAddress: Final = 0x39FE001F
PidTagAddressBookDisplayNamePrintable: Final = 0x39FF001F
PidTagAccount: Final = 0x3A00001F
PidTagGivenName: Final = 0x3A06001F
PidTagBusinessTelephoneNumber: Final = 0x3A08001F
PidTagSurname: Final = 0x3A11001F
PidTagPostalAddress: Final = 0x3A15001F
PidTagCompanyName: Final = 0x3A16001F
PidTagTitle: Final = 0x3A17001F
PidTagDepartmentName: Final = 0x3A18001F
PidTagOfficeLocation: Final = 0x3A19001F
PidTagSendRichInfo: Final = 0x3A40000B
PidTagSendInternetEncoding: Final = 0x3A710003
PidTagInternetCodepage: Final = 0x3FDE0003
PidTagMessageLocaleId: Final = 0x3FF10003
PidTagMessageCodepage: Final = 0x3FFD0003
PidTagRecipientResourceState: Final = 0x5FDE0003
PidTagRecipientOrder: Final = 0x5FDF0003
PidTagRecipientDisplayName: Final = 0x5FF6001F
PidTagRecipientEntryId: Final = 0x5FF70102
PidTagRecipientFlags: Final = 0x5FFD0003
PidTagRecipientTrackStatus: Final = 0x5FFF0003
PidTagSourceKey: Final = 0x65E00102
PidTagParentSourceKey: Final = 0x65E10102
PidTagChangeKey: Final = 0x65E20102
PidTagPredecessorChangeList: Final = 0x65E30102
PidTagMailboxOwnerEntryId: Final = 0x661B0102
PidTagMailboxOwnerName: Final = 0x661C001F
PidTagHierarchyServer: Final = 0x6633001F
PidTagLocalCommitTimeMax: Final = 0x670A0040
PidTagDeletedCountTotal: Final = 0x670B0003
PidTagFolderId: Final = 0x67480014
PidTagParentFolderId: Final = 0x67490014
PidTagMid: Final = 0x674A0014
PidTagInstID: Final = 0x674D0014
PidTagInstanceNum: Final = 0x674E0003
PidTagChangeNumber: Final = 0x67A40014
PidTagAssociated: Final = 0x67AA000B
PidTagFreeBusyPublishStart: Final = 0x68470003
PidTagFreeBusyPublishEnd: Final = 0x68480003
PidTagFreeBusyMessageEmailAddress: Final = 0x6849001F
PidTagScheduleInfoMonthsMerged: Final = 0x684F1003
PidTagScheduleInfoFreeBusyMerged: Final = 0x68501102
PidTagScheduleInfoMonthsTentative: Final = 0x68511003
PidTagScheduleInfoFreeBusyTentative: Final = 0x68521102
PidTagScheduleInfoMonthsBusy: Final = 0x68531003
PidTagScheduleInfoFreeBusyBusy: Final = 0x68541102
PidTagScheduleInfoMonthsAway: Final = 0x68551003
PidTagScheduleInfoFreeBusyAway: Final = 0x68561102
PidTagFreeBusyRangeTimestamp: Final = 0x68680040
