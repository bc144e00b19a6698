"""Logon, and what belongs to the store as a whole ([MS-OXCSTOR] 3.2.5)."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Final

from loadgen.wire.identifiers import replica_id_of
from loadgen.wire.properties import unix_from_filetime
from loadgen.wire.rop import oxcstor as wire
from loadgen.wire.rop.base import RopRequest, RopResponse
from loadgen.wire.rop.replicas import ReplicaServers
from mock_server.mailboxes.store_identity import REPLICA_ID
from mock_server.rops.call import (
    INVALID_PARAMETER,
    LOGON_FAILED,
    NOT_FOUND,
    NOT_SUPPORTED,
    UNKNOWN_USER,
    Handler,
    RopCall,
    RopError,
)
from mock_server.rops.objects import Logon, find_mailbox

_ALWAYS: Final = 0x01
_OWNER_RIGHT: Final = 0x02
_SEND_AS_RIGHT: Final = 0x04
"""ResponseFlags ([MS-OXCSTOR] 2.2.1.1.3)."""

_LONGEST_MESSAGE_CLASS: Final = 255


def log_on(call: RopCall, request: wire.RopLogonRequest) -> RopResponse:
    """RopLogon ([MS-OXCSTOR] 3.2.5.1)."""
    if bool(request.logon_flags & wire.PRIVATE) == bool(request.open_flags & wire.PUBLIC):
        raise RopError(INVALID_PARAMETER)
    return _private(call, request) if request.logon_flags & wire.PRIVATE else _public(call, request)


def _private(call: RopCall, request: wire.RopLogonRequest) -> RopResponse:
    session = call.session
    store = session.store
    owner = store.directory.by_dn(request.essdn)
    if owner is None:
        raise RopError(UNKNOWN_USER)
    is_own = owner == session.user
    if not is_own and not store.open_to_all:
        raise RopError(LOGON_FAILED)
    if not store.is_home_of(owner):
        right = store.directory.home_server(owner)
        return _redirect(request, right.dn)
    mailbox = store.mailbox(owner)
    call.log_on(request.output_handle_index, Logon(session, mailbox))
    now = store.clock()
    return wire.RopLogonPrivateResponse(
        request.output_handle_index,
        logon_flags=request.logon_flags,
        folder_ids=mailbox.logon_folder_ids,
        response_flags=_ALWAYS | (_OWNER_RIGHT | _SEND_AS_RIGHT if is_own else 0),
        mailbox_guid=mailbox.identity.provider,
        replica_id=REPLICA_ID,
        replica_guid=mailbox.identity.replica_guid,
        logon_time=wire.logon_time(datetime.fromtimestamp(unix_from_filetime(now), UTC)),
        gwart_time=store.created,
    )


def _public(call: RopCall, request: wire.RopLogonRequest) -> RopResponse:
    session = call.session
    if request.essdn:
        raise RopError(INVALID_PARAMETER)
    public = session.store.public
    elsewhere = session.store.directory.server_by_host(session.user.public_server)
    if public is None or request.open_flags & wire.ALTERNATE_SERVER:
        if elsewhere is None or elsewhere == session.store.server or request.logon_flags & wire.GHOSTED:
            raise RopError(LOGON_FAILED)
        return _redirect(request, elsewhere.dn)
    call.log_on(request.output_handle_index, Logon(session, public))
    return wire.RopLogonPublicResponse(
        request.output_handle_index,
        logon_flags=request.logon_flags,
        folder_ids=public.logon_folder_ids,
        replica_id=REPLICA_ID,
        replica_guid=public.identity.replica_guid,
        per_user_guid=bytes(16),
    )


def _redirect(request: wire.RopLogonRequest, server_dn: str) -> RopResponse:
    return wire.RopLogonRedirectResponse(
        request.output_handle_index, request.logon_flags, server_dn, return_value=wire.WRONG_SERVER
    )


def get_receive_folder(call: RopCall, request: wire.RopGetReceiveFolderRequest) -> RopResponse:
    """RopGetReceiveFolder ([MS-OXCSTOR] 3.2.5.2)."""
    if len(request.message_class) > _LONGEST_MESSAGE_CLASS or request.message_class.endswith("."):
        raise RopError(INVALID_PARAMETER)
    explicit, folder = find_mailbox(call, request.input_handle_index).receive_folder(request.message_class)
    return wire.RopGetReceiveFolderResponse(request.input_handle_index, folder.folder_id, explicit)


def get_receive_folder_table(call: RopCall, request: wire.RopGetReceiveFolderTableRequest) -> RopResponse:
    """RopGetReceiveFolderTable ([MS-OXCSTOR] 3.2.5.4)."""
    mailbox = find_mailbox(call, request.input_handle_index)
    rows = tuple(
        wire.receive_folder_row(folder.folder_id, message_class, mailbox.created)
        for message_class, folder in mailbox.receive_folders.items()
    )
    return wire.RopGetReceiveFolderTableResponse(request.input_handle_index, rows)


def get_store_state(call: RopCall, request: wire.RopGetStoreStateRequest) -> RopResponse:
    """RopGetStoreState ([MS-OXCSTOR] 3.2.5.5): there are no search folders."""
    find_mailbox(call, request.input_handle_index)
    return wire.RopGetStoreStateResponse(request.input_handle_index, 0)


def get_owning_servers(call: RopCall, request: wire.RopGetOwningServersRequest) -> RopResponse:
    """RopGetOwningServers ([MS-OXCSTOR] 3.2.5.6): this server alone."""
    _public_folder(call, request.input_handle_index, request.folder_id)
    name = f"{call.session.store.server.dn}/cn=Microsoft Public MDB"
    return wire.RopGetOwningServersResponse(request.input_handle_index, ReplicaServers(1, (name,)))


def public_folder_is_ghosted(call: RopCall, request: wire.RopPublicFolderIsGhostedRequest) -> RopResponse:
    """RopPublicFolderIsGhosted ([MS-OXCSTOR] 3.2.5.7): all content is here."""
    _public_folder(call, request.input_handle_index, request.folder_id)
    return wire.RopPublicFolderIsGhostedResponse(request.input_handle_index)


def _public_folder(call: RopCall, handle_index: int, folder_id: int) -> None:
    logon = call.find(handle_index, Logon)
    if logon.mailbox is not None:
        raise RopError(NOT_SUPPORTED)
    logon.folder(folder_id)


def long_term_id_from_id(call: RopCall, request: wire.RopLongTermIdFromIdRequest) -> RopResponse:
    """RopLongTermIdFromId ([MS-OXCSTOR] 3.2.5.8)."""
    logon = call.find(request.input_handle_index, Logon)
    if replica_id_of(request.object_id) != REPLICA_ID:
        raise RopError(NOT_FOUND)
    long_term_id = logon.store.identity.long_term_id(request.object_id)
    return wire.RopLongTermIdFromIdResponse(request.input_handle_index, long_term_id)


def id_from_long_term_id(call: RopCall, request: wire.RopIdFromLongTermIdRequest) -> RopResponse:
    """RopIdFromLongTermId ([MS-OXCSTOR] 3.2.5.9)."""
    logon = call.find(request.input_handle_index, Logon)
    object_id = logon.store.identity.short_id(request.long_term_id)
    if object_id is None:
        raise RopError(NOT_FOUND)
    return wire.RopIdFromLongTermIdResponse(request.input_handle_index, object_id)


def get_per_user_long_term_ids(call: RopCall, request: wire.RopGetPerUserLongTermIdsRequest) -> RopResponse:
    """RopGetPerUserLongTermIds ([MS-OXCSTOR] 3.2.5.10): no read states are kept."""
    find_mailbox(call, request.input_handle_index)
    return wire.RopGetPerUserLongTermIdsResponse(request.input_handle_index, ())


def get_per_user_guid(call: RopCall, request: wire.RopGetPerUserGuidRequest) -> RopResponse:
    """RopGetPerUserGuid ([MS-OXCSTOR] 3.2.5.11): no read states are kept."""
    find_mailbox(call, request.input_handle_index)
    raise RopError(NOT_FOUND)


HANDLERS: Final[Mapping[type[RopRequest], Handler]] = {
    wire.RopLogonRequest: log_on,
    wire.RopGetReceiveFolderRequest: get_receive_folder,
    wire.RopGetReceiveFolderTableRequest: get_receive_folder_table,
    wire.RopGetStoreStateRequest: get_store_state,
    wire.RopGetOwningServersRequest: get_owning_servers,
    wire.RopPublicFolderIsGhostedRequest: public_folder_is_ghosted,
    wire.RopLongTermIdFromIdRequest: long_term_id_from_id,
    wire.RopIdFromLongTermIdRequest: id_from_long_term_id,
    wire.RopGetPerUserLongTermIdsRequest: get_per_user_long_term_ids,
    wire.RopGetPerUserGuidRequest: get_per_user_guid,
}
