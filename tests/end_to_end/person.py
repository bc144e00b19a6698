"""Somebody with an Outlook: a client of the generator, with a memory of what it was told."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from loadgen.client.account import Account, RpcProxy
from loadgen.client.client_type import ClientType
from loadgen.client.dialect import Dialect
from loadgen.client.local_copy import LocalCopy
from loadgen.client.message import NewMessage, OutgoingMessage
from loadgen.client.outlook import OutlookClient
from loadgen.client.transport import ConnectionOptions
from loadgen.errors import PeerError
from loadgen.workload import library
from tests.end_to_end.mock_organisation import MockOrganisation

CLIENT_TYPES = {name: library.read("client", name, ClientType) for name in library.built_in_names("client")}
"""All that there are, by name."""

_PATIENCE_S = 10.0
_POLL_S = 0.02


class Person:
    """A user of ``mock``; ``lost`` and ``layers`` are what the client said, in order."""

    def __init__(
        self,
        mock: MockOrganisation,
        index: int,
        client_type: ClientType,
        *,
        startup: bool = True,
        proxy: RpcProxy | None = None,
        account: Account | None = None,
        options: ConnectionOptions = ConnectionOptions(),  # noqa: B008 - frozen
        copy: LocalCopy | None = None,
        dialect: Dialect = Dialect(),  # noqa: B008 - frozen
    ) -> None:
        self.account = account or mock.account(index)
        self.client_type = client_type
        self.lost: list[PeerError] = []
        self.layers: list[str] = []
        self._told = asyncio.Event()
        self._loss = asyncio.Event()
        self.client = OutlookClient(
            self.account,
            client_type,
            proxy or mock.proxy,
            startup=startup,
            probe=lambda layer, _started_ns, _ended_ns: self.layers.append(layer),
            on_notify=self._told.set,
            on_lost=self._lose,
            options=options,
            copy=copy,
            inside=mock.organisation.inside,
            dialect=dialect,
        )

    async def news(self) -> Sequence[NewMessage]:
        """The next messages: waits for a notification, or polls if this client gets none."""
        async with asyncio.timeout(_PATIENCE_S):
            while True:
                if self.client.notifies:
                    await self._told.wait()
                    self._told.clear()
                else:
                    await asyncio.sleep(_POLL_S)
                arrived = await self.client.fetch_news()
                if arrived:
                    return arrived

    async def until_lost(self, count: int) -> None:
        """Until so many connections have been lost."""
        async with asyncio.timeout(_PATIENCE_S):
            while len(self.lost) < count:
                self._loss.clear()
                await self._loss.wait()

    async def send(self, key: str, *to: "Person", size: int = 50_000) -> None:
        """Resolve the names and send, as Outlook does."""
        message = OutgoingMessage(key, tuple(each.account for each in to), size)
        await self.client.resolve_names(message.recipients)
        await self.client.send_message(message)

    def _lose(self, error: PeerError) -> None:
        self.lost.append(error)
        self._loss.set()


@asynccontextmanager
async def logged_on(*people: Person) -> AsyncIterator[None]:
    """All of them log on, one after the other; whoever is still there at the end is cut off."""
    try:
        for person in people:
            await person.client.log_on()
        yield
    finally:
        for person in people:
            person.client.abort()
