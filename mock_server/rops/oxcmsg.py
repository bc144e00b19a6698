"""Opening, composing and saving messages and attachments ([MS-OXCMSG] 3.2.5)."""

from collections.abc import Iterable, Mapping
from typing import Final

from loadgen.wire.buffer import Writer
from loadgen.wire.properties import (
    PidTagNormalizedSubject,
    PidTagSubjectPrefix,
    PropertyTag,
    PtypObject,
    PtypUnspecified,
)
from loadgen.wire.rop import oxcmsg as wire
from loadgen.wire.rop.base import RopRequest, RopResponse
from loadgen.wire.typed_string import TypedString
from mock_server.mailboxes.message import READ, UNSENT, Attachment, MessageContent, Recipient
from mock_server.rops.call import (
    INVALID_PARAMETER,
    NOT_FOUND,
    NOT_SUPPORTED,
    Handler,
    RopCall,
    RopError,
)
from mock_server.rops.messages import AttachmentObject, MessageObject
from mock_server.rops.objects import FolderObject, find_logon
from mock_server.rops.oxcfold import find_messages

_SOFT_DELETED: Final = 4
_OPEN_MODES: Final = (wire.READ_ONLY, wire.READ_WRITE, wire.BEST_ACCESS)
_FIRST_NAMED: Final = 0x8000
_UNICODE_CODE_PAGE: Final = 1200
_FIXED_PART: Final = 64
"""Bytes of an answer beside what varies in size."""

_MOST_ROWS: Final = 0xFE
_NEW: Final = MessageContent({})


def open_message(call: RopCall, request: wire.RopOpenMessageRequest) -> RopResponse:
    """RopOpenMessage ([MS-OXCMSG] 3.2.5.1)."""
    logon = find_logon(call, request.input_handle_index)
    message = logon.folder(request.folder_id).message(request.message_id)
    if message is None or request.open_mode_flags & _SOFT_DELETED:
        raise RopError(NOT_FOUND)
    if request.open_mode_flags not in _OPEN_MODES:
        raise RopError(INVALID_PARAMETER)
    writable = request.open_mode_flags != wire.READ_ONLY
    opened = MessageObject(logon, message, is_new=False, writable=writable)
    call.open(request.output_handle_index, opened)
    content = message.content
    return wire.RopOpenMessageResponse(
        request.output_handle_index,
        has_named_properties=any(tag >> 16 >= _FIRST_NAMED for tag in content.properties),
        subject_prefix=TypedString.of(content.properties.get(PidTagSubjectPrefix)),
        normalized_subject=TypedString.of(content.properties.get(PidTagNormalizedSubject)),
        recipient_count=len(content.recipients),
        recipient_columns=content.recipient_columns,
        recipients=tuple(
            row.opened for row in _rows_that_fit(content.recipients, content.recipient_columns, call.room)
        ),
    )


def _rows_that_fit(
    recipients: Iterable[Recipient], columns: tuple[PropertyTag, ...], room: int
) -> list[wire.ReadRecipientRow]:
    room -= _FIXED_PART + 4 * len(columns)
    rows: list[wire.ReadRecipientRow] = []
    for recipient in recipients:
        opened = wire.OpenRecipientRow(recipient.recipient_type, _UNICODE_CODE_PAGE, recipient.row)
        row = wire.ReadRecipientRow(recipient.row_id, opened)
        writer = Writer()
        row.write(writer)
        room -= len(writer)
        if room < 0 or len(rows) == _MOST_ROWS:
            break
        rows.append(row)
    return rows


def read_recipients(call: RopCall, request: wire.RopReadRecipientsRequest) -> RopResponse:
    """RopReadRecipients ([MS-OXCMSG] 3.2.5.6): from a row on, as many as fit."""
    content = call.find(request.input_handle_index, MessageObject).content
    recipients = [recipient for recipient in content.recipients if recipient.row_id >= request.row_id]
    if not recipients:
        raise RopError(NOT_FOUND)
    rows = _rows_that_fit(recipients, (), call.room)
    return wire.RopReadRecipientsResponse(request.input_handle_index, tuple(rows))


def create_message(call: RopCall, request: wire.RopCreateMessageRequest) -> RopResponse:
    """RopCreateMessage ([MS-OXCMSG] 3.2.5.2): in its folder only from the first save on."""
    logon = find_logon(call, request.input_handle_index)
    folder = logon.folder(request.folder_id)
    message = logon.store.new_message(folder, _NEW, associated=request.associated_flag)
    message.flags = READ | UNSENT
    call.open(request.output_handle_index, MessageObject(logon, message, is_new=True, writable=True))
    return wire.RopCreateMessageResponse(request.output_handle_index)


def save_changes_message(call: RopCall, request: wire.RopSaveChangesMessageRequest) -> RopResponse:
    """RopSaveChangesMessage ([MS-OXCMSG] 3.2.5.3)."""
    opened = call.find(request.input_handle_index, MessageObject)
    opened.save(force=bool(request.save_flags & wire.FORCE_SAVE))
    opened.writable = not request.save_flags & wire.KEEP_OPEN_READ_ONLY
    return wire.RopSaveChangesMessageResponse(
        request.response_handle_index, request.input_handle_index, opened.message.message_id
    )


def remove_all_recipients(call: RopCall, request: wire.RopRemoveAllRecipientsRequest) -> RopResponse:
    """RopRemoveAllRecipients ([MS-OXCMSG] 3.2.5.4)."""
    call.find(request.input_handle_index, MessageObject).edit().recipients.clear()
    return wire.RopRemoveAllRecipientsResponse(request.input_handle_index)


def modify_recipients(call: RopCall, request: wire.RopModifyRecipientsRequest) -> RopResponse:
    """RopModifyRecipients ([MS-OXCMSG] 3.2.5.5)."""
    draft = call.find(request.input_handle_index, MessageObject).edit()
    if any(tag & 0xFFFF in (PtypUnspecified, PtypObject) for tag in request.recipient_columns):
        raise RopError(INVALID_PARAMETER)
    if not call.session.store.manners.refused_columns.isdisjoint(request.recipient_columns):
        raise RopError(INVALID_PARAMETER)
    for row in request.rows:
        if row.recipient is None:
            draft.recipients.pop(row.row_id, None)
    draft.set_recipients(
        request.recipient_columns,
        [
            Recipient(row.row_id, row.recipient_type, row.recipient)
            for row in request.rows
            if row.recipient is not None
        ],
    )
    return wire.RopModifyRecipientsResponse(request.input_handle_index)


def set_read_flags(call: RopCall, request: wire.RopSetReadFlagsRequest) -> RopResponse:
    """RopSetReadFlags ([MS-OXCMSG] 3.2.5.10); there are no receipts to send."""
    opened = call.find(request.input_handle_index, FolderObject)
    messages, partial = find_messages(opened.folder, request.message_ids)
    if not request.read_flags & wire.GENERATE_RECEIPT_ONLY:
        read = not request.read_flags & wire.CLEAR_READ_FLAG
        opened.logon.store.set_read(messages, read=read)
    return wire.RopSetReadFlagsResponse(request.input_handle_index, partial)


def set_message_read_flag(call: RopCall, request: wire.RopSetMessageReadFlagRequest) -> RopResponse:
    """RopSetMessageReadFlag ([MS-OXCMSG] 3.2.5.11)."""
    opened = call.find(request.input_handle_index, MessageObject)
    if opened.is_new or opened.message.deleted:
        raise RopError(NOT_SUPPORTED)
    changed = 0
    if not request.read_flags & wire.GENERATE_RECEIPT_ONLY:
        read = not request.read_flags & wire.CLEAR_READ_FLAG
        changed = opened.logon.store.set_read([opened.message], read=read)
    status = wire.PublicReadStatus(call.logon_id, request.client_data)
    is_told = changed and opened.logon.mailbox is None
    return wire.RopSetMessageReadFlagResponse(request.response_handle_index, status if is_told else None)


def open_attachment(call: RopCall, request: wire.RopOpenAttachmentRequest) -> RopResponse:
    """RopOpenAttachment ([MS-OXCMSG] 3.2.5.12)."""
    parent = call.find(request.input_handle_index, MessageObject)
    if request.open_attachment_flags not in _OPEN_MODES:
        raise RopError(INVALID_PARAMETER)
    writable = request.open_attachment_flags != wire.READ_ONLY and parent.writable
    opened = AttachmentObject(parent, parent.attachment(request.attachment_id), writable=writable)
    call.open(request.output_handle_index, opened)
    return wire.RopOpenAttachmentResponse(request.output_handle_index)


def create_attachment(call: RopCall, request: wire.RopCreateAttachmentRequest) -> RopResponse:
    """RopCreateAttachment ([MS-OXCMSG] 3.2.5.13)."""
    parent = call.find(request.input_handle_index, MessageObject)
    number = parent.edit().new_attachment_number()
    call.open(request.output_handle_index, AttachmentObject(parent, Attachment(number, {}), writable=True))
    return wire.RopCreateAttachmentResponse(request.output_handle_index, number)


def save_changes_attachment(call: RopCall, request: wire.RopSaveChangesAttachmentRequest) -> RopResponse:
    """RopSaveChangesAttachment ([MS-OXCMSG] 3.2.5.15)."""
    opened = call.find(request.input_handle_index, AttachmentObject)
    opened.save()
    opened.writable = not request.save_flags & wire.KEEP_OPEN_READ_ONLY
    return wire.RopSaveChangesAttachmentResponse(request.response_handle_index)


HANDLERS: Final[Mapping[type[RopRequest], Handler]] = {
    wire.RopOpenMessageRequest: open_message,
    wire.RopReadRecipientsRequest: read_recipients,
    wire.RopCreateMessageRequest: create_message,
    wire.RopSaveChangesMessageRequest: save_changes_message,
    wire.RopRemoveAllRecipientsRequest: remove_all_recipients,
    wire.RopModifyRecipientsRequest: modify_recipients,
    wire.RopSetReadFlagsRequest: set_read_flags,
    wire.RopSetMessageReadFlagRequest: set_message_read_flag,
    wire.RopOpenAttachmentRequest: open_attachment,
    wire.RopCreateAttachmentRequest: create_attachment,
    wire.RopSaveChangesAttachmentRequest: save_changes_attachment,
}
