"""Folders, and what is done to many messages at once ([MS-OXCFOLD] 3.2.5)."""

from collections.abc import Iterable, Mapping
from typing import Final

from loadgen.wire.rop import oxcfold as wire
from loadgen.wire.rop.base import RopRequest, RopResponse
from mock_server.mailboxes.folder import Folder, folder_properties
from mock_server.mailboxes.message import Message
from mock_server.mailboxes.object_store import FIRST_FREE_COUNTER
from mock_server.rops.call import (
    ACCESS_DENIED,
    DUPLICATE_NAME,
    INVALID_PARAMETER,
    NOT_FOUND,
    NOT_SUPPORTED,
    NULL_OBJECT,
    Handler,
    RopCall,
    RopError,
)
from mock_server.rops.objects import FolderObject, find_logon

_FOLDER_NOT_EMPTY: Final = 0x0000050E


def open_folder(call: RopCall, request: wire.RopOpenFolderRequest) -> RopResponse:
    """RopOpenFolder ([MS-OXCFOLD] 3.2.5.1); soft-deleted folders are not kept."""
    logon = find_logon(call, request.input_handle_index)
    folder = logon.folder(request.folder_id)
    call.open(request.output_handle_index, FolderObject(logon, folder))
    return wire.RopOpenFolderResponse(request.output_handle_index)


def create_folder(call: RopCall, request: wire.RopCreateFolderRequest) -> RopResponse:
    """RopCreateFolder ([MS-OXCFOLD] 3.2.5.2); search folders are not offered."""
    parent = call.find(request.input_handle_index, FolderObject)
    if request.folder_type != wire.GENERIC_FOLDER:
        raise RopError(NOT_SUPPORTED)
    if not request.display_name:
        raise RopError(INVALID_PARAMETER)
    existing = None
    folder = parent.folder.subfolder(request.display_name)
    if folder is None:
        properties = folder_properties(request.display_name, comment=request.comment)
        folder = parent.logon.store.create_folder(parent.folder, properties)
    elif request.open_existing:
        existing = wire.ExistingFolder()
    else:
        raise RopError(DUPLICATE_NAME)
    call.open(request.output_handle_index, FolderObject(parent.logon, folder))
    return wire.RopCreateFolderResponse(request.output_handle_index, folder.folder_id, existing)


def delete_folder(call: RopCall, request: wire.RopDeleteFolderRequest) -> RopResponse:
    """RopDeleteFolder ([MS-OXCFOLD] 3.2.5.3): of a subfolder, with what is in it if the flags say so."""
    parent = call.find(request.input_handle_index, FolderObject)
    folder = parent.folder.subfolders.get(request.folder_id)
    if folder is None:
        raise RopError(NOT_FOUND)
    if folder.counter < FIRST_FREE_COUNTER:
        raise RopError(ACCESS_DENIED)
    flags = request.delete_folder_flags
    if (folder.messages and not flags & wire.DELETE_MESSAGES) or (
        folder.subfolders and not flags & wire.DELETE_FOLDERS
    ):
        raise RopError(_FOLDER_NOT_EMPTY)
    parent.logon.store.delete_folder(folder)
    return wire.RopDeleteFolderResponse(request.input_handle_index)


def empty_folder(call: RopCall, request: wire.RopEmptyFolderRequest) -> RopResponse:
    """RopEmptyFolder ([MS-OXCFOLD] 3.2.5.9): subfolders go, too."""
    opened = call.find(request.input_handle_index, FolderObject)
    folder, store = opened.folder, opened.logon.store
    store.delete_messages(folder, tuple(folder.messages.values()))
    if request.want_delete_associated:
        store.delete_messages(folder, tuple(folder.associated.values()))
    stay = False
    for child in tuple(folder.subfolders.values()):
        if child.counter < FIRST_FREE_COUNTER:
            stay = True
        else:
            store.delete_folder(child)
    return wire.RopEmptyFolderResponse(request.input_handle_index, stay)


def delete_messages(call: RopCall, request: wire.RopDeleteMessagesRequest) -> RopResponse:
    """RopDeleteMessages ([MS-OXCFOLD] 3.2.5.11); nothing can be got back."""
    partial = _delete(call, request.input_handle_index, request.message_ids)
    return wire.RopDeleteMessagesResponse(request.input_handle_index, partial)


def hard_delete_messages(call: RopCall, request: wire.RopHardDeleteMessagesRequest) -> RopResponse:
    """RopHardDeleteMessages ([MS-OXCFOLD] 3.2.5.12)."""
    partial = _delete(call, request.input_handle_index, request.message_ids)
    return wire.RopHardDeleteMessagesResponse(request.input_handle_index, partial)


def _delete(call: RopCall, handle_index: int, message_ids: Iterable[int]) -> bool:
    opened = call.find(handle_index, FolderObject)
    messages, partial = find_messages(opened.folder, message_ids)
    opened.logon.store.delete_messages(opened.folder, messages)
    return partial


def move_copy_messages(call: RopCall, request: wire.RopMoveCopyMessagesRequest) -> RopResponse:
    """RopMoveCopyMessages ([MS-OXCFOLD] 3.2.5.6), within one store."""
    source = call.find(request.source_handle_index, FolderObject)
    try:
        target = call.find(request.destination_handle_index, FolderObject)
    except RopError as error:
        if error.code != NULL_OBJECT:
            raise
        return wire.RopMoveCopyMessagesNullDestinationResponse(
            request.source_handle_index,
            request.destination_handle_index,
            return_value=wire.DESTINATION_NULL_OBJECT,
        )
    messages, partial = find_messages(source.folder, request.message_ids)
    store = source.logon.store
    take = store.copy_messages if request.want_copy else store.move_messages
    take(source.folder, target.folder, messages)
    return wire.RopMoveCopyMessagesResponse(request.source_handle_index, partial)


def find_messages(folder: Folder, message_ids: Iterable[int]) -> tuple[list[Message], bool]:
    """The messages that are there, and whether some are not."""
    found = [folder.message(message_id) for message_id in dict.fromkeys(message_ids)]
    messages = [message for message in found if message is not None]
    return messages, len(messages) < len(found)


HANDLERS: Final[Mapping[type[RopRequest], Handler]] = {
    wire.RopOpenFolderRequest: open_folder,
    wire.RopCreateFolderRequest: create_folder,
    wire.RopDeleteFolderRequest: delete_folder,
    wire.RopEmptyFolderRequest: empty_folder,
    wire.RopDeleteMessagesRequest: delete_messages,
    wire.RopHardDeleteMessagesRequest: hard_delete_messages,
    wire.RopMoveCopyMessagesRequest: move_copy_messages,
}
