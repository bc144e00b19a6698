"""The view of the Inbox that Outlook keeps open, and the news that it gives ([MS-OXCNOTIF] 3.1.4.3)."""

from array import array
from collections.abc import Iterable, Sequence
from typing import Final

from loadgen.client.content import Content
from loadgen.client.message import NewMessage
from loadgen.client.store_session import StoreSession
from loadgen.errors import RemoteProtocolError, WrongAnswer
from loadgen.protocol.emsmdb_session import UNSET, RopBatch, ServerObjectHandle
from loadgen.wire import properties as p
from loadgen.wire.buffer import Reader
from loadgen.wire.properties import PropertyRow
from loadgen.wire.rop import oxcfold, oxctabl
from loadgen.wire.rop.oxcnotif import (
    TABLE_CHANGED,
    TABLE_ROW_ADDED,
    TABLE_ROW_DELETED,
    TABLE_ROW_MODIFIED,
    RopNotifyResponse,
    TableEvent,
)

COLUMNS: Final = (
    p.PidTagFolderId,
    p.PidTagMid,
    p.PidTagInstID,
    p.PidTagInstanceNum,
    p.PidTagMessageClass,
    p.PidTagImportance,
    p.PidTagMessageFlags,
    p.PidTagMessageSize,
    p.PidTagMessageDeliveryTime,
    p.PidTagClientSubmitTime,
    p.PidTagHasAttachments,
    p.PidTagSentRepresentingName,
    p.PidTagSubject,
    p.PidTagNormalizedSubject,
)
SCREEN: Final = 50
"""Rows that are read at once."""

_NEWEST_FIRST = (oxctabl.SortOrder(p.PidTagMessageDeliveryTime, oxctabl.DESCENDING),)
_MOST_KNOWN = 2 * SCREEN
"""How many messages are remembered: enough to know a screen's rows again, little for thousands of users."""


class InboxView:
    """The rows of the Inbox, newest first; all methods raise :class:`~loadgen.errors.PeerError`.

    ``count`` is how many messages the Inbox holds by what the server has told so far.
    """

    __slots__ = ("_known", "_store", "count", "table")

    def __init__(self, store: StoreSession) -> None:
        self._store = store
        self._known = array("Q")
        self.table = UNSET
        self.count = 0

    async def open(self, inbox: ServerObjectHandle) -> None:
        """Shows the first screen. From now on the server tells of changes."""
        batch = RopBatch()
        folder, table = batch.use(inbox), batch.reserve()
        batch.add(oxcfold.RopGetContentsTableRequest(0, folder, table))
        batch.add(oxctabl.RopSetColumnsRequest(0, table, 0, COLUMNS))
        batch.add(oxctabl.RopSortTableRequest(0, table, 0, _NEWEST_FIRST))
        batch.add(oxctabl.RopQueryRowsRequest(0, table, oxctabl.ADVANCE, True, SCREEN))
        results = await self._store.run(batch)
        self.table = results.handles[table]
        self.count = results.one(oxcfold.RopGetContentsTableResponse).row_count
        rows = results.one(oxctabl.RopQueryRowsResponse).rows
        if len(rows) != min(self.count, SCREEN):
            raise WrongAnswer(f"the Inbox holds {self.count} messages but its view shows {len(rows)} rows")
        self._remember(rows)

    async def fetch_news(self) -> list[NewMessage]:
        """The messages that have come since the last call, in the order of their arrival."""
        events = self._own_events(await self._store.take_notifications())
        if any(event.event_type == TABLE_CHANGED for event in events):
            return await self._read_again()
        return [message for event in events for message in self._follow(event)]

    def _own_events(self, notifications: Iterable[RopNotifyResponse]) -> list[TableEvent]:
        return [
            notification.event
            for notification in notifications
            if notification.notification_handle == self.table and isinstance(notification.event, TableEvent)
        ]

    def _follow(self, event: TableEvent) -> list[NewMessage]:
        """What one event has brought; a row that was read before its event came is not counted twice."""
        if event.event_type == TABLE_ROW_ADDED:
            reader = Reader(event.row_data)
            row = PropertyRow.read(reader, self._store.columns_of(self.table))
            reader.expect_end("TableRowData")
            if _id_of(row) in self._known:
                return []
            self.count += 1
            self._remember((row,))
            return [_new_message(row)]
        if event.event_type == TABLE_ROW_DELETED:
            self.count -= 1
            if event.row.message_id in self._known:
                self._known.remove(event.row.message_id)
        elif event.event_type != TABLE_ROW_MODIFIED:
            raise RemoteProtocolError(f"table event {event.event_type} on a view of the Inbox")
        return []

    async def _read_again(self) -> list[NewMessage]:
        """Looks for itself: the server stops telling row by row when there is too much to tell."""
        known, fresh, screens, more = set(self._known), list[PropertyRow](), 0, True
        while more:
            rows = await self._read_screen(from_start=screens == 0)
            unknown = [row for row in rows if _id_of(row) not in known]
            known.update(map(_id_of, unknown))
            fresh += unknown
            screens += 1
            more = bool(rows) and len(unknown) == len(rows)
        self._remember(fresh)
        arrived = [_new_message(row) for row in reversed(fresh)]
        if screens > 1:
            return arrived + await self._read_again()  # what came meanwhile stands above what was read
        for event in self._own_events(self._store.take_kept()):
            if event.event_type == TABLE_ROW_ADDED:  # other events tell of what the rows have shown already
                arrived += self._follow(event)
        return arrived

    async def _read_screen(self, *, from_start: bool = False) -> Sequence[PropertyRow]:
        batch = RopBatch()
        table = batch.use(self.table)
        if from_start:
            batch.add(oxctabl.RopSeekRowRequest(0, table, oxctabl.BOOKMARK_BEGINNING, 0, False))
        batch.add(oxctabl.RopQueryRowsRequest(0, table, oxctabl.ADVANCE, True, SCREEN))
        batch.add(oxctabl.RopQueryPositionRequest(0, table))
        results = await self._store.run(batch)
        self.count = results.one(oxctabl.RopQueryPositionResponse).denominator
        return results.one(oxctabl.RopQueryRowsResponse).rows

    def _remember(self, newest_first: Sequence[PropertyRow]) -> None:
        self._known.extend(map(_id_of, reversed(newest_first)))
        del self._known[:-_MOST_KNOWN]


def _id_of(row: PropertyRow) -> int:
    message_id: int = row.get(p.PidTagMid, 0)
    return message_id


def _new_message(row: PropertyRow) -> NewMessage:
    content = Content.from_subject(row.get(p.PidTagNormalizedSubject, ""))
    return NewMessage(_id_of(row), content.key if content else "")
