"""A session with an information store over one RPC connection: ROPs in batches, and news as it comes."""

import asyncio
from collections.abc import AsyncIterator, Callable, Collection
from contextlib import asynccontextmanager

from loadgen.client.transport import RpcConnection
from loadgen.errors import (
    ConnectionLost,
    MapiError,
    PeerError,
    RemoteProtocolError,
    WireError,
    WrongAnswer,
)
from loadgen.protocol.emsmdb_session import EmsmdbSession, RopBatch, RopResults, ServerObjectHandle
from loadgen.wire.auxiliary import AuxiliaryBlock
from loadgen.wire.emsmdb import EcDoAsyncWaitExResponse
from loadgen.wire.properties import PropertyTag
from loadgen.wire.rop.oxcnotif import RopNotifyResponse

_WAIT_TIMEOUT_S = 15 * 60.0
"""A server completes EcDoAsyncWaitEx after five minutes without news; some take longer."""


class StoreSession:
    """What a mailbox and the public folders have in common.

    ``on_news`` is called when :meth:`take_notifications` has something to give: the server said so, or
    notifications came along with other answers. ``on_failure`` is called once if the session is of no more
    use though its connection is. All calls raise :class:`~loadgen.errors.PeerError`.
    """

    __slots__ = (
        "_connection",
        "_failure",
        "_notifications",
        "_wait",
        "_waiting",
        "on_failure",
        "on_news",
        "session",
    )

    def __init__(self, connection: RpcConnection, session: EmsmdbSession) -> None:
        self._connection = connection
        self.session = session
        self._notifications: list[RopNotifyResponse] = []
        self._wait: asyncio.Future[bytes] | None = None
        self._waiting = False
        self._failure: PeerError | None = None
        self.on_news: Callable[[], None] | None = None
        self.on_failure: Callable[[PeerError], None] | None = None

    @property
    def poll_interval_s(self) -> float:
        """How often the server wants to be asked for news, at most."""
        return self.session.poll_interval_s

    def columns_of(self, table: ServerObjectHandle) -> tuple[PropertyTag, ...]:
        """The columns of an open table."""
        return self.session.columns_of(table)

    async def connect(self, *about: AuxiliaryBlock, link: "StoreSession | None" = None) -> str:
        """Opens the session (EcDoConnectEx), linked to another one of the same user if there is one.

        Returns the prefix by which recipients' names are shortened.
        """
        other = None if link is None else link.session
        response = await self._connection.call(self.session.connect(*about, link=other))
        self.session.take_connected(response)
        return response.dn_prefix or ""

    async def wait_for_news(self) -> None:
        """From now on a call waits in the server for news (EcDoAsyncConnectEx, EcDoAsyncWaitEx)."""
        self.session.take_async_connected(await self._connection.call(self.session.connect_async()))
        self._waiting = True
        self._wait_again()

    async def run(
        self, batch: RopBatch, *, chain: bool = False, tolerated: Collection[int] = ()
    ) -> RopResults:
        """Carries out ``batch``, all of which must succeed, or fail as ``tolerated``.

        Keeps the notifications that come along.
        """
        if self._failure is not None:
            raise ConnectionLost(str(self._failure))
        response = await self._connection.call(self.session.execute(batch, chain=chain))
        try:
            results = self.session.take_executed(batch, response)
        finally:
            if not self.session.connected:
                self._fail(RemoteProtocolError("the store ended the session"))
        if self._waiting and self._wait is None:
            self._wait_again()
        if results.notifications:
            self._notifications += results.notifications
            if batch.requests and self.on_news is not None:
                self.on_news()
        results.require_success(tolerated)
        if len(results.handles) < len(batch.handles):
            raise RemoteProtocolError(f"{len(results.handles)} handles came back for {len(batch.handles)}")
        return results

    async def release(self, *handles: ServerObjectHandle) -> None:
        """Gives objects back, children first."""
        batch = RopBatch()
        for handle in handles:
            batch.release(batch.use(handle))
            self.session.release(handle)
        await self.run(batch)

    @asynccontextmanager
    async def lent(self, handle: ServerObjectHandle) -> AsyncIterator[list[ServerObjectHandle]]:
        """Gives an object back when work on it is over, also when the server did something wrong with it.

        Objects opened from it, which the work adds to the list, are given back with it; what the work takes
        out is not.
        """
        handles = [handle]
        try:
            yield handles
        except (MapiError, RemoteProtocolError, WireError, WrongAnswer):
            if self._failure is None and handles:
                await self.release(*reversed(handles))
            raise
        if handles:
            await self.release(*reversed(handles))

    async def take_notifications(self) -> list[RopNotifyResponse]:
        """Asks for what is new with an empty ROP list, and returns all notifications since the last time."""
        await self.run(RopBatch())
        return self.take_kept()

    def take_kept(self) -> list[RopNotifyResponse]:
        """Those notifications alone that came along with other answers since the last time."""
        kept, self._notifications = self._notifications, []
        return kept

    async def disconnect(self) -> None:
        """Ends the session (EcDoDisconnect); the connection stays."""
        self._stop_waiting()
        self.session.take_disconnected(await self._connection.call(self.session.disconnect()))

    def _wait_again(self) -> None:
        try:
            self._wait = self._connection.begin(self.session.wait(), _WAIT_TIMEOUT_S)
        except ConnectionLost:
            return  # the connection itself reports its loss, once for all calls
        self._wait.add_done_callback(self._waited)

    def _waited(self, wait: asyncio.Future[bytes]) -> None:
        try:
            stub = wait.result()
            if wait is not self._wait:
                return  # given up since; but asyncio complains of an outcome that nobody looked at
            news = self.session.take_waited(EcDoAsyncWaitExResponse.decode(stub))
        except (asyncio.CancelledError, ConnectionLost):
            return
        except PeerError as error:
            if wait is self._wait:
                self._fail(error)
            return
        if not news:
            self._wait_again()
            return
        self._wait = None  # the server would answer at once until the notifications are fetched
        if self.on_news is not None:
            self.on_news()

    def _fail(self, error: PeerError) -> None:
        self._stop_waiting()
        self._failure = error
        if self.on_failure is not None:
            self.on_failure(error)

    def _stop_waiting(self) -> None:
        self._waiting = False
        self._wait = None
