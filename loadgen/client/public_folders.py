"""What Outlook does on its public folder connection."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from loadgen.client.account import Account
from loadgen.client.folder_posts import FolderPosts
from loadgen.client.free_busy_message import FreeBusyMessage
from loadgen.client.store_session import StoreSession
from loadgen.client.streams import StreamReader
from loadgen.errors import MapiError, WrongAnswer
from loadgen.protocol.emsmdb_session import UNSET, RopBatch
from loadgen.wire.auxiliary import AuxiliaryBlock
from loadgen.wire.properties import (
    PidTagContentCount,
    PidTagDisplayName,
    PidTagFolderId,
    PidTagSubfolders,
    filetime_from_unix,
)
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
    """The public folder store, seen by ``account``; all calls raise :class:`~loadgen.errors.PeerError`.

    ``on_news`` is called when the server has something to tell that no call under way will fetch.
    """

    __slots__ = (
        "_account",
        "_folder_ids",
        "_free_busy",
        "_is_at_work",
        "_logon",
        "_streams",
        "_visits",
        "_wall_clock",
        "on_news",
        "store",
    )

    def __init__(
        self, account: Account, store: StoreSession, streams: StreamReader, wall_clock: Callable[[], float]
    ) -> None:
        self.store = store
        self._account = account
        self._streams = streams
        self._wall_clock = wall_clock
        self._logon = UNSET
        self._folder_ids: Sequence[int] = ()
        self._visits = account.index
        self._is_at_work = False
        self._free_busy: FreeBusyMessage
        self.on_news: Callable[[], None] | None = None
        store.on_news = self._told

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
        folder_ids = results.one(RopLogonPublicResponse).folder_ids
        self._folder_ids = await self._list(folder_ids[oxcstor.PUBLIC_IPM_SUBTREE])
        self._free_busy = FreeBusyMessage(
            self._account, self.store, self._logon, folder_ids[oxcstor.PUBLIC_FREE_BUSY], self._wall_clock
        )

    async def browse(self) -> None:
        """Looks at the next folder in turn and reads the newest post in it."""
        with self._at_work():
            posts = self._next_folder()
            async with self.store.lent(await posts.open()):
                posts.check()
                await posts.read_newest(self._streams)

    async def post(self, key: str) -> None:
        """Looks at the next folder in turn, and writes the post ``key`` there."""
        with self._at_work():
            posts = self._next_folder()
            view = await posts.open()
            async with self.store.lent(view):
                posts.check()
                await posts.post(key, view, filetime_from_unix(self._wall_clock()))

    async def publish_free_busy(self) -> None:
        """Reads the user's own free/busy message and publishes it anew."""
        with self._at_work():
            await self._free_busy.publish()

    async def fetch_news(self) -> None:
        """Takes what the server has to tell; nothing stays open long enough to be followed."""
        with self._at_work():
            await self.store.take_notifications()

    async def log_off(self) -> None:
        """Gives the logon back and ends the session."""
        with self._at_work():
            await self.store.release(self._logon)
            await self.store.disconnect()

    def _next_folder(self) -> FolderPosts:
        if not self._folder_ids:
            raise WrongAnswer("there is no public folder to look at")
        folder_id = self._folder_ids[self._visits % len(self._folder_ids)]
        self._visits += 1
        return FolderPosts(self._account, self.store, self._logon, folder_id)

    @contextmanager
    def _at_work(self) -> Iterator[None]:
        """What the server tells meanwhile comes along with the answers, and is of no use afterwards."""
        self._is_at_work = True
        try:
            yield
        finally:
            self._is_at_work = False
            self.store.take_kept()

    def _told(self) -> None:
        if not self._is_at_work and self.on_news is not None:
            self.on_news()

    async def _list(self, folder_id: int) -> Sequence[int]:
        batch = RopBatch()
        logon, folder, table = batch.use(self._logon), batch.reserve(), batch.reserve()
        batch.add(RopOpenFolderRequest(0, logon, folder, folder_id))
        batch.add(RopGetHierarchyTableRequest(0, folder, table, 0))
        batch.add(RopSetColumnsRequest(0, table, 0, _COLUMNS))
        batch.add(RopQueryRowsRequest(0, table, 0, True, _ROWS))
        results = await self.store.run(batch)
        told = results.one(RopGetHierarchyTableResponse).row_count
        rows = results.one(RopQueryRowsResponse).rows
        if len(rows) != min(told, _ROWS):
            raise WrongAnswer(f"the public hierarchy has {told} folders but {len(rows)} rows came")
        await self.store.release(results.handles[table], results.handles[folder])
        return tuple(row.get(PidTagFolderId, 0) for row in rows)
