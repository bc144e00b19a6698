"""Synchronisation streams as they arrive: each buffer gives the objects that are complete now."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Final, Generic, NamedTuple, TypeAlias, TypeVar

from loadgen.errors import WireError
from loadgen.wire.fasttransfer.changes import (
    Deletions,
    FailedItem,
    FolderChange,
    MessageChange,
    MessageChangePartial,
    ProgressPerMessage,
    ProgressTotal,
    ReadStateChanges,
)
from loadgen.wire.fasttransfer.elements import Element, Property
from loadgen.wire.fasttransfer.grammar import ElementReader
from loadgen.wire.fasttransfer.markers import (
    FXErrorInfo,
    IncrSyncChg,
    IncrSyncChgPartial,
    IncrSyncDel,
    IncrSyncEnd,
    IncrSyncGroupInfo,
    IncrSyncProgressMode,
    IncrSyncProgressPerMsg,
    IncrSyncRead,
    IncrSyncStateBegin,
    Marker,
    MetaTagIncrSyncGroupId,
)
from loadgen.wire.fasttransfer.parser import FastTransferParser
from loadgen.wire.fasttransfer.state import State

ContentsItem: TypeAlias = (
    ProgressTotal
    | ProgressPerMessage
    | MessageChange
    | MessageChangePartial
    | FailedItem
    | Deletions
    | ReadStateChanges
    | State
)
HierarchyItem: TypeAlias = FolderChange | FailedItem | Deletions | State

ItemT = TypeVar("ItemT")


class _Rule(NamedTuple, Generic[ItemT]):
    """How an item is read, and its stage in the stream.

    Before ``head`` several elements may stand that each could begin the item.
    """

    stage: int
    read: Callable[[ElementReader], ItemT]
    head: Marker | None = None


_NOTHING_YET: Final = -1
_CHANGES: Final = 1
_STATE: Final = 4
_END: Final = 5
"""Stages only go up, and only that of changes has several items."""


class _StreamReader(Generic[ItemT]):
    """Cuts a stream into items at the elements that begin one."""

    def __init__(self, rules: Mapping[object, _Rule[ItemT]]) -> None:
        self._rules = rules
        self._parser = FastTransferParser()
        self._rule: _Rule[ItemT] | None = None
        self._pending: list[Element] = []
        self._offset = 0
        self._stage = _NOTHING_YET

    @property
    def complete(self) -> bool:
        """Whether the stream came to its end."""
        return self._stage == _END

    def feed(self, data: bytes) -> list[ItemT]:
        """The items that are complete now; raises :class:`WireError`."""
        items: list[ItemT] = []
        offset = self._parser.offset
        for element in self._parser.elements(data):
            rule = self._rules.get(element.tag if isinstance(element, Property) else element)
            if element == IncrSyncEnd:
                items += self._close()
                self._end(offset)
            elif rule is not None and not (rule is self._rule and self._before_head(rule)):
                items += self._close()
                self._begin(rule, offset)
                self._pending.append(element)
            elif self._rule is None:
                raise WireError("Element", offset, "belongs to no item")
            else:
                self._pending.append(element)
            offset = self._parser.offset
        return items

    def finish(self) -> None:
        """Raises :class:`WireError` if the stream stopped before its end."""
        self._parser.finish()
        if not self.complete:
            raise WireError("IncrSyncEnd", self._parser.offset, "is missing")

    def _begin(self, rule: _Rule[ItemT], offset: int) -> None:
        if rule.stage < self._stage or rule.stage == self._stage != _CHANGES:
            raise WireError("Element", offset, "comes too late in the stream")
        self._rule, self._offset, self._stage = rule, offset, rule.stage

    def _before_head(self, rule: _Rule[ItemT]) -> bool:
        return rule.head is not None and rule.head not in self._pending

    def _end(self, offset: int) -> None:
        if self._stage != _STATE:
            raise WireError("IncrSyncEnd", offset, "does not follow a state")
        self._stage = _END

    def _close(self) -> list[ItemT]:
        """The pending item, if there is one."""
        if self._rule is None:
            return []
        reader = ElementReader(self._pending, self._offset)
        item = self._rule.read(reader)
        reader.expect_end()
        self._rule, self._pending = None, []
        return [item]


_PARTIAL_CHANGE: Final = _Rule[ContentsItem](_CHANGES, MessageChangePartial.read, IncrSyncChgPartial)
_CONTENTS: Final[Mapping[object, _Rule[ContentsItem]]] = {
    IncrSyncProgressMode: _Rule(0, ProgressTotal.read),
    IncrSyncProgressPerMsg: _Rule(_CHANGES, ProgressPerMessage.read),
    IncrSyncChg: _Rule(_CHANGES, MessageChange.read),
    IncrSyncGroupInfo: _PARTIAL_CHANGE,
    MetaTagIncrSyncGroupId: _PARTIAL_CHANGE,
    IncrSyncChgPartial: _PARTIAL_CHANGE,
    FXErrorInfo: _Rule(_CHANGES, FailedItem.read),
    IncrSyncDel: _Rule(2, Deletions.read),
    IncrSyncRead: _Rule(3, ReadStateChanges.read),
    IncrSyncStateBegin: _Rule(_STATE, State.read),
}
_HIERARCHY: Final[Mapping[object, _Rule[HierarchyItem]]] = {
    IncrSyncChg: _Rule(_CHANGES, FolderChange.read),
    FXErrorInfo: _Rule(_CHANGES, FailedItem.read),
    IncrSyncDel: _Rule(2, Deletions.read),
    IncrSyncStateBegin: _Rule(_STATE, State.read),
}


class ContentsReader(_StreamReader[ContentsItem]):
    """Changes of the messages in a folder, then its state (contentsSync, [MS-OXCFXICS] 2.2.4.2)."""

    def __init__(self) -> None:
        super().__init__(_CONTENTS)


class HierarchyReader(_StreamReader[HierarchyItem]):
    """Changes of the folders below one, then its state (hierarchySync, [MS-OXCFXICS] 2.2.4.2)."""

    def __init__(self) -> None:
        super().__init__(_HIERARCHY)


def synchronization(items: Iterable[ContentsItem | HierarchyItem]) -> Iterator[Element]:
    """The elements of a whole stream, for :class:`~loadgen.wire.fasttransfer.source.FastTransferSource`.

    The items stand in their order of the stream: changes, deletions, read states, state.
    """
    for item in items:
        yield from item.elements()
    yield IncrSyncEnd
