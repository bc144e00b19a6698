"""Removing from a mailbox what a run has put there, and nothing else."""

from collections.abc import Sequence
from typing import Final

from loadgen.client.store_session import StoreSession
from loadgen.errors import WrongAnswer
from loadgen.protocol.emsmdb_session import RopBatch, ServerObjectHandle
from loadgen.wire import properties as p
from loadgen.wire.properties import PropertyValue
from loadgen.wire.restrictions import PREFIX, RestrictContent
from loadgen.wire.rop import oxcfold, oxcstor, oxctabl

CLEANED: Final = (oxcstor.INBOX, oxcstor.SENT_ITEMS, oxcstor.DELETED_ITEMS)
"""Where mail of a run may be, by its place among the folder ids of a logon."""

_COLUMNS: Final = (p.PidTagMid, p.PidTagNormalizedSubject)
_AT_A_TIME: Final = 50


async def remove_mail(
    store: StoreSession, logon: ServerObjectHandle, folder_ids: Sequence[int], begins_with: str
) -> int:
    """Deletes messages whose subject begins so; returns how many. Raises :class:`~loadgen.errors.PeerError`.

    The server picks them by a restriction, and each is looked at once more: a server that does not know the
    restriction must not cost anybody his mail.
    """
    removed: set[int] = set()
    for place in CLEANED:
        while found := await _find(store, logon, folder_ids[place], begins_with):
            if not removed.isdisjoint(found):
                raise WrongAnswer(f"folder 0x{folder_ids[place]:016X} still has messages that were deleted")
            await _delete(store, logon, folder_ids[place], found)
            removed.update(found)
    return len(removed)


async def _find(
    store: StoreSession, logon: ServerObjectHandle, folder_id: int, begins_with: str
) -> tuple[int, ...]:
    """Ids of some of the messages that are left."""
    tag = p.PidTagNormalizedSubject
    wanted = RestrictContent(PREFIX, 0, tag, PropertyValue(tag, begins_with))
    batch = RopBatch()
    parent, folder, table = batch.use(logon), batch.reserve(), batch.reserve()
    batch.add(oxcfold.RopOpenFolderRequest(0, parent, folder, folder_id))
    batch.add(oxcfold.RopGetContentsTableRequest(0, folder, table, oxcfold.NO_NOTIFICATIONS))
    batch.add(oxctabl.RopSetColumnsRequest(0, table, 0, _COLUMNS))
    batch.add(oxctabl.RopRestrictRequest(0, table, 0, wanted))
    batch.add(oxctabl.RopQueryRowsRequest(0, table, oxctabl.ADVANCE, True, _AT_A_TIME))
    batch.release(table)
    batch.release(folder)
    rows = (await store.run(batch)).one(oxctabl.RopQueryRowsResponse).rows
    return tuple(row.get(p.PidTagMid, 0) for row in rows if str(row.get(tag, "")).startswith(begins_with))


async def _delete(
    store: StoreSession, logon: ServerObjectHandle, folder_id: int, message_ids: tuple[int, ...]
) -> None:
    batch = RopBatch()
    parent, folder = batch.use(logon), batch.reserve()
    batch.add(oxcfold.RopOpenFolderRequest(0, parent, folder, folder_id))
    batch.add(oxcfold.RopDeleteMessagesRequest(0, folder, False, False, message_ids))
    batch.release(folder)
    results = await store.run(batch)
    if results.one(oxcfold.RopDeleteMessagesResponse).partial_completion:
        raise WrongAnswer(f"folder 0x{folder_id:016X} kept some of the run's messages")
