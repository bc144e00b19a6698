"""Reading and publishing a user's own free/busy message in the public store ([MS-OXOPFFB] 3.1.4)."""

from collections.abc import Callable
from datetime import UTC, datetime

from loadgen.client.account import Account
from loadgen.client.composing import check_properties
from loadgen.client.free_busy import COLUMNS, FreeBusy, absent
from loadgen.client.rows import find_row
from loadgen.client.store_session import StoreSession
from loadgen.errors import WrongAnswer
from loadgen.protocol.emsmdb_session import RopBatch, ServerObjectHandle
from loadgen.wire import properties as p
from loadgen.wire.properties import PropertyValue
from loadgen.wire.rop import oxcfold, oxcmsg, oxcprpt, oxctabl

_GROUP_COLUMNS = (p.PidTagFolderId, p.PidTagDisplayName)
_MESSAGE_COLUMNS = (p.PidTagFolderId, p.PidTagMid, p.PidTagNormalizedSubject)
_BY_SUBJECT = (oxctabl.SortOrder(p.PidTagNormalizedSubject),)
_GROUPS = 200
"""Administrative groups that are looked through."""


class FreeBusyMessage:
    """The message of ``account``; found or made when it is first published.

    ``folder_id`` is that of all free/busy data, with a folder for each administrative group below.
    """

    __slots__ = (
        "_account",
        "_folder_id",
        "_group_folder_id",
        "_logon",
        "_message_id",
        "_published",
        "_store",
        "_wall_clock",
    )

    def __init__(
        self,
        account: Account,
        store: StoreSession,
        logon: ServerObjectHandle,
        folder_id: int,
        wall_clock: Callable[[], float],
    ) -> None:
        self._account = account
        self._store = store
        self._logon = logon
        self._folder_id = folder_id
        self._wall_clock = wall_clock
        self._group_folder_id = 0
        self._message_id = 0
        self._published: FreeBusy | None = None

    async def publish(self) -> None:
        """Reads the message, checks that it says what was published last, and publishes the calendar of now.

        The first time that is what the message said before; each time after that there is an appointment
        more. Raises :class:`~loadgen.errors.PeerError`.
        """
        if not self._message_id:
            self._group_folder_id, self._message_id = await self._find()
        now = self._wall_clock()
        today = datetime.fromtimestamp(now, UTC)
        batch = RopBatch()
        if self._message_id:
            handle, calendar = await self._read()
            message = batch.use(handle)
        else:
            calendar, message = FreeBusy.of_month(today), self._create(batch)
        calendar = calendar.moved_to(today)
        if self._published is not None:
            calendar = calendar.with_appointment(today)
        self._message_id = await self._write(batch, message, calendar, p.filetime_from_unix(now))
        self._published = calendar

    async def _find(self) -> tuple[int, int]:
        """The ids of the group's folder and of the message in it, 0 if there is no message yet."""
        group, name = _place_of(self._account.legacy_dn)
        batch = RopBatch()
        logon, folder, table = batch.use(self._logon), batch.reserve(), batch.reserve()
        batch.add(oxcfold.RopOpenFolderRequest(0, logon, folder, self._folder_id))
        batch.add(oxcfold.RopGetHierarchyTableRequest(0, folder, table, oxcfold.NO_NOTIFICATIONS))
        batch.add(oxctabl.RopSetColumnsRequest(0, table, 0, _GROUP_COLUMNS))
        batch.add(oxctabl.RopQueryRowsRequest(0, table, oxctabl.ADVANCE, True, _GROUPS))
        batch.release(table)
        batch.release(folder)
        rows = (await self._store.run(batch)).one(oxctabl.RopQueryRowsResponse).rows
        for row in rows:
            if row.get(p.PidTagDisplayName, "").casefold() == group.casefold():
                folder_id: int = row.get(p.PidTagFolderId, 0)
                return folder_id, await self._find_message(folder_id, name)
        raise WrongAnswer(f"there is no free/busy folder {group}")

    async def _find_message(self, folder_id: int, subject: str) -> int:
        batch = RopBatch()
        logon, folder, table = batch.use(self._logon), batch.reserve(), batch.reserve()
        batch.add(oxcfold.RopOpenFolderRequest(0, logon, folder, folder_id))
        batch.add(oxcfold.RopGetContentsTableRequest(0, folder, table, oxcfold.NO_NOTIFICATIONS))
        batch.add(oxctabl.RopSetColumnsRequest(0, table, 0, _MESSAGE_COLUMNS))
        batch.add(oxctabl.RopSortTableRequest(0, table, 0, _BY_SUBJECT))
        batch.release(folder)
        handle = (await self._store.run(batch)).handles[table]
        async with self._store.lent(handle):
            row = await find_row(self._store, handle, PropertyValue(p.PidTagNormalizedSubject, subject))
        message_id: int = 0 if row is None else row.get(p.PidTagMid, 0)
        return message_id

    async def _read(self) -> tuple[ServerObjectHandle, FreeBusy]:
        """The open message, and what it says."""
        batch = RopBatch()
        logon, message = batch.use(self._logon), batch.reserve()
        batch.add(
            oxcmsg.RopOpenMessageRequest(
                0,
                logon,
                message,
                oxcmsg.LOGON_CODE_PAGE,
                self._group_folder_id,
                oxcmsg.READ_WRITE,
                self._message_id,
            )
        )
        batch.add(oxcprpt.RopGetPropertiesSpecificRequest(0, message, 0, 1, COLUMNS))
        results = await self._store.run(batch)
        handle = results.handles[message]
        try:
            row = results.one(oxcprpt.RopGetPropertiesSpecificResponse).row
            found = FreeBusy.from_row(row, self._account.legacy_dn)
            if self._published is not None and found != self._published:
                raise WrongAnswer(f"free/busy data of {self._account.alias} is not what was published")
        except WrongAnswer:
            await self._store.release(handle)
            raise
        return handle, found

    def _create(self, batch: RopBatch) -> int:
        logon, message = batch.use(self._logon), batch.reserve()
        batch.add(
            oxcmsg.RopCreateMessageRequest(0, logon, message, oxcmsg.LOGON_CODE_PAGE, self._group_folder_id)
        )
        return message

    async def _write(self, batch: RopBatch, message: int, calendar: FreeBusy, now: int) -> int:
        """Sets and saves the message at index ``message``, and gives it back; returns its id."""
        values = calendar.properties(self._account.legacy_dn, now)
        if not self._message_id:
            _, subject = _place_of(self._account.legacy_dn)
            values += (
                PropertyValue(p.PidTagMessageClass, "IPM.Post"),
                PropertyValue(p.PidTagSubjectPrefix, ""),
                PropertyValue(p.PidTagNormalizedSubject, subject),
            )
        batch.add(oxcprpt.RopSetPropertiesRequest(0, message, values))
        batch.add(oxcprpt.RopDeletePropertiesRequest(0, message, absent(values)))
        batch.add(oxcmsg.RopSaveChangesMessageRequest(0, message, message, oxcmsg.KEEP_OPEN_READ_WRITE))
        batch.release(message)
        results = await self._store.run(batch)
        check_properties(results)
        return results.one(oxcmsg.RopSaveChangesMessageResponse).message_id


def _place_of(legacy_dn: str) -> tuple[str, str]:
    """The folder and the subject of a user's free/busy message ([MS-OXOPFFB] 2.2.1)."""
    organisation, group, rest = legacy_dn.lstrip("/").split("/", 2)
    return f"EX:/{organisation}/{group}", f"USER-/{rest.upper()}"
