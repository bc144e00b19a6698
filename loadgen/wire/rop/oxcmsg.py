"""ROPs of messages and attachments ([MS-OXCMSG] 2.2.3)."""

from collections.abc import Container, Sequence
from typing import Annotated, Final, Self

import msgspec

from loadgen.wire.buffer import Reader, Writer
from loadgen.wire.properties import PropertyTag
from loadgen.wire.recipients import RecipientRow
from loadgen.wire.rop.base import ColumnsOf, InputRequest, OpeningRequest, RopRequest, RopResponse
from loadgen.wire.rop.layout import U8, U16, U32, U64, Bool8, ObjectIds, PropertyTags, layout_of
from loadgen.wire.rop.oxcfold import PartialCompletionResponse
from loadgen.wire.typed_string import TypedString

LOGON_CODE_PAGE: Final = 0x0FFF
"""CodePageId that means the logon's."""

READ_ONLY: Final = 0
READ_WRITE: Final = 1
BEST_ACCESS: Final = 3
"""OpenModeFlags."""

KEEP_OPEN_READ_ONLY: Final = 0x01
KEEP_OPEN_READ_WRITE: Final = 0x02
FORCE_SAVE: Final = 0x04
"""SaveFlags."""

SUPPRESS_RECEIPT: Final = 0x01
CLEAR_READ_FLAG: Final = 0x04
GENERATE_RECEIPT_ONLY: Final = 0x10
CLEAR_NOTIFY_READ: Final = 0x20
CLEAR_NOTIFY_UNREAD: Final = 0x40
"""ReadFlags; 0 marks as read."""

_CLIENT_DATA_SIZE = 24


def _read_sized_recipient(reader: Reader, columns: Sequence[PropertyTag]) -> RecipientRow:
    with reader.limited_to(reader.u16("RecipientRowSize"), "RecipientRow"):
        return RecipientRow.read(reader, columns)


def _write_sized_recipient(writer: Writer, recipient: RecipientRow | None) -> None:
    start = len(writer)
    writer.u16(0)
    if recipient is not None:
        recipient.write(writer)
        writer.patch_u16(start, len(writer) - start - 2)


class OpenRecipientRow(msgspec.Struct, frozen=True):
    """A recipient in the answer to RopOpenMessage ([MS-OXCMSG] 2.2.3.1.2)."""

    recipient_type: int
    code_page_id: int
    recipient: RecipientRow
    reserved: int = 0

    @classmethod
    def read(cls, reader: Reader, columns: Sequence[PropertyTag]) -> Self:
        """Raises :class:`WireError`."""
        kind, code_page, reserved = (
            reader.u8("RecipientType"),
            reader.u16("CodePageId"),
            reader.u16("Reserved"),
        )
        return cls(kind, code_page, _read_sized_recipient(reader, columns), reserved)

    def write(self, writer: Writer) -> None:
        """The fields, the recipient behind its size."""
        writer.u8(self.recipient_type)
        writer.u16(self.code_page_id)
        writer.u16(self.reserved)
        _write_sized_recipient(writer, self.recipient)


class ReadRecipientRow(msgspec.Struct, frozen=True):
    """A recipient in the answer to RopReadRecipients ([MS-OXCMSG] 2.2.3.6.2)."""

    row_id: int
    opened: OpenRecipientRow

    @classmethod
    def read(cls, reader: Reader, columns: Sequence[PropertyTag]) -> Self:
        """Raises :class:`WireError`."""
        return cls(reader.u32("RowId"), OpenRecipientRow.read(reader, columns))

    def write(self, writer: Writer) -> None:
        """RowId, then as RopOpenMessage has it."""
        writer.u32(self.row_id)
        self.opened.write(writer)


class ModifyRecipientRow(msgspec.Struct, frozen=True):
    """A recipient in RopModifyRecipients; None deletes the row ([MS-OXCMSG] 2.2.3.5.1)."""

    row_id: int
    recipient_type: int
    recipient: RecipientRow | None

    @classmethod
    def read(cls, reader: Reader, columns: Sequence[PropertyTag]) -> Self:
        """Raises :class:`WireError`."""
        row_id, kind, size = reader.u32("RowId"), reader.u8("RecipientType"), reader.u16("RecipientRowSize")
        if size == 0:
            return cls(row_id, kind, None)
        with reader.limited_to(size, "RecipientRow"):
            return cls(row_id, kind, RecipientRow.read(reader, columns))

    def write(self, writer: Writer) -> None:
        """The fields, the recipient behind its size."""
        writer.u32(self.row_id)
        writer.u8(self.recipient_type)
        _write_sized_recipient(writer, self.recipient)


class _TypedStringForm:
    def read(self, reader: Reader, field: str) -> TypedString:
        return TypedString.read(reader, field)

    def write(self, writer: Writer, value: TypedString) -> None:
        value.write(writer)


class RopOpenMessageResponse(RopResponse, frozen=True):
    """The message's subject and as many recipients as fit ([MS-OXCROPS] 2.2.6.1)."""

    rop_id = 0x03
    has_named_properties: Bool8
    subject_prefix: Annotated[TypedString, _TypedStringForm()]
    normalized_subject: Annotated[TypedString, _TypedStringForm()]
    recipient_count: U16
    recipient_columns: PropertyTags
    recipients: tuple[OpenRecipientRow, ...]

    @classmethod
    def read(
        cls, reader: Reader, handle_index: int, return_value: int, _columns: Sequence[PropertyTag] = ()
    ) -> Self:
        """The fields behind ReturnValue; raises :class:`WireError`."""
        prefix = tuple(layout_of(cls).read(reader))
        columns = prefix[-1]
        rows = tuple(OpenRecipientRow.read(reader, columns) for _ in range(reader.u8("RowCount")))
        return cls(handle_index, *[*prefix, rows], return_value=return_value)

    def write(self, writer: Writer) -> None:
        """RopId, handle index, ReturnValue and the fields."""
        super().write(writer)
        writer.u8(len(self.recipients))
        for row in self.recipients:
            row.write(writer)


class RopOpenMessageRequest(OpeningRequest, frozen=True, gc=False):
    """Opens a message ([MS-OXCROPS] 2.2.6.1)."""

    rop_id = 0x03
    response = RopOpenMessageResponse
    code_page_id: U16
    folder_id: U64
    open_mode_flags: U8
    message_id: U64


class _OptionalIdForm:
    def read(self, reader: Reader, field: str) -> int | None:
        return reader.u64(field) if reader.u8(field) else None

    def write(self, writer: Writer, value: int | None) -> None:
        writer.u8(value is not None)
        if value is not None:
            writer.u64(value)


class RopCreateMessageResponse(RopResponse, frozen=True, gc=False):
    """The message has its id only from the first save on, as a rule ([MS-OXCROPS] 2.2.6.2)."""

    rop_id = 0x06
    message_id: Annotated[int | None, _OptionalIdForm()] = None


class RopCreateMessageRequest(OpeningRequest, frozen=True, gc=False):
    """Begins a message in a folder ([MS-OXCROPS] 2.2.6.2)."""

    rop_id = 0x06
    response = RopCreateMessageResponse
    code_page_id: U16
    folder_id: U64
    associated_flag: Bool8 = False


class RopSaveChangesMessageResponse(RopResponse, frozen=True, gc=False):
    """The message's id; ``handle_index`` is the request's response handle index ([MS-OXCROPS] 2.2.6.3)."""

    rop_id = 0x0C
    input_handle_index: U8
    message_id: U64


class RopSaveChangesMessageRequest(RopRequest, frozen=True, gc=False):
    """Saves a message ([MS-OXCROPS] 2.2.6.3)."""

    rop_id = 0x0C
    response = RopSaveChangesMessageResponse
    response_handle_index: U8
    input_handle_index: U8
    save_flags: U8


class RopRemoveAllRecipientsResponse(RopResponse, frozen=True, gc=False):
    """[MS-OXCROPS] 2.2.6.4."""

    rop_id = 0x0D


class RopRemoveAllRecipientsRequest(InputRequest, frozen=True, gc=False):
    """Takes all recipients off a message ([MS-OXCROPS] 2.2.6.4)."""

    rop_id = 0x0D
    response = RopRemoveAllRecipientsResponse
    reserved: U32 = 0


class RopModifyRecipientsResponse(RopResponse, frozen=True, gc=False):
    """[MS-OXCROPS] 2.2.6.5."""

    rop_id = 0x0E


class RopModifyRecipientsRequest(InputRequest, frozen=True):
    """Adds, changes and deletes recipients ([MS-OXCROPS] 2.2.6.5)."""

    rop_id = 0x0E
    response = RopModifyRecipientsResponse
    recipient_columns: PropertyTags
    rows: tuple[ModifyRecipientRow, ...]

    @classmethod
    def read(cls, reader: Reader, _public_logons: Container[int] = ()) -> Self:
        """The fields behind RopId; raises :class:`WireError`."""
        prefix = tuple(layout_of(cls).read(reader))
        columns = prefix[-1]
        rows = tuple(ModifyRecipientRow.read(reader, columns) for _ in range(reader.u16("RowCount")))
        return cls(*[*prefix, rows])

    def write(self, writer: Writer) -> None:
        """RopId and the fields."""
        super().write(writer)
        writer.u16(len(self.rows))
        for row in self.rows:
            row.write(writer)


class RopReadRecipientsResponse(RopResponse, frozen=True):
    """More recipients, over the columns that RopOpenMessage told ([MS-OXCROPS] 2.2.6.6)."""

    rop_id = 0x0F
    rows: tuple[ReadRecipientRow, ...]

    @classmethod
    def read(
        cls, reader: Reader, handle_index: int, return_value: int, columns: Sequence[PropertyTag] = ()
    ) -> Self:
        """The fields behind ReturnValue; raises :class:`WireError`."""
        rows = tuple(ReadRecipientRow.read(reader, columns) for _ in range(reader.u8("RowCount")))
        return cls(handle_index, rows, return_value=return_value)

    def write(self, writer: Writer) -> None:
        """RopId, handle index, ReturnValue and the fields."""
        super().write(writer)
        writer.u8(len(self.rows))
        for row in self.rows:
            row.write(writer)


class RopReadRecipientsRequest(InputRequest, frozen=True, gc=False):
    """Reads recipients from a row on ([MS-OXCROPS] 2.2.6.6)."""

    rop_id = 0x0F
    response = RopReadRecipientsResponse
    row_id: U32
    reserved: U16 = 0

    def response_columns(self, columns_of: ColumnsOf) -> Sequence[PropertyTag]:
        """The recipient columns of the message."""
        return columns_of(self.input_handle_index)


class RopSetReadFlagsResponse(PartialCompletionResponse, frozen=True, gc=False):
    """[MS-OXCROPS] 2.2.6.10."""

    rop_id = 0x66


class RopSetReadFlagsRequest(InputRequest, frozen=True, gc=False):
    """Marks messages of a folder as read or not ([MS-OXCROPS] 2.2.6.10)."""

    rop_id = 0x66
    response = RopSetReadFlagsResponse
    want_asynchronous: Bool8
    read_flags: U8
    message_ids: ObjectIds


class PublicReadStatus(msgspec.Struct, frozen=True, gc=False):
    """Whose read state changed, in a public folder."""

    logon_id: int
    client_data: bytes


class _ReadStatusForm:
    def read(self, reader: Reader, field: str) -> PublicReadStatus | None:
        if not reader.u8(field):
            return None
        return PublicReadStatus(reader.u8("LogonId"), reader.take(_CLIENT_DATA_SIZE, "ClientData"))

    def write(self, writer: Writer, value: PublicReadStatus | None) -> None:
        writer.u8(value is not None)
        if value is not None:
            writer.u8(value.logon_id)
            writer.raw(value.client_data)


class RopSetMessageReadFlagResponse(RopResponse, frozen=True, gc=False):
    """``changed`` is told of public folders alone ([MS-OXCROPS] 2.2.6.11)."""

    rop_id = 0x11
    changed: Annotated[PublicReadStatus | None, _ReadStatusForm()] = None


class RopSetMessageReadFlagRequest(RopRequest, frozen=True, gc=False):
    """Marks a message as read or not; ``client_data`` (24) on public logons alone ([MS-OXCROPS] 2.2.6.11)."""

    rop_id = 0x11
    response = RopSetMessageReadFlagResponse
    response_handle_index: U8
    input_handle_index: U8
    read_flags: U8
    client_data: bytes = b""

    @classmethod
    def read(cls, reader: Reader, public_logons: Container[int] = ()) -> Self:
        """The fields behind RopId; raises :class:`WireError`."""
        prefix = tuple(layout_of(cls).read(reader))
        logon_id = prefix[0]
        data = reader.take(_CLIENT_DATA_SIZE, "ClientData") if logon_id in public_logons else b""
        return cls(*[*prefix, data])

    def write(self, writer: Writer) -> None:
        """RopId and the fields."""
        super().write(writer)
        writer.raw(self.client_data)


class RopOpenAttachmentResponse(RopResponse, frozen=True, gc=False):
    """[MS-OXCROPS] 2.2.6.12."""

    rop_id = 0x22


class RopOpenAttachmentRequest(OpeningRequest, frozen=True, gc=False):
    """Opens an attachment ([MS-OXCROPS] 2.2.6.12)."""

    rop_id = 0x22
    response = RopOpenAttachmentResponse
    open_attachment_flags: U8
    attachment_id: U32


class RopCreateAttachmentResponse(RopResponse, frozen=True, gc=False):
    """The attachment's number ([MS-OXCROPS] 2.2.6.13)."""

    rop_id = 0x23
    attachment_id: U32


class RopCreateAttachmentRequest(OpeningRequest, frozen=True, gc=False):
    """Begins an attachment of a message ([MS-OXCROPS] 2.2.6.13)."""

    rop_id = 0x23
    response = RopCreateAttachmentResponse


class RopSaveChangesAttachmentResponse(RopResponse, frozen=True, gc=False):
    """``handle_index`` is the request's response handle index ([MS-OXCROPS] 2.2.6.15)."""

    rop_id = 0x25


class RopSaveChangesAttachmentRequest(RopRequest, frozen=True, gc=False):
    """Saves an attachment into its message ([MS-OXCROPS] 2.2.6.15)."""

    rop_id = 0x25
    response = RopSaveChangesAttachmentResponse
    response_handle_index: U8
    input_handle_index: U8
    save_flags: U8


class RopGetAttachmentTableResponse(RopResponse, frozen=True, gc=False):
    """Unlike other tables, without a count of rows ([MS-OXCROPS] 2.2.6.17)."""

    rop_id = 0x21


class RopGetAttachmentTableRequest(OpeningRequest, frozen=True, gc=False):
    """Opens the table of attachments ([MS-OXCROPS] 2.2.6.17)."""

    rop_id = 0x21
    response = RopGetAttachmentTableResponse
    table_flags: U8 = 0


REQUESTS = (
    RopOpenMessageRequest,
    RopCreateMessageRequest,
    RopSaveChangesMessageRequest,
    RopRemoveAllRecipientsRequest,
    RopModifyRecipientsRequest,
    RopReadRecipientsRequest,
    RopSetReadFlagsRequest,
    RopSetMessageReadFlagRequest,
    RopOpenAttachmentRequest,
    RopCreateAttachmentRequest,
    RopSaveChangesAttachmentRequest,
    RopGetAttachmentTableRequest,
)
