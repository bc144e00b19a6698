"""Synchronisation: what clients lack of a folder ([MS-OXCFXICS] 3.2.5.9.1 to 3.2.5.9.3)."""

from collections.abc import Callable, Iterator, Mapping
from typing import Final

from loadgen.errors import LocalProtocolError, WireError
from loadgen.wire.fasttransfer.elements import Element
from loadgen.wire.restrictions import Restriction
from loadgen.wire.rop import oxcfxics_download as wire
from loadgen.wire.rop.base import RopRequest, RopResponse
from loadgen.wire.rop.oxcfxics_transfer import SEND_UNICODE
from mock_server.mailboxes.client_state import ClientState, StateUpload
from mock_server.mailboxes.mailbox import MailboxStore
from mock_server.mailboxes.object_store import ObjectStore
from mock_server.mailboxes.row_filter import Predicate, UnsupportedRestrictionError, predicate
from mock_server.mailboxes.session import ServerObject
from mock_server.mailboxes.stream_content import Selection, StreamContent
from mock_server.mailboxes.synchronisation import Wish, contents_stream, hierarchy_stream
from mock_server.rops.call import (
    CALL_FAILED,
    CORRUPT_DATA,
    INVALID_PARAMETER,
    NOT_SUPPORTED,
    TOO_BIG,
    TOO_COMPLEX,
    Handler,
    RopCall,
    RopError,
)
from mock_server.rops.objects import FolderObject
from mock_server.rops.oxcfxics_transfer import StreamSource, wants_unicode

_LARGEST_STATE: Final = 0x1000000
"""Bytes of one property of a state; more than any folder's takes."""

_CONTENTS_ONLY: Final = (
    wire.SYNC_IGNORE_NO_LONGER_IN_SCOPE | wire.SYNC_READ_STATE | wire.SYNC_FAI | wire.SYNC_NORMAL
)


class Synchronised:
    """The client's state of a folder: uploaded first, then growing with what comes and goes."""

    def __init__(self, store: ObjectStore, *, has_contents: bool) -> None:
        self._replica = store.identity.replica_guid
        self._has_contents = has_contents
        self._state: ClientState | None = None
        self.upload = StateUpload(has_contents=has_contents)

    @property
    def is_used(self) -> bool:
        """Whether the state has been looked at, after which nothing more may be uploaded."""
        return self._state is not None

    @property
    def state(self) -> ClientState:
        """What the client has; raises :class:`RopError` while its upload is not complete."""
        if self._state is None:
            if self.upload.is_open:
                raise RopError(CALL_FAILED)
            state = self.upload.state()
            self._state = ClientState(self._replica, state, has_contents=self._has_contents)
        return self._state


class Download(StreamSource):
    """The download of what a client lacks of one folder."""

    def __init__(
        self,
        synchronised: Synchronised,
        make: Callable[[], Iterator[Element]],
        *,
        unicode: bool,
    ) -> None:
        super().__init__(make, unicode=unicode)
        self.synchronised = synchronised


class Collector(ServerObject):
    """The upload of what a client changed in one folder; it knows what the client has then."""

    def __init__(self, opened: FolderObject, *, has_contents: bool) -> None:
        super().__init__()
        self.logon = opened.logon
        self.folder = opened.folder
        self.has_contents = has_contents
        self.synchronised = Synchronised(opened.logon.store, has_contents=has_contents)


def configure(call: RopCall, request: wire.RopSynchronizationConfigureRequest) -> RopResponse:
    """RopSynchronizationConfigure ([MS-OXCFXICS] 3.2.5.9.1.1)."""
    opened = call.find(request.input_handle_index, FolderObject)
    has_contents = request.synchronization_type == wire.CONTENTS
    unicode = wants_unicode(request.send_options)
    _check_flags(request, has_contents=has_contents)
    wish = _wish(request)
    store, folder = opened.logon.store, opened.folder
    synchronised = Synchronised(store, has_contents=has_contents)
    stream = contents_stream if has_contents else hierarchy_stream
    content_for = _content_for(call.session.store)
    download = Download(
        synchronised,
        lambda: stream(store, folder, synchronised.state, wish, content_for),
        unicode=unicode,
    )
    call.open(request.output_handle_index, download)
    return wire.RopSynchronizationConfigureResponse(request.output_handle_index)


def _check_flags(request: wire.RopSynchronizationConfigureRequest, *, has_contents: bool) -> None:
    flags = request.synchronization_flags
    if bool(flags & wire.SYNC_UNICODE) != bool(request.send_options & SEND_UNICODE):
        raise RopError(INVALID_PARAMETER)
    if has_contents:
        if not flags & (wire.SYNC_FAI | wire.SYNC_NORMAL):
            raise RopError(INVALID_PARAMETER)
    elif (
        request.synchronization_type != wire.HIERARCHY
        or flags & _CONTENTS_ONLY
        or request.restriction is not None
    ):
        raise RopError(INVALID_PARAMETER)


def _wish(request: wire.RopSynchronizationConfigureRequest) -> Wish:
    flags, tags = request.synchronization_flags, request.property_tags
    best_body = bool(flags & wire.SYNC_BEST_BODY)
    only = bool(flags & wire.SYNC_ONLY_SPECIFIED_PROPERTIES)
    selection = Selection.of(tags, only=only, best_body=best_body)
    associated = selection
    if flags & wire.SYNC_IGNORE_SPECIFIED_ON_FAI:
        associated = Selection(best_body=best_body)
    keeps = _predicate(request.restriction)
    return Wish(flags, request.synchronization_extra_flags, selection, associated, keeps)


def _predicate(restriction: Restriction | None) -> Predicate | None:
    try:
        return None if restriction is None else predicate(restriction)
    except UnsupportedRestrictionError:
        raise RopError(TOO_COMPLEX) from None


def _content_for(store: MailboxStore) -> Callable[[Selection], StreamContent]:
    return lambda selection: StreamContent(store, selection)


def _synchronised(call: RopCall, handle_index: int) -> Synchronised:
    """The state behind a download or upload; raises :class:`RopError`."""
    opened = call.find(handle_index, ServerObject)
    if isinstance(opened, Download | Collector):
        return opened.synchronised
    raise RopError(NOT_SUPPORTED)


def _uploading(call: RopCall, handle_index: int, step: Callable[[StateUpload], None]) -> None:
    synchronised = _synchronised(call, handle_index)
    if synchronised.is_used:
        raise RopError(CALL_FAILED)
    try:
        step(synchronised.upload)
    except LocalProtocolError:
        raise RopError(CALL_FAILED) from None
    except WireError as error:
        is_foreign = error.field == "StateProperty"
        raise RopError(INVALID_PARAMETER if is_foreign else CORRUPT_DATA) from None


def upload_state_begin(
    call: RopCall, request: wire.RopSynchronizationUploadStateStreamBeginRequest
) -> RopResponse:
    """RopSynchronizationUploadStateStreamBegin ([MS-OXCFXICS] 3.2.5.9.2.1)."""
    tag, size = request.state_property, request.transfer_buffer_size
    if size > _LARGEST_STATE:
        raise RopError(TOO_BIG)
    _uploading(call, request.input_handle_index, lambda upload: upload.begin(tag, size))
    return wire.RopSynchronizationUploadStateStreamBeginResponse(request.input_handle_index)


def upload_state_continue(
    call: RopCall, request: wire.RopSynchronizationUploadStateStreamContinueRequest
) -> RopResponse:
    """RopSynchronizationUploadStateStreamContinue ([MS-OXCFXICS] 3.2.5.9.2.2)."""
    _uploading(call, request.input_handle_index, lambda upload: upload.go_on(request.stream_data))
    return wire.RopSynchronizationUploadStateStreamContinueResponse(request.input_handle_index)


def upload_state_end(
    call: RopCall, request: wire.RopSynchronizationUploadStateStreamEndRequest
) -> RopResponse:
    """RopSynchronizationUploadStateStreamEnd ([MS-OXCFXICS] 3.2.5.9.2.3)."""
    _uploading(call, request.input_handle_index, StateUpload.end)
    return wire.RopSynchronizationUploadStateStreamEndResponse(request.input_handle_index)


def get_transfer_state(call: RopCall, request: wire.RopSynchronizationGetTransferStateRequest) -> RopResponse:
    """RopSynchronizationGetTransferState ([MS-OXCFXICS] 3.2.5.9.3.1): the state that is reached by now."""
    state = _synchronised(call, request.input_handle_index).state.state()
    call.open(request.output_handle_index, StreamSource(state.elements, unicode=True))
    return wire.RopSynchronizationGetTransferStateResponse(request.output_handle_index)


HANDLERS: Final[Mapping[type[RopRequest], Handler]] = {
    wire.RopSynchronizationConfigureRequest: configure,
    wire.RopSynchronizationUploadStateStreamBeginRequest: upload_state_begin,
    wire.RopSynchronizationUploadStateStreamContinueRequest: upload_state_continue,
    wire.RopSynchronizationUploadStateStreamEndRequest: upload_state_end,
    wire.RopSynchronizationGetTransferStateRequest: get_transfer_state,
}
