"""What clients changed while they were not connected ([MS-OXCFXICS] 3.2.5.9.4)."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from loadgen.errors import WireError
from loadgen.wire.idset import COUNTER_SIZE, GlobSet
from loadgen.wire.properties import (
    PidTagChangeKey,
    PidTagDisplayName,
    PidTagLastModificationTime,
    PidTagParentSourceKey,
    PidTagPredecessorChangeList,
    PidTagSourceKey,
    PropertyTag,
    PropertyValue,
    Value,
)
from loadgen.wire.rop import oxcfxics_upload as wire
from loadgen.wire.rop.base import RopRequest, RopResponse
from mock_server.mailboxes.change_history import ChangeHistory, ClientChange, is_client_key, read_predecessors
from mock_server.mailboxes.client_state import MessageVersion
from mock_server.mailboxes.folder import FOLDER_COMPUTED, Folder, folder_properties
from mock_server.mailboxes.message import READ, UNSENT, Message, MessageContent
from mock_server.mailboxes.object_store import FIRST_FREE_COUNTER
from mock_server.mailboxes.property_bag import stored_tag
from mock_server.mailboxes.store_identity import object_id
from mock_server.rops.call import (
    ACCESS_DENIED,
    CALL_FAILED,
    DUPLICATE_NAME,
    INVALID_PARAMETER,
    NOT_FOUND,
    NOT_SUPPORTED,
    SYNC_CONFLICT,
    SYNC_IGNORE,
    SYNC_OBJECT_DELETED,
    Handler,
    RopCall,
    RopError,
)
from mock_server.rops.messages import MessageObject
from mock_server.rops.objects import FolderObject, Logon, find_logon
from mock_server.rops.oxcfxics_download import Collector

_MESSAGE_VALUES: Final = (
    PidTagSourceKey,
    PidTagLastModificationTime,
    PidTagChangeKey,
    PidTagPredecessorChangeList,
)
_FOLDER_VALUES: Final = (PidTagParentSourceKey, *_MESSAGE_VALUES, PidTagDisplayName)
_IMPORT_FLAGS: Final = wire.IMPORT_ASSOCIATED | wire.IMPORT_FAIL_ON_CONFLICT
_SOURCE_KEY_SIZE: Final = 16 + COUNTER_SIZE
_MOST_IDS: Final = 0x100000
_NEW: Final = MessageContent({})


class ImportedMessage(MessageObject):
    """A message whose change a client brings; once it is saved, the collector knows that the client has it.

    With ``loses`` the version of the server is the later one of two that conflict: it stays, and takes note
    of the client's, which gets it with its next download.
    """

    def __init__(
        self, collector: Collector, message: Message, origin: ClientChange, *, is_new: bool, loses: bool
    ) -> None:
        super().__init__(collector.logon, message, is_new=is_new, writable=True)
        self._collector = collector
        self._loses = loses
        self.origin = origin

    def save(self, *, force: bool) -> None:
        """As any message; raises :class:`RopError`."""
        if self._loses:
            self.edit()
            self.draft = None
            self.logon.store.replace_content(self.message, self.message.content, origin=self.origin)
            self._loses, self.origin = False, None
            return
        if self.is_new:
            _expect_reserved(self._collector, self.message.counter)
        super().save(force=force)
        self._collector.synchronised.state.has(MessageVersion.brought_by_client(self.message))


def open_collector(call: RopCall, request: wire.RopSynchronizationOpenCollectorRequest) -> RopResponse:
    """RopSynchronizationOpenCollector ([MS-OXCFXICS] 3.2.5.9.4.1)."""
    opened = call.find(request.input_handle_index, FolderObject)
    call.open(request.output_handle_index, Collector(opened, has_contents=request.is_contents_collector))
    return wire.RopSynchronizationOpenCollectorResponse(request.output_handle_index)


def _collector(call: RopCall, handle_index: int, *, has_contents: bool) -> Collector:
    collector = call.find(handle_index, Collector)
    if collector.has_contents != has_contents:
        raise RopError(NOT_SUPPORTED)
    if collector.synchronised.upload.is_open:
        raise RopError(CALL_FAILED)
    return collector


def import_message_change(
    call: RopCall, request: wire.RopSynchronizationImportMessageChangeRequest
) -> RopResponse:
    """RopSynchronizationImportMessageChange ([MS-OXCFXICS] 3.2.5.9.4.2)."""
    collector = _collector(call, request.input_handle_index, has_contents=True)
    if request.import_flag & ~_IMPORT_FLAGS:
        raise RopError(INVALID_PARAMETER)
    source_key, modified, change_key, predecessors = _values(request.values, _MESSAGE_VALUES)
    origin = _client_change(modified, change_key, predecessors)
    counter = _counter(collector, source_key)
    associated = bool(request.import_flag & wire.IMPORT_ASSOCIATED)
    message = collector.folder.message(object_id(counter))
    if message is None:
        opened = _new_message(collector, counter, origin, associated=associated)
    elif message.associated != associated:
        raise RopError(INVALID_PARAMETER)
    else:
        fails = bool(request.import_flag & wire.IMPORT_FAIL_ON_CONFLICT)
        loses = _resolve(message, origin, fail_on_conflict=fails)
        merged = _merged(message, origin)
        opened = ImportedMessage(collector, message, merged, is_new=False, loses=loses)
    call.open(request.output_handle_index, opened)
    return wire.RopSynchronizationImportMessageChangeResponse(request.output_handle_index)


def _new_message(
    collector: Collector, counter: int, origin: ClientChange, *, associated: bool
) -> ImportedMessage:
    _expect_reserved(collector, counter)
    store = collector.logon.store
    message = store.new_message(collector.folder, _NEW, associated=associated, counter=counter)
    message.flags = READ | UNSENT
    return ImportedMessage(collector, message, origin, is_new=True, loses=False)


def _expect_reserved(collector: Collector, counter: int) -> None:
    """A number that no client had reserved was, if it was given at all, that of something that is gone."""
    store = collector.logon.store
    if counter not in store.reserved:
        raise RopError(SYNC_OBJECT_DELETED if counter <= store.last_counter else INVALID_PARAMETER)


def _resolve(present: Message | Folder, origin: ClientChange, *, fail_on_conflict: bool) -> bool:
    """Whether the server's version stays; raises :class:`RopError` if the client's is an old one, or if they
    conflict and the client wants to know ([MS-OXCFXICS] 3.1.5.6).
    """
    if present.history.has_seen([origin.history.change_key]):
        raise RopError(SYNC_IGNORE)
    if origin.history.has_seen([present.history.change_key]):
        return False
    if fail_on_conflict:
        raise RopError(SYNC_CONFLICT)
    return present.modified > origin.modified


def _merged(present: Message | Folder, origin: ClientChange) -> ClientChange:
    """The client's change, after all changes that the server knows of."""
    history = origin.history
    before = (*present.history.latest, *history.latest)
    return ClientChange(ChangeHistory.of(history.change_key, before), origin.modified)


def import_deletes(call: RopCall, request: wire.RopSynchronizationImportDeletesRequest) -> RopResponse:
    """RopSynchronizationImportDeletes ([MS-OXCFXICS] 3.2.5.9.4.5); what is not there counts as deleted."""
    is_hierarchy = bool(request.import_delete_flags & wire.DELETE_HIERARCHY)
    if request.import_delete_flags & ~wire.DELETE_HIERARCHY:
        raise RopError(NOT_SUPPORTED)
    collector = _collector(call, request.input_handle_index, has_contents=not is_hierarchy)
    counters = [_counter(collector, key) for key in request.source_keys]
    if is_hierarchy:
        _delete_folders(collector, counters)
    else:
        found = [collector.folder.message(object_id(counter)) for counter in dict.fromkeys(counters)]
        messages = [message for message in found if message is not None]
        collector.logon.store.delete_messages(collector.folder, messages)
    collector.synchronised.state.given.remove(GlobSet.of(counters))
    return wire.RopSynchronizationImportDeletesResponse(request.input_handle_index)


def _delete_folders(collector: Collector, counters: Iterable[int]) -> None:
    if any(counter < FIRST_FREE_COUNTER for counter in counters):
        raise RopError(ACCESS_DENIED)
    for counter in counters:
        folder = collector.logon.store.folders.get(object_id(counter))
        if folder is not None and _is_below(folder, collector.folder):
            collector.logon.store.delete_folder(folder)


def _is_below(folder: Folder | None, top: Folder) -> bool:
    return folder is not None and (folder.parent is top or _is_below(folder.parent, top))


def import_message_move(
    call: RopCall, request: wire.RopSynchronizationImportMessageMoveRequest
) -> RopResponse:
    """RopSynchronizationImportMessageMove ([MS-OXCFXICS] 3.2.5.9.4.4): into the collector's folder."""
    collector = _collector(call, request.input_handle_index, has_contents=True)
    history = _history(request.change_number, request.predecessor_change_list)
    target_counter = _counter(collector, request.destination_message_id)
    store = collector.logon.store
    source = store.folders.get(object_id(_counter(collector, request.source_folder_id)))
    if source is None:
        raise RopError(NOT_FOUND)
    message = source.message(object_id(_counter(collector, request.source_message_id)))
    if message is None:
        raise RopError(SYNC_OBJECT_DELETED)
    _expect_reserved(collector, target_counter)
    known = [xid for xid in history.latest if xid != history.change_key]
    client_is_newer = not message.history.has_seen(known)
    server_is_newer = not history.has_seen(message.history.latest)
    origin = None
    if not (client_is_newer or server_is_newer):
        origin = ClientChange(history, message.modified)
    moved = store.import_move(source, collector.folder, message, target_counter, origin)
    if client_is_newer or not server_is_newer:
        collector.synchronised.state.has(MessageVersion.brought_by_client(moved))
    return wire.RopSynchronizationImportMessageMoveResponse(
        request.input_handle_index, return_value=wire.NEWER_CLIENT_CHANGE if client_is_newer else 0
    )


def import_read_state_changes(
    call: RopCall, request: wire.RopSynchronizationImportReadStateChangesRequest
) -> RopResponse:
    """RopSynchronizationImportReadStateChanges ([MS-OXCFXICS] 3.2.5.9.4.6); the last word on each counts."""
    collector = _collector(call, request.input_handle_index, has_contents=True)
    wanted = {
        _counter(collector, state.message_id): state.mark_as_read for state in request.message_read_states
    }
    found = {counter: collector.folder.messages.get(object_id(counter)) for counter in wanted}
    for read in (True, False):
        messages = [m for counter, m in found.items() if m is not None and wanted[counter] == read]
        collector.logon.store.set_read(messages, read=read)
        for message in messages:
            if message.read_counter:
                collector.synchronised.state.read.add(message.read_counter)
    return wire.RopSynchronizationImportReadStateChangesResponse(request.input_handle_index)


def import_hierarchy_change(
    call: RopCall, request: wire.RopSynchronizationImportHierarchyChangeRequest
) -> RopResponse:
    """RopSynchronizationImportHierarchyChange ([MS-OXCFXICS] 3.2.5.9.4.3): folders are not moved."""
    collector = _collector(call, request.input_handle_index, has_contents=False)
    parent_key, source_key, modified, change_key, predecessors, name = _values(
        request.hierarchy_values, _FOLDER_VALUES
    )
    origin = _client_change(modified, change_key, predecessors)
    counter = _counter(collector, source_key)
    store, parent = collector.logon.store, _parent(collector, parent_key)
    values = _folder_values(name, request.values)
    namesake = parent.subfolder(name)
    if namesake is not None and namesake.counter != counter:
        raise RopError(DUPLICATE_NAME)
    folder = store.folders.get(object_id(counter))
    if folder is None:
        _expect_reserved(collector, counter)
        properties = {**folder_properties(name), **values}
        folder = store.create_folder(parent, properties, counter=counter, origin=origin)
    elif folder.parent is not parent:
        raise RopError(NOT_SUPPORTED)
    elif not _resolve(folder, origin, fail_on_conflict=False):
        store.set_folder_properties(folder, values, origin=_merged(folder, origin))
    collector.synchronised.state.has_folder(folder.counter, folder.last_counter)
    return wire.RopSynchronizationImportHierarchyChangeResponse(request.input_handle_index)


def _parent(collector: Collector, source_key: bytes) -> Folder:
    if not source_key:
        return collector.folder
    parent = collector.logon.store.folders.get(object_id(_counter(collector, source_key)))
    if parent is None or not (parent is collector.folder or _is_below(parent, collector.folder)):
        raise RopError(NOT_FOUND)
    return parent


def _folder_values(name: str, values: Sequence[PropertyValue]) -> dict[PropertyTag, Value]:
    if not name:
        raise RopError(INVALID_PARAMETER)
    stored = {stored_tag(value.tag): value.value for value in values}
    kept = {tag: value for tag, value in stored.items() if tag not in FOLDER_COMPUTED}
    return {**kept, PidTagDisplayName: name}


def get_local_replica_ids(call: RopCall, request: wire.RopGetLocalReplicaIdsRequest) -> RopResponse:
    """RopGetLocalReplicaIds ([MS-OXCFXICS] 3.2.5.9.4.7)."""
    store = call.find(request.input_handle_index, Logon).store
    if not 0 < request.id_count <= _MOST_IDS:
        raise RopError(INVALID_PARAMETER)
    first = store.reserve_counters(request.id_count)
    return wire.RopGetLocalReplicaIdsResponse(
        request.input_handle_index, store.identity.replica_guid, first.to_bytes(COUNTER_SIZE, "big")
    )


def set_local_replica_midset_deleted(
    call: RopCall, request: wire.RopSetLocalReplicaMidsetDeletedRequest
) -> RopResponse:
    """RopSetLocalReplicaMidsetDeleted ([MS-OXCFXICS] 3.2.5.9.4.8): ids that will never be used."""
    store = find_logon(call, request.input_handle_index).store
    ranges = [_range(store.identity.replica_guid, ids) for ids in request.ranges]
    for low, high in ranges:
        store.forget_reserved(low, high)
    return wire.RopSetLocalReplicaMidsetDeletedResponse(request.input_handle_index)


def _range(replica: bytes, ids: wire.LongTermIdRange) -> tuple[int, int]:
    first, last = ids.minimum[:_SOURCE_KEY_SIZE], ids.maximum[:_SOURCE_KEY_SIZE]
    if not first.startswith(replica) or not last.startswith(replica) or first > last:
        raise RopError(INVALID_PARAMETER)
    return int.from_bytes(first[-COUNTER_SIZE:], "big"), int.from_bytes(last[-COUNTER_SIZE:], "big")


def _values(values: Sequence[PropertyValue], tags: Sequence[PropertyTag]) -> list[Value]:
    """The values of exactly these properties in exactly this order; raises :class:`RopError`."""
    if [value.tag for value in values] != list(tags):
        raise RopError(INVALID_PARAMETER)
    return [value.value for value in values]


def _client_change(modified: int, change_key: bytes, predecessors: bytes) -> ClientChange:
    return ClientChange(_history(change_key, predecessors), modified)


def _history(change_key: bytes, predecessors: bytes) -> ChangeHistory:
    if not is_client_key(change_key):
        raise RopError(INVALID_PARAMETER)
    try:
        before = read_predecessors(predecessors)
    except WireError:
        raise RopError(INVALID_PARAMETER) from None
    return ChangeHistory.of(change_key, before)


def _counter(collector: Collector, source_key: bytes) -> int:
    """The number in a source key of this store; raises :class:`RopError`."""
    replica, number = source_key[:-COUNTER_SIZE], source_key[-COUNTER_SIZE:]
    if replica != collector.logon.store.identity.replica_guid:
        raise RopError(INVALID_PARAMETER)
    return int.from_bytes(number, "big")


HANDLERS: Final[Mapping[type[RopRequest], Handler]] = {
    wire.RopSynchronizationOpenCollectorRequest: open_collector,
    wire.RopSynchronizationImportMessageChangeRequest: import_message_change,
    wire.RopSynchronizationImportHierarchyChangeRequest: import_hierarchy_change,
    wire.RopSynchronizationImportDeletesRequest: import_deletes,
    wire.RopSynchronizationImportMessageMoveRequest: import_message_move,
    wire.RopSynchronizationImportReadStateChangesRequest: import_read_state_changes,
    wire.RopGetLocalReplicaIdsRequest: get_local_replica_ids,
    wire.RopSetLocalReplicaMidsetDeletedRequest: set_local_replica_midset_deleted,
}
