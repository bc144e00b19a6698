"""What Outlook does on its public folder connection: log on, look at the hierarchy, stay."""

from loadgen.client.store_session import StoreSession
from loadgen.errors import MapiError, WrongAnswer
from loadgen.protocol.emsmdb_session import RopBatch, ServerObjectHandle
from loadgen.wire.auxiliary import AuxiliaryBlock
from loadgen.wire.properties import PidTagContentCount, PidTagDisplayName, PidTagFolderId, PidTagSubfolders
from loadgen.wire.rop import oxcstor
from loadgen.wire.rop.oxcfold import (
    RopGetHierarchyTableRequest,
    RopGetHierarchyTableResponse,
    RopOpenFolderRequest,
)
from loadgen.wire.rop.oxcstor import RopLogonPublicResponse, RopLogonRequest
from loadgen.wire.rop.oxctabl import RopQueryRowsRequest, RopQueryRowsResponse, RopSetColumnsRequest

_COLUMNS = (PidTagFolderId, PidTagDisplayName, PidTagContentCount, PidTagSubfolders)
_ROWS = 50


class PublicFolders:
    """The public folder store, seen by one user."""

    __slots__ = ("_logon", "store")

    def __init__(self, store: StoreSession) -> None:
        self.store = store
        self._logon = ServerObjectHandle(0)

    async def log_on(self, *about: AuxiliaryBlock) -> None:
        """Opens the session, logs on, and lists the folders below "All Public Folders"."""
        await self.store.connect(*about)
        batch = RopBatch()
        batch.add(
            RopLogonRequest(
                0,
                batch.reserve(),
                logon_flags=0,
                open_flags=oxcstor.PUBLIC
                | oxcstor.HOME_LOGON
                | oxcstor.NO_MAIL
                | oxcstor.USE_PER_MDB_REPLICA_IDS,
            )
        )
        try:
            results = await self.store.run(batch)
        except MapiError as error:
            raise MapiError("RopLogon to the public folders", error.code) from error
        self._logon = results.handles[0]
        await self._list(results.one(RopLogonPublicResponse).folder_ids[oxcstor.PUBLIC_IPM_SUBTREE])

    async def log_off(self) -> None:
        """Gives the logon back and ends the session."""
        await self.store.release(self._logon)
        await self.store.disconnect()

    async def _list(self, folder_id: int) -> None:
        batch = RopBatch()
        logon, folder, table = batch.use(self._logon), batch.reserve(), batch.reserve()
        batch.add(RopOpenFolderRequest(0, logon, folder, folder_id))
        batch.add(RopGetHierarchyTableRequest(0, folder, table, 0))
        batch.add(RopSetColumnsRequest(0, table, 0, _COLUMNS))
        batch.add(RopQueryRowsRequest(0, table, 0, True, _ROWS))
        results = await self.store.run(batch)
        told = results.one(RopGetHierarchyTableResponse).row_count
        got = len(results.one(RopQueryRowsResponse).rows)
        if got != min(told, _ROWS):
            raise WrongAnswer(f"the public hierarchy has {told} folders but {got} rows came")
        await self.store.release(results.handles[table], results.handles[folder])
