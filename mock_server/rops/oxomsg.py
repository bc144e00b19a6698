"""Sending mail ([MS-OXOMSG] 3.2.5)."""

from collections.abc import Mapping
from typing import Final

from loadgen.wire.rop import oxomsg as wire
from loadgen.wire.rop.base import RopRequest, RopResponse
from mock_server.rops.call import (
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
from mock_server.submission import send, speaks_for


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
    if not speaks_for(sender.owner, opened.message):
        raise RopError(SEND_AS_DENIED)
    send(call.session.store, call.session.transport, sender, opened.message)
    return wire.RopSubmitMessageResponse(request.input_handle_index)


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
    wire.RopAbortSubmitRequest: abort_submit,
    wire.RopGetAddressTypesRequest: get_address_types,
    wire.RopSetSpoolerRequest: set_spooler,
    wire.RopGetTransportFolderRequest: get_transport_folder,
}
