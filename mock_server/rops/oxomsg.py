"""Sending mail ([MS-OXOMSG] 3.2.5)."""

from collections.abc import Mapping
from typing import Final

from loadgen.wire.identifiers import counter_of
from loadgen.wire.properties import PidTagTargetEntryId
from loadgen.wire.rop import oxomsg as wire
from loadgen.wire.rop.base import RopRequest, RopResponse
from mock_server.mailboxes import submission
from mock_server.mailboxes.mailbox import Mailbox
from mock_server.rops.call import (
    INVALID_ENTRY_ID,
    NO_RECIPIENTS,
    NOT_FOUND,
    NOT_SUPPORTED,
    OBJECT_DELETED,
    SEND_AS_DENIED,
    UNABLE_TO_ABORT,
    Handler,
    RopCall,
    RopError,
)
from mock_server.rops.messages import MessageObject
from mock_server.rops.objects import Logon, find_mailbox


def submit_message(call: RopCall, request: wire.RopSubmitMessageRequest) -> RopResponse:
    """RopSubmitMessage ([MS-OXOMSG] 3.2.5.1): saves the message, and the server sends it at once."""
    opened = call.find(request.input_handle_index, MessageObject)
    sender = opened.logon.mailbox
    if sender is None:
        raise RopError(NOT_SUPPORTED)
    if opened.message.deleted:
        raise RopError(OBJECT_DELETED)
    if not opened.content.recipients:
        raise RopError(NO_RECIPIENTS)
    if opened.draft is not None:
        opened.save(force=False)
    if not submission.speaks_for(sender.owner, opened.message.content):
        raise RopError(SEND_AS_DENIED)
    submission.send(call.session.store, call.session.transport, sender, opened.message)
    return wire.RopSubmitMessageResponse(request.input_handle_index)


def transport_send(call: RopCall, request: wire.RopTransportSendRequest) -> RopResponse:
    """RopTransportSend ([MS-OXOMSG] 3.2.5.6): what a client in cached mode uploaded, and keeps itself."""
    opened = call.find(request.input_handle_index, MessageObject)
    sender, message, content = opened.logon.mailbox, opened.message, opened.content
    if sender is None:
        raise RopError(NOT_SUPPORTED)
    if message.deleted:
        raise RopError(OBJECT_DELETED)
    if not content.recipients:
        raise RopError(NO_RECIPIENTS)
    if not submission.speaks_for(sender.owner, content):
        raise RopError(SEND_AS_DENIED)
    place = _sent_place(sender, content.properties.get(PidTagTargetEntryId))
    if opened.is_new:
        message.deleted = True
    else:
        sender.delete_messages(sender.folders[message.folder_id], [message])
    content = content.without_properties(PidTagTargetEntryId)
    submission.transport_send(call.session.store, call.session.transport, sender, message, content, place)
    return wire.RopTransportSendResponse(request.input_handle_index, True)


def _sent_place(mailbox: Mailbox, entry_id: bytes | None) -> submission.SentPlace | None:
    """Where a message is to be when it is sent; raises :class:`RopError` if it cannot be there."""
    if entry_id is None:
        return None
    ids = mailbox.identity.message_ids(entry_id)
    folder = mailbox.folders.get(ids[0]) if ids else None
    if ids is None or folder is None or counter_of(ids[1]) not in mailbox.reserved:
        raise RopError(INVALID_ENTRY_ID)
    return submission.SentPlace(folder, counter_of(ids[1]))


def abort_submit(call: RopCall, request: wire.RopAbortSubmitRequest) -> RopResponse:
    """RopAbortSubmit ([MS-OXOMSG] 3.2.5.2): nothing waits long enough."""
    logon = call.find(request.input_handle_index, Logon)
    if logon.folder(request.folder_id).message(request.message_id) is None:
        raise RopError(NOT_FOUND)
    raise RopError(UNABLE_TO_ABORT)


def get_address_types(call: RopCall, request: wire.RopGetAddressTypesRequest) -> RopResponse:
    """RopGetAddressTypes ([MS-OXOMSG] 3.2.5.3)."""
    find_mailbox(call, request.input_handle_index)
    return wire.RopGetAddressTypesResponse(request.input_handle_index, ("EX", "SMTP"))


def set_spooler(call: RopCall, request: wire.RopSetSpoolerRequest) -> RopResponse:
    """RopSetSpooler ([MS-OXOMSG] 3.2.5.4): taken note of; the server sends all mail itself."""
    find_mailbox(call, request.input_handle_index)
    return wire.RopSetSpoolerResponse(request.input_handle_index)


def get_transport_folder(call: RopCall, request: wire.RopGetTransportFolderRequest) -> RopResponse:
    """RopGetTransportFolder ([MS-OXOMSG] 3.2.5.8)."""
    mailbox = find_mailbox(call, request.input_handle_index)
    return wire.RopGetTransportFolderResponse(request.input_handle_index, mailbox.outbox.folder_id)


HANDLERS: Final[Mapping[type[RopRequest], Handler]] = {
    wire.RopSubmitMessageRequest: submit_message,
    wire.RopTransportSendRequest: transport_send,
    wire.RopAbortSubmitRequest: abort_submit,
    wire.RopGetAddressTypesRequest: get_address_types,
    wire.RopSetSpoolerRequest: set_spooler,
    wire.RopGetTransportFolderRequest: get_transport_folder,
}
