"""What the engine needs of a client, so that its tests can pass a fake one."""

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from loadgen.client.account import Account
from loadgen.client.client_type import ClientType
from loadgen.client.message import NewMessage, OutgoingMessage
from loadgen.errors import PeerError

Probe = Callable[[str, int, int], None]
"""Takes a set-up layer's name, its start and its end in nanoseconds."""


class Client(Protocol):
    """One Outlook with all its connections. An await is a piece of work; ``PeerError`` if it fails.

    The engine never has two calls on the mail connection under way, nor two on the directory connection or on
    the public folder connection, but one of each may be. After ``on_lost`` or an error of :meth:`log_on` it
    calls :meth:`abort` and no more.
    """

    @property
    def notifies(self) -> bool:
        """Whether the server tells of new mail (asynchronous calls); if not, the engine polls."""

    @property
    def poll_interval_s(self) -> float:
        """How often the server wants to be polled (``pcmsPollsMax``), in real seconds; known after log on."""

    @property
    def retries(self) -> int:
        """How often the server wants a client to try again that lost it; known after log on."""

    @property
    def retry_delay_s(self) -> float:
        """How long such a client is to wait before each attempt."""

    @property
    def synchronisation_delay_s(self) -> float:
        """Simulated time from a notification to fetching what it tells of; 0 to fetch at once."""

    @property
    def bytes_sent(self) -> int:
        """TCP payload of all connections so far, closed ones included."""

    @property
    def bytes_received(self) -> int:
        """TCP payload of all connections so far, closed ones included."""

    @property
    def virtual_connections(self) -> Mapping[str, int]:
        """Virtual connections that are open, by purpose: mail, public_folder, directory, referral."""

    async def log_on(self) -> None:
        """Open every connection, the start-up ones included if asked for, and log on to everything."""

    async def end_startup(self) -> None:
        """Close the connections that only starting needs."""

    async def resolve_names(self, recipients: Sequence[Account]) -> None:
        """Look these users up in the directory and check what it says of them."""

    async def send_message(self, message: OutgoingMessage) -> None:
        """Compose and submit; those names that the client type resolves have been resolved."""

    async def fetch_news(self) -> Sequence[NewMessage]:
        """Collect what has arrived since the last call, in order; for polling types this is the poll."""

    async def read_message(self, message_id: int, expected_key: str) -> None:
        """Open a message, read all of it, check that it is what was sent, and mark it read."""

    async def delete_message(self, message_id: int) -> None:
        """Delete a message."""

    async def browse_address_book(self) -> None:
        """Page through a part of the address book."""

    async def browse_public_folder(self) -> None:
        """Look at a public folder and read its newest post."""

    async def post_public_folder(self, key: str) -> None:
        """Write the post ``key`` into a public folder, and see it there."""

    async def publish_free_busy(self) -> None:
        """Read the user's own free/busy message and publish it anew."""

    async def fetch_public_news(self) -> None:
        """Take what the public folder store has to tell."""

    async def log_off(self) -> None:
        """Take leave, or cut, as the client type does, and close everything."""

    def abort(self) -> None:
        """Cut everything at once; nobody is called back any more."""


class Connect(Protocol):
    """Makes a client that has opened nothing yet."""

    def __call__(
        self,
        account: Account,
        client_type: ClientType,
        *,
        startup: bool,
        probe: Probe,
        on_notify: Callable[[], None],
        on_public_news: Callable[[], None],
        on_lost: Callable[[PeerError], None],
    ) -> Client:
        """``on_notify`` is called when mail has come, ``on_public_news`` when the public folder store has
        something to tell, ``on_lost`` for each connection that goes unasked.
        """
