"""What a client lacks, told from its state alone, and the stream that brings it ([MS-OXCFXICS] 3.2.5.3).

Nothing is kept between two downloads. What is to be sent is fixed when the first bytes are asked for, but
each message is written only when its turn comes, as it is then.
"""

from collections.abc import Callable, Iterable, Iterator
from typing import Final, Protocol

import msgspec

from loadgen.wire.fasttransfer.changes import (
    Deletions,
    FolderChange,
    MessageChange,
    MessageChangeHeader,
    ProgressPerMessage,
    ProgressTotal,
    ReadStateChanges,
)
from loadgen.wire.fasttransfer.elements import Element, Property
from loadgen.wire.fasttransfer.markers import IncrSyncEnd, IncrSyncStateBegin, IncrSyncStateEnd
from loadgen.wire.idset import GlobSet, IdSetByReplId
from loadgen.wire.properties import (
    PidTagChangeKey,
    PidTagChangeNumber,
    PidTagDisplayName,
    PidTagEntryId,
    PidTagFolderId,
    PidTagInstanceKey,
    PidTagLastModificationTime,
    PidTagMessageSize,
    PidTagMid,
    PidTagParentFolderId,
    PidTagParentSourceKey,
    PidTagPredecessorChangeList,
    PidTagRecordKey,
    PidTagSourceKey,
    PidTagStoreRecordKey,
)
from loadgen.wire.rop import oxcfxics_download as rop
from mock_server.mailboxes.client_state import ClientState, MessageVersion, counters_of
from mock_server.mailboxes.folder import Folder, PidTagDepth
from mock_server.mailboxes.message import Message, PidTagParentEntryId
from mock_server.mailboxes.object_store import ObjectStore
from mock_server.mailboxes.row_filter import Predicate
from mock_server.mailboxes.store_identity import REPLICA_ID, object_id
from mock_server.mailboxes.stream_content import Selection, StreamContent

_IN_MESSAGE_HEADER: Final = (
    PidTagSourceKey,
    PidTagLastModificationTime,
    PidTagChangeKey,
    PidTagPredecessorChangeList,
    PidTagMid,
    PidTagMessageSize,
    PidTagChangeNumber,
)
_IN_FOLDER_HEADER: Final = (
    PidTagParentSourceKey,
    PidTagSourceKey,
    PidTagLastModificationTime,
    PidTagChangeKey,
    PidTagPredecessorChangeList,
    PidTagDisplayName,
    PidTagFolderId,
    PidTagParentFolderId,
)
_MADE_UP_BY_CLIENTS: Final = (
    PidTagEntryId,
    PidTagParentEntryId,
    PidTagRecordKey,
    PidTagStoreRecordKey,
    PidTagInstanceKey,
    PidTagDepth,
)
"""What a client finds out by itself from keys and places."""


class _Item(Protocol):
    def elements(self) -> Iterator[Element]:
        """What it looks like in the stream."""


class _Step(msgspec.Struct, frozen=True):
    """An item of the stream, and what the client has once it has got it."""

    item: _Item
    received: Callable[[], None] | None = None


class Wish(msgspec.Struct, frozen=True):
    """What RopSynchronizationConfigure asked for; ``flags`` and ``extra_flags`` are the ROP's."""

    flags: int
    extra_flags: int
    selection: Selection
    associated_selection: Selection
    keeps: Predicate | None = None

    def has(self, flag: int) -> bool:
        """Whether one of SynchronizationFlags is set."""
        return bool(self.flags & flag)

    def has_extra(self, flag: int) -> bool:
        """Whether one of SynchronizationExtraFlags is set."""
        return bool(self.extra_flags & flag)


class Lacking(msgspec.Struct, frozen=True):
    """What a client lacks of a folder's messages; sets are of the numbers by which it knows them."""

    messages: tuple[Message, ...]
    deleted: GlobSet
    no_longer_in_scope: GlobSet
    read: GlobSet
    unread: GlobSet

    @classmethod
    def of(cls, folder: Folder, state: ClientState, wish: Wish) -> "Lacking":
        """By the rules: an unseen change is sent whole, a read mark is not, and what is gone is told."""
        associated = list(folder.associated.values()) if wish.has(rop.SYNC_FAI) else []
        normal = list(folder.messages.values()) if wish.has(rop.SYNC_NORMAL) else []
        outside: list[Message] = []
        if wish.keeps is not None:
            outside = [message for message in (*associated, *normal) if not wish.keeps(message)]
            associated, normal = (list(filter(wish.keeps, each)) for each in (associated, normal))
        seen, seen_associated = state.seen.own, state.seen_associated.own
        messages = sorted((m for m in normal if m.change_counter not in seen), key=_order(wish))
        hidden = [m for m in associated if m.change_counter not in seen_associated]
        marked: list[Message] = []
        if wish.has(rop.SYNC_READ_STATE):
            known = state.read.own
            marked = [
                m
                for m in normal
                if m.read_counter and m.read_counter not in known and m.change_counter in seen
            ]
        existing = counters_of((*folder.associated.values(), *folder.messages.values()))
        return cls(
            (*hidden, *messages),
            state.given.own - existing,
            state.given.own & counters_of(outside),
            counters_of(m for m in marked if m.is_read),
            counters_of(m for m in marked if not m.is_read),
        )


def _order(wish: Wish) -> Callable[[Message], int]:
    """Oldest change first, or newest mail first."""
    if wish.has_extra(rop.EXTRA_ORDER_BY_DELIVERY_TIME):
        return lambda message: -(message.delivered or message.created)
    return lambda message: message.change_counter


def contents_stream(
    store: ObjectStore,
    folder: Folder,
    state: ClientState,
    wish: Wish,
    content_for: Callable[[Selection], StreamContent],
) -> Iterator[Element]:
    """The stream of a folder's messages (contentsSync); ``state`` grows as they go out."""
    lacking, last = Lacking.of(folder, state, wish), store.last_change
    steps = _contents_steps(lacking, state, wish, content_for)

    def finish() -> None:
        if wish.has(rop.SYNC_NORMAL):
            state.seen.add_all_to(last)
        if wish.has(rop.SYNC_FAI):
            state.seen_associated.add_all_to(last)
        if wish.has(rop.SYNC_NORMAL) and wish.has(rop.SYNC_READ_STATE):
            state.read.add_all_to(last)

    return _stream(steps, state, finish)


def _contents_steps(
    lacking: Lacking,
    state: ClientState,
    wish: Wish,
    content_for: Callable[[Selection], StreamContent],
) -> Iterator[_Step]:
    if wish.has(rop.SYNC_PROGRESS):
        yield _Step(_progress_total(lacking.messages))
    normal = content_for(wish.selection.without(*_IN_MESSAGE_HEADER))
    associated = content_for(wish.associated_selection.without(*_IN_MESSAGE_HEADER))
    for message in lacking.messages:
        if not message.deleted:
            if wish.has(rop.SYNC_PROGRESS):
                yield _Step(ProgressPerMessage(message.content.size, message.associated))
            content = associated if message.associated else normal
            yield _message_step(message, state, wish, content)
    outside = GlobSet() if wish.has(rop.SYNC_IGNORE_NO_LONGER_IN_SCOPE) else lacking.no_longer_in_scope
    if (lacking.deleted or outside) and not wish.has(rop.SYNC_NO_DELETIONS):
        deletions = Deletions(deleted=_ids(lacking.deleted), no_longer_in_scope=_ids(outside))
        yield _Step(deletions, lambda: state.given.remove(lacking.deleted | outside))
    if lacking.read or lacking.unread:
        yield _Step(ReadStateChanges(_ids(lacking.read), _ids(lacking.unread)))


def _message_step(message: Message, state: ClientState, wish: Wish, content: StreamContent) -> _Step:
    history = message.history
    header = MessageChangeHeader(
        message.store.source_key(message.message_id),
        message.modified,
        history.change_key,
        history.predecessor_change_list,
        message.associated,
        message.message_id if wish.has_extra(rop.EXTRA_EID) else None,
        message.content.size if wish.has_extra(rop.EXTRA_MESSAGE_SIZE) else None,
        object_id(message.change_counter) if wish.has_extra(rop.EXTRA_CHANGE_NUMBER) else None,
    )
    change = MessageChange(header, content.message(message, message.content))
    version = MessageVersion.of(message)
    return _Step(change, lambda: state.has(version))


def _progress_total(messages: Iterable[Message]) -> ProgressTotal:
    sizes: tuple[list[int], list[int]] = [], []
    for message in messages:
        sizes[message.associated].append(message.content.size)
    normal, associated = sizes
    return ProgressTotal(len(associated), sum(associated), len(normal), sum(normal))


def hierarchy_stream(
    store: ObjectStore,
    top: Folder,
    state: ClientState,
    wish: Wish,
    content_for: Callable[[Selection], StreamContent],
) -> Iterator[Element]:
    """The stream of the folders below ``top`` (hierarchySync); ``state`` grows as they go out."""
    folders, last = tuple(top.descendants()), store.last_change
    seen = state.seen.own
    changed = [folder for folder in folders if folder.last_counter not in seen]
    deleted = state.given.own - GlobSet.of(folder.counter for folder in folders)
    content = content_for(wish.selection.without(*_IN_FOLDER_HEADER, *_MADE_UP_BY_CLIENTS))

    def steps() -> Iterator[_Step]:
        for folder in changed:
            if folder.folder_id in store.folders:
                yield _folder_step(folder, top, state, wish, content)
        if deleted and not wish.has(rop.SYNC_NO_DELETIONS):
            yield _Step(Deletions(deleted=_ids(deleted)), lambda: state.given.remove(deleted))

    return _stream(steps(), state, lambda: state.seen.add_all_to(last))


def _folder_step(
    folder: Folder, top: Folder, state: ClientState, wish: Wish, content: StreamContent
) -> _Step:
    history, has_ids = folder.history, wish.has_extra(rop.EXTRA_EID)
    change = FolderChange(
        b"" if folder.parent is top else folder.get(PidTagParentSourceKey),
        folder.get(PidTagSourceKey),
        folder.modified,
        history.change_key,
        history.predecessor_change_list,
        folder.display_name,
        folder.folder_id if has_ids else None,
        folder.get(PidTagParentFolderId) if has_ids else None,
        tuple(content.folder_properties(folder)),
    )
    as_sent = folder.counter, folder.last_counter
    return _Step(change, lambda: state.has_folder(*as_sent))


def _ids(counters: GlobSet) -> IdSetByReplId:
    return IdSetByReplId.of_counters({REPLICA_ID: counters})


def _stream(steps: Iterable[_Step], state: ClientState, finish: Callable[[], None]) -> Iterator[Element]:
    """The elements of all steps, then the state.

    A step counts as received when the first element behind it has been taken: only then can a client tell
    that it has it whole.
    """
    received: Callable[[], None] | None = None
    for step in steps:
        for element in step.item.elements():
            yield element
            if received is not None:
                received()
                received = None
        received = step.received
    yield IncrSyncStateBegin
    if received is not None:
        received()
    finish()
    for tag, value in state.state().values():
        yield Property(tag, value)
    yield IncrSyncStateEnd
    yield IncrSyncEnd
