"""Whole objects as a stream, down and up ([MS-OXCFXICS] 3.2.5.8)."""

from collections.abc import Callable, Iterable, Mapping
from typing import Final

from msgspec.structs import replace

from loadgen.errors import WireError
from loadgen.wire.fasttransfer.elements import Element
from loadgen.wire.fasttransfer.markers import StartTopFld
from loadgen.wire.fasttransfer.source import FastTransferSource
from loadgen.wire.properties import PidTagMessageAttachments, PidTagMessageRecipients
from loadgen.wire.rop import oxcfxics_transfer as wire
from loadgen.wire.rop.base import RopRequest, RopResponse
from mock_server.mailboxes.session import ServerObject
from mock_server.mailboxes.stream_content import Selection, StreamContent, narrowed
from mock_server.rops.call import (
    CALL_FAILED,
    CORRUPT_DATA,
    INVALID_PARAMETER,
    NOT_FOUND,
    NOT_SUPPORTED,
    OBJECT_DELETED,
    BufferTooSmallError,
    Handler,
    RopCall,
    RopError,
)
from mock_server.rops.message_upload import EmbeddedMessageError, MessageUpload
from mock_server.rops.messages import AttachmentObject, MessageObject
from mock_server.rops.objects import FolderObject, find_holder
from mock_server.rops.oxcfold import find_messages

_PARTS_OF_MESSAGES: Final = (PidTagMessageRecipients, PidTagMessageAttachments)
_OF_ONE_OBJECT: Final = (wire.SOURCE_COPY_TO, wire.SOURCE_COPY_PROPERTIES)
_COPY_MOVE: Final = 0x01
_COPY_SUBFOLDERS: Final = 0x10
"""CopyFlags ([MS-OXCFXICS] 2.2.3.1.1)."""

_SEND_OPTIONS: Final = (
    wire.SEND_UNICODE
    | wire.SEND_USE_CPID
    | wire.SEND_RECOVER_MODE
    | wire.SEND_FORCE_UNICODE
    | wire.SEND_PARTIAL_ITEM
)
_HEADER: Final = 15
"""Bytes of an answer to RopFastTransferSourceGetBuffer beside the stream's own."""

_ENOUGH_TO_GO_ON: Final = 256
"""With less room than this a buffer waits for the next call."""


class StreamSource(ServerObject):
    """A stream to be downloaded: what ``make`` returns when the first bytes are asked for.

    It is made as it is read. ``unicode`` says which strings the client wants.
    """

    def __init__(self, make: Callable[[], Iterable[Element]], *, unicode: bool) -> None:
        super().__init__()
        self._make = make
        self._unicode = unicode
        self._source: FastTransferSource | None = None

    @property
    def is_done(self) -> bool:
        """Whether all of it has been read."""
        return self._source is not None and self._source.exhausted

    def read(self, size: int) -> bytes:
        """Up to ``size`` bytes; none, though not done, if not even the next value fits."""
        if self._source is None:
            elements = self._make()
            self._source = FastTransferSource(elements if self._unicode else narrowed(elements))
        return self._source.read(size)


class StreamTarget(ServerObject):
    """A message into which a stream is uploaded; after an error it takes nothing more."""

    def __init__(self, upload: MessageUpload) -> None:
        super().__init__()
        self.upload = upload
        self.has_failed = False


def wants_unicode(send_options: int) -> bool:
    """Whether SendOptions asks for Unicode strings; raises :class:`RopError` for unknown bits."""
    if send_options & ~_SEND_OPTIONS:
        raise RopError(INVALID_PARAMETER)
    return bool(send_options & (wire.SEND_UNICODE | wire.SEND_FORCE_UNICODE))


def get_buffer(call: RopCall, request: wire.RopFastTransferSourceGetBufferRequest) -> RopResponse:
    """RopFastTransferSourceGetBuffer ([MS-OXCFXICS] 3.2.5.8.1.1): as much as was asked for and fits."""
    source = call.find(request.input_handle_index, StreamSource)
    wanted, room = _wanted(request), call.room - _HEADER
    if wanted > room and room < _ENOUGH_TO_GO_ON:
        raise BufferTooSmallError(wanted + _HEADER)
    data = source.read(min(wanted, room))
    if source.is_done:
        status = wire.TRANSFER_DONE
    else:
        status = wire.TRANSFER_PARTIAL if data else wire.TRANSFER_NO_ROOM
    return wire.RopFastTransferSourceGetBufferResponse(
        request.input_handle_index, status, int(source.is_done), 1, data=data
    )


def rest_of_transfer(
    _call: RopCall,
    request: wire.RopFastTransferSourceGetBufferRequest,
    response: wire.RopFastTransferSourceGetBufferResponse,
) -> wire.RopFastTransferSourceGetBufferRequest | None:
    """The next buffer; None if there is no more, or the size that was asked for is reached."""
    if response.transfer_status != wire.TRANSFER_PARTIAL:
        return None
    if request.buffer_size == wire.MAXIMUM_BUFFER_SIZE_FOLLOWS:
        return request
    left = request.buffer_size - len(response.data)
    return replace(request, buffer_size=left) if left else None


def _wanted(request: wire.RopFastTransferSourceGetBufferRequest) -> int:
    follows = request.buffer_size == wire.MAXIMUM_BUFFER_SIZE_FOLLOWS
    return request.maximum_buffer_size if follows else request.buffer_size


def copy_to(call: RopCall, request: wire.RopFastTransferSourceCopyToRequest) -> RopResponse:
    """RopFastTransferSourceCopyTo ([MS-OXCFXICS] 3.2.5.8.1.2): all but what is named, at level 0 with all
    that is in it.
    """
    _check_flags(request.copy_flags)
    selection = Selection.of(request.property_tags)
    _open(call, request, request.send_options, selection, with_parts=not request.level)
    return wire.RopFastTransferSourceCopyToResponse(request.output_handle_index)


def copy_properties(call: RopCall, request: wire.RopFastTransferSourceCopyPropertiesRequest) -> RopResponse:
    """RopFastTransferSourceCopyProperties ([MS-OXCFXICS] 3.2.5.8.1.3)."""
    _check_flags(request.copy_flags)
    selection = Selection.of(request.property_tags, only=True)
    _open(call, request, request.send_options, selection, with_parts=not request.level)
    return wire.RopFastTransferSourceCopyPropertiesResponse(request.output_handle_index)


def _check_flags(copy_flags: int) -> None:
    """Nothing is moved by streams: another store may not have taken it."""
    if copy_flags & _COPY_MOVE:
        raise RopError(NOT_SUPPORTED)


_CopyRequest = wire.RopFastTransferSourceCopyToRequest | wire.RopFastTransferSourceCopyPropertiesRequest


def _open(
    call: RopCall, request: _CopyRequest, send_options: int, selection: Selection, *, with_parts: bool
) -> None:
    unicode = wants_unicode(send_options)
    opened = find_holder(call, request.input_handle_index)
    if not with_parts:
        selection = selection.without(*_PARTS_OF_MESSAGES)
    content = StreamContent(call.session.store, selection)
    elements: Iterable[Element]
    if isinstance(opened, MessageObject):
        if opened.message.deleted:
            raise RopError(OBJECT_DELETED)
        elements = content.message(opened.message, opened.content).elements()
    elif isinstance(opened, AttachmentObject):
        elements = content.attachment_properties(opened.attachment)
    elif isinstance(opened, FolderObject):
        whole = with_parts and not selection.only
        elements = (
            content.folder_content(opened.folder, subfolders=True)
            if whole
            else content.folder_properties(opened.folder)
        )
    else:
        raise RopError(NOT_SUPPORTED)
    call.open(request.output_handle_index, StreamSource(lambda: elements, unicode=unicode))


def copy_messages(call: RopCall, request: wire.RopFastTransferSourceCopyMessagesRequest) -> RopResponse:
    """RopFastTransferSourceCopyMessages ([MS-OXCFXICS] 3.2.5.8.1.4)."""
    _check_flags(request.copy_flags)
    unicode = wants_unicode(request.send_options)
    opened = call.find(request.input_handle_index, FolderObject)
    messages, partial = find_messages(opened.folder, request.message_ids)
    if partial:
        raise RopError(NOT_FOUND)
    elements = StreamContent(call.session.store, Selection()).messages(messages)
    call.open(request.output_handle_index, StreamSource(lambda: elements, unicode=unicode))
    return wire.RopFastTransferSourceCopyMessagesResponse(request.output_handle_index)


def copy_folder(call: RopCall, request: wire.RopFastTransferSourceCopyFolderRequest) -> RopResponse:
    """RopFastTransferSourceCopyFolder ([MS-OXCFXICS] 3.2.5.8.1.5)."""
    _check_flags(request.copy_flags)
    unicode = wants_unicode(request.send_options)
    folder = call.find(request.input_handle_index, FolderObject).folder
    content = StreamContent(call.session.store, Selection())
    elements = content.folder(folder, StartTopFld, subfolders=bool(request.copy_flags & _COPY_SUBFOLDERS))
    call.open(request.output_handle_index, StreamSource(lambda: elements, unicode=unicode))
    return wire.RopFastTransferSourceCopyFolderResponse(request.output_handle_index)


def destination_configure(
    call: RopCall, request: wire.RopFastTransferDestinationConfigureRequest
) -> RopResponse:
    """RopFastTransferDestinationConfigure ([MS-OXCFXICS] 3.2.5.8.2.1), for messages."""
    _check_flags(request.copy_flags)
    opened = find_holder(call, request.input_handle_index)
    if not wire.SOURCE_COPY_TO <= request.source_operation <= wire.SOURCE_COPY_FOLDER:
        raise RopError(INVALID_PARAMETER)
    if not isinstance(opened, MessageObject) or request.source_operation not in _OF_ONE_OBJECT:
        raise RopError(NOT_SUPPORTED)
    opened.edit()
    target = StreamTarget(MessageUpload(call.session.store, opened))
    call.open(request.output_handle_index, target)
    return wire.RopFastTransferDestinationConfigureResponse(request.output_handle_index)


def put_buffer(call: RopCall, request: wire.RopFastTransferDestinationPutBufferRequest) -> RopResponse:
    """RopFastTransferDestinationPutBuffer ([MS-OXCFXICS] 3.2.5.8.2.2)."""
    target = call.find(request.input_handle_index, StreamTarget)
    if target.has_failed:
        raise RopError(CALL_FAILED)
    target.has_failed = True
    try:
        target.upload.take(request.data)
    except WireError:
        raise RopError(CORRUPT_DATA) from None
    except EmbeddedMessageError:
        raise RopError(NOT_SUPPORTED) from None
    target.has_failed = False
    status = wire.TRANSFER_DONE if target.upload.is_complete else wire.TRANSFER_PARTIAL
    return wire.RopFastTransferDestinationPutBufferResponse(
        request.input_handle_index, status, buffer_used_size=len(request.data)
    )


def tell_version(call: RopCall, request: wire.RopTellVersionRequest) -> RopResponse:
    """RopTellVersion ([MS-OXCFXICS] 3.2.5.8.1.6): the stream is the same for every server."""
    opened = call.find(request.input_handle_index, ServerObject)
    if not isinstance(opened, StreamSource | StreamTarget):
        raise RopError(NOT_SUPPORTED)
    return wire.RopTellVersionResponse(request.input_handle_index)


HANDLERS: Final[Mapping[type[RopRequest], Handler]] = {
    wire.RopFastTransferSourceGetBufferRequest: get_buffer,
    wire.RopFastTransferSourceCopyToRequest: copy_to,
    wire.RopFastTransferSourceCopyPropertiesRequest: copy_properties,
    wire.RopFastTransferSourceCopyMessagesRequest: copy_messages,
    wire.RopFastTransferSourceCopyFolderRequest: copy_folder,
    wire.RopFastTransferDestinationConfigureRequest: destination_configure,
    wire.RopFastTransferDestinationPutBufferRequest: put_buffer,
    wire.RopTellVersionRequest: tell_version,
}
