"""A synthetic Outlook: which connections its client type opens, and what each of them is for."""

from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from time import monotonic_ns, time
from typing import TypeVar

from loadgen.client.account import Account, RpcProxy
from loadgen.client.address_book import AddressBook
from loadgen.client.cached_mailbox import CachedMailbox
from loadgen.client.client_type import ClientType
from loadgen.client.dialect import Dialect
from loadgen.client.identity import about_client
from loadgen.client.inside import Inside, Service
from loadgen.client.local_copy import LocalCopy
from loadgen.client.mailbox import Mailbox
from loadgen.client.message import NewMessage, OutgoingMessage
from loadgen.client.public_folders import PublicFolders
from loadgen.client.referral import refer
from loadgen.client.second_mailbox import SecondMailbox
from loadgen.client.store_session import StoreSession
from loadgen.client.streams import StreamReader
from loadgen.client.transport import (
    ConnectionOptions,
    Probe,
    RpcConnection,
    open_service,
    open_virtual_connection,
)
from loadgen.errors import HttpRefused, PeerError
from loadgen.protocol.emsmdb_session import EmsmdbSession
from loadgen.wire import emsmdb, nspi, rfr
from loadgen.wire.pdu import SyntaxId

_CHAINED_READS_FROM = (12, 0, 4207, 0)
"""Clients of this version and later take RopReadStream in several payloads ([MS-OXCRPC] 3.1.4.1.3)."""

_CANNOT_REACH = 0x6BA
"""RPC_S_SERVER_UNAVAILABLE: the proxy got no connection to the server ([MS-RPCH] 2.1.2.1.3)."""

_STEPS = {
    "refer": "referral",
    "bind_directory": "directory",
    "logon_mailbox": "mailbox",
    "logon_public": "public_folders",
}
"""What a check calls the work of a layer."""

_STEPS_PASSED = {
    "rts_establish": ("rts_", "bind_"),
    "map_endpoint": ("map_", "tcp_"),
    "connect_tcp": ("tcp_", "bind_"),
}
"""What a check calls the part of opening a connection that ends with a layer, and the part after it."""

T = TypeVar("T")


def _nothing() -> None:
    """Nobody wants to know."""


class OutlookClient:
    """One Outlook with all its connections; the engine's view of it is :class:`loadgen.engine.client.Client`.

    ``on_notify`` is called when mail has come, ``on_public_news`` when the public folder store has something
    to tell, ``on_lost`` once for each connection that goes away unasked; none of them from :meth:`log_off` or
    :meth:`abort` on: what is lost then is an error of logging off. ``referred`` outlives the client: by index
    of the account, the server of the directory that was found anew. All calls raise
    :class:`~loadgen.errors.PeerError`.
    """

    __slots__ = (
        "_account",
        "_address_book",
        "_closed_received",
        "_closed_sent",
        "_connections",
        "_copy",
        "_dialect",
        "_first_loss",
        "_inside",
        "_leaving",
        "_mailbox",
        "_on_lost",
        "_on_notify",
        "_on_public_news",
        "_options",
        "_probe",
        "_proxy",
        "_public_folders",
        "_referred",
        "_removing",
        "_second",
        "_second_mailbox",
        "_starting",
        "_startup",
        "_step",
        "_type",
    )

    def __init__(
        self,
        account: Account,
        client_type: ClientType,
        proxy: RpcProxy,
        *,
        startup: bool,
        probe: Probe,
        on_notify: Callable[[], None],
        on_lost: Callable[[PeerError], None],
        on_public_news: Callable[[], None] = _nothing,
        options: ConnectionOptions = ConnectionOptions(),  # noqa: B008 - frozen
        copy: LocalCopy | None = None,
        referred: dict[int, str] | None = None,
        second: Account | None = None,
        dialect: Dialect = Dialect(),  # noqa: B008 - frozen
        removing: str = "",
        inside: Inside = Inside(),  # noqa: B008 - frozen
    ) -> None:
        self._account = account
        self._type = client_type
        self._proxy = proxy
        self._inside = inside
        self._startup = startup
        self._probe = probe
        self._on_notify = on_notify
        self._on_public_news = on_public_news
        self._on_lost = on_lost
        self._options = options
        self._copy = copy or LocalCopy()
        self._referred = {} if referred is None else referred
        self._dialect = dialect
        self._removing = removing
        self._connections: dict[RpcConnection, str] = {}
        self._starting: list[RpcConnection] = []
        self._first_loss: PeerError | None = None
        self._leaving = False
        self._step = ""
        self._closed_sent = self._closed_received = 0
        self._mailbox: Mailbox | CachedMailbox
        self._address_book: AddressBook | None = None
        self._public_folders: list[PublicFolders] = []
        self._second = second
        self._second_mailbox: SecondMailbox | None = None

    @property
    def notifies(self) -> bool:
        """Whether the server tells of new mail; if not, the client is to be polled."""
        return self._type.notification == "asynchronous"

    @property
    def poll_interval_s(self) -> float:
        """How often the server wants to be polled, at most; known after :meth:`log_on`."""
        return self._mailbox.store.poll_interval_s

    @property
    def retries(self) -> int:
        """How often to try again after a loss, as EcDoConnectEx said (pcRetry); known after log on."""
        return self._mailbox.store.session.retries

    @property
    def retry_delay_s(self) -> float:
        """How long to wait before each of these attempts (pcmsRetryDelay)."""
        return self._mailbox.store.session.retry_delay_s

    @property
    def synchronisation_delay_s(self) -> float:
        """Simulated time from a notification to fetching what it tells of; 0 in online mode."""
        return self._type.cached.synchronisation_delay_s if self._type.cached else 0.0

    @property
    def _streams(self) -> StreamReader:
        version = emsmdb.version_from_words(self._type.version_words)
        return StreamReader(chained=version >= _CHAINED_READS_FROM)

    @property
    def bytes_sent(self) -> int:
        """TCP payload of all connections so far, closed ones included."""
        return self._closed_sent + sum(connection.bytes_sent for connection in self._connections)

    @property
    def bytes_received(self) -> int:
        """TCP payload of all connections so far, closed ones included."""
        return self._closed_received + sum(connection.bytes_received for connection in self._connections)

    @property
    def virtual_connections(self) -> Mapping[str, int]:
        """Virtual connections that are open, by purpose: mail, public_folder, directory, referral."""
        return Counter(self._connections.values())

    async def log_on(self) -> None:
        """Opens all connections, those of start-up too if asked, and logs on to everything.

        An error says in its ``step`` how far this has come.
        """
        try:
            await self._log_on()
        except PeerError as error:
            error.step = error.step or self._step
            raise

    async def _log_on(self) -> None:
        counts, starting = self._type.connections, self._type.startup
        directory_server = await self._find_directory()
        for _ in range(counts.directory):
            try:
                self._address_book, _ = await self._open_directory(directory_server)
            except HttpRefused as refusal:
                if directory_server != self._remembered or refusal.rpc_error != _CANNOT_REACH:
                    raise
                directory_server = await self._refer()
                self._address_book, _ = await self._open_directory(directory_server)
                self._referred[self._account.index] = directory_server
        if self._startup:
            for _ in range(starting.directory):
                _, connection = await self._open_directory(directory_server)
                self._starting.append(connection)
        await self._open_mailbox()
        if self._type.second_mailbox and self._second is not None:
            await self._open_second_mailbox(self._second)
        for _ in range(counts.public_folder):
            await self._open_public_folders()
        if self._first_loss is not None:
            raise self._first_loss  # one connection went while others were still being opened

    async def end_startup(self) -> None:
        """Closes the connections that only starting needs."""
        while self._starting:
            await self._close(self._starting.pop())

    async def resolve_names(self, recipients: Sequence[Account]) -> None:
        """Looks these users up in the directory and checks what it says of them."""
        if self._address_book is not None:
            await self._address_book.resolve(recipients)

    async def send_message(self, message: OutgoingMessage) -> None:
        """Composes and submits a message to recipients that have been resolved."""
        await self._mailbox.send(message)

    async def fetch_news(self) -> Sequence[NewMessage]:
        """The messages that have arrived since the last call; for polling types this is the poll."""
        return await self._mailbox.fetch_news()

    async def read_message(self, message_id: int, expected_key: str) -> None:
        """Opens a message, reads all of it, checks that it is what was sent, and marks it read."""
        await self._mailbox.read(message_id, expected_key)
        self._changed_copy()

    async def delete_message(self, message_id: int) -> None:
        """Moves a message to Deleted Items."""
        await self._mailbox.delete(message_id)
        self._changed_copy()

    async def browse_address_book(self) -> None:
        """Pages through a part of the address book."""
        if self._address_book is not None:
            await self._address_book.browse()

    async def browse_public_folder(self) -> None:
        """Looks at a public folder and reads the newest post in it."""
        for public_folders in self._public_folders[:1]:
            await public_folders.browse()

    async def post_public_folder(self, key: str) -> None:
        """Writes the post ``key`` into a public folder, and sees it there."""
        for public_folders in self._public_folders[:1]:
            await public_folders.post(key)

    async def publish_free_busy(self) -> None:
        """Reads the user's own free/busy message and publishes it anew."""
        for public_folders in self._public_folders[:1]:
            await public_folders.publish_free_busy()

    async def fetch_public_news(self) -> None:
        """Takes what the public folder stores have to tell."""
        for public_folders in self._public_folders:
            await public_folders.fetch_news()

    async def log_off(self) -> None:
        """Takes leave, or just cuts, as the client type does, and closes everything.

        A run's mail is removed either way, before a connection is cut.
        """
        self._leaving = True
        if self._type.disconnect == "proper":
            await self._mailbox.log_off(self._removing)
            if self._second_mailbox is not None:
                await self._second_mailbox.log_off()
            for public_folders in self._public_folders:
                await public_folders.log_off()
            if self._address_book is not None:
                await self._address_book.unbind()
            for connection in list(self._connections):
                await self._close(connection)
        elif self._removing:
            await self._mailbox.remove_mail(self._removing)
        self.abort()

    def abort(self) -> None:
        """Cuts every connection at once."""
        self._leaving = True
        for connection in list(self._connections):
            self._forget(connection)
            connection.abort()

    @property
    def _stays_with_referral(self) -> bool:
        return self._startup and bool(self._type.startup.referral)

    @property
    def _asks_referral(self) -> bool:
        """Who starts asks where the directory is, and inside the firewall everybody: there is no DSProxy."""
        is_inside = self._type.transport == "tcp" and bool(self._type.connections.directory)
        return self._stays_with_referral or is_inside

    @property
    def _remembered(self) -> str:
        """The server of the directory that the profile knows from before; "" if none, or if it is asked."""
        account = self._account
        return "" if self._asks_referral else self._referred.get(account.index, account.directory_server)

    async def _find_directory(self) -> str:
        """The server of the directory.

        Who neither asks nor remembers goes to the mailbox server, where DSProxy passes everything on.
        """
        return await self._refer() if self._asks_referral else self._remembered or self._account.home_server

    async def _refer(self) -> str:
        """Asks for the server of the directory, on a connection that stays open while Outlook starts."""
        referral = await self._open("referral", self._account.home_server, "referral", (rfr.INTERFACE,))
        server = await self._timed("refer", refer(referral, self._account))
        if self._stays_with_referral:
            self._starting.append(referral)
        else:
            await self._close(referral)
        return server

    async def _open(
        self, purpose: str, server: str, service: Service, interfaces: Sequence[SyntaxId]
    ) -> RpcConnection:
        self._step = self._way_to(service) + ("public_folders" if purpose == "public_folder" else service)
        how = interfaces, self._account.credentials, self._options, self._pass
        connection: RpcConnection
        if self._type.transport == "tcp":
            connection = await open_service(self._inside, server, service, *how)
        else:
            port: int = getattr(self._dialect.ports, service)
            connection = await open_virtual_connection(self._proxy, server, port, *how)
        connection.on_lost = partial(self._lost, connection)
        self._connections[connection] = purpose
        return connection

    def _way_to(self, service: Service) -> str:
        """What a check calls the first part of opening a connection."""
        if self._type.transport == "http":
            return "rts_"
        return "tcp_" if getattr(self._inside.ports, service) else "map_"

    async def _open_directory(self, server: str) -> tuple[AddressBook, RpcConnection]:
        connection = await self._open("directory", server, "directory", (nspi.INTERFACE,))
        address_book = AddressBook(connection, self._account, by=self._dialect.recipients)
        await self._timed("bind_directory", address_book.bind())
        return address_book, connection

    async def _open_mailbox(self) -> None:
        store = await self._open_store("mail", self._account.home_server)
        store.on_news = self._notify
        self._mailbox = await self._mailbox_in(store)
        await self._timed(
            "logon_mailbox", self._mailbox.log_on(*about_client(self._account, self._type.mode))
        )
        if self.notifies:
            await store.wait_for_news()
        if isinstance(self._mailbox, CachedMailbox):
            await self._mailbox.start()

    async def _mailbox_in(self, store: StoreSession) -> Mailbox | CachedMailbox:
        cached = self._type.cached
        if cached is None:
            return Mailbox(self._account, store, self._streams, time)
        background = store
        if self._type.connections.mail > 1:
            background = await self._open_store("mail", self._account.home_server)
        return CachedMailbox(self._account, store, background, self._copy, cached, time)

    async def _open_second_mailbox(self, owner: Account) -> None:
        store = await self._open_store("mail", owner.home_server)
        self._second_mailbox = SecondMailbox(owner, store)
        about = about_client(self._account, self._type.mode)
        await self._timed("logon_mailbox", self._second_mailbox.log_on(*about))

    async def _open_public_folders(self) -> None:
        store = await self._open_store("public_folder", self._account.public_server)
        public_folders = PublicFolders(self._account, store, self._streams, time)
        public_folders.on_news = self._notify_of_public_news
        await self._timed(
            "logon_public", public_folders.log_on(*about_client(self._account, self._type.mode))
        )
        if self.notifies:
            await store.wait_for_news()
        self._public_folders.append(public_folders)

    async def _open_store(self, purpose: str, server: str) -> StoreSession:
        interfaces = (emsmdb.INTERFACE, *((emsmdb.ASYNC_INTERFACE,) if self.notifies else ()))
        connection = await self._open(purpose, server, "store", interfaces)
        session = EmsmdbSession(self._account.legacy_dn, self._type.version_words, self._type.transfer)
        store = StoreSession(connection, session)
        store.on_failure = partial(self._fail, connection)
        return store

    def _pass(self, layer: str, started_ns: int, ended_ns: int) -> None:
        """A layer of the connection that is being opened is there; the bind comes last."""
        passed, following = _STEPS_PASSED.get(layer, ("", ""))
        if self._step.startswith(passed):
            self._step = following + self._step.removeprefix(passed)
        self._probe(layer, started_ns, ended_ns)

    async def _timed(self, layer: str, work: Awaitable[T]) -> T:
        self._step = _STEPS[layer]
        started_ns = monotonic_ns()
        result = await work
        self._probe(layer, started_ns, monotonic_ns())
        return result

    async def _close(self, connection: RpcConnection) -> None:
        self._forget(connection)
        await connection.close()

    def _notify(self) -> None:
        if not self._leaving:
            self._on_notify()

    def _notify_of_public_news(self) -> None:
        if not self._leaving:
            self._on_public_news()

    def _changed_copy(self) -> None:
        """What was done to the copy is uploaded with the next news; who polls will, anyway."""
        if self._type.cached is not None and self.notifies:
            self._notify()

    def _fail(self, connection: RpcConnection, error: PeerError) -> None:
        connection.abort()
        self._lost(connection, error)

    def _lost(self, connection: RpcConnection, error: PeerError) -> None:
        """Reports a loss once: what ends a connection fails the call that waits for news, too."""
        if not self._forget(connection) or self._leaving:
            return
        self._first_loss = self._first_loss or error
        self._on_lost(error)

    def _forget(self, connection: RpcConnection) -> bool:
        """Books what went over a connection that ends; False if that has been done."""
        connection.on_lost = None
        if self._connections.pop(connection, None) is None:
            return False
        self._closed_sent += connection.bytes_sent
        self._closed_received += connection.bytes_received
        return True
