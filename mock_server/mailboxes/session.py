"""One client's session with a store ([MS-OXCRPC] 3.1.1): objects by handle, and what it is yet to be told."""

from collections import Counter
from collections.abc import Callable
from typing import Final

from loadgen.wire.emsmdb import Version
from mock_server.directory import Entry
from mock_server.mailboxes.mail import MailTransport
from mock_server.mailboxes.mailbox import MailboxStore

MOST_ROW_NOTIFICATIONS: Final = 100
"""Changes of one table that wait to be fetched; beyond that the client is told to read the table again."""


class ServerObject:
    """What a handle stands for; subclasses say what is to be done when it is released."""

    __slots__ = ("handle", "logon_id")

    def __init__(self) -> None:
        self.handle = 0
        self.logon_id = 0

    def release(self) -> None:
        """The client gave the handle up, or went."""


class NotificationQueue:
    """Encoded RopNotify responses in the order in which the client will get them.

    ``on_arrival`` is called when there is something to fetch.
    """

    def __init__(self) -> None:
        self._pending: dict[tuple[int, object], bytes] = {}
        self._of_handle: Counter[int] = Counter()
        self._arrivals = 0
        self.on_arrival: Callable[[], None] | None = None

    def __len__(self) -> int:
        return len(self._pending)

    def count_of(self, handle: int) -> int:
        """How many wait for one handle."""
        return self._of_handle[handle]

    def put(self, handle: int, notification: bytes, *, replaces: object = None) -> None:
        """Add one for ``handle``; it takes the place of a waiting one that ``replaces`` the same."""
        self._arrivals += 1
        key = (handle, self._arrivals if replaces is None else replaces)
        if self._pending.pop(key, None) is None:
            self._of_handle[handle] += 1
        self._pending[key] = notification
        if self.on_arrival is not None:
            self.on_arrival()

    def take(self, room: int) -> list[bytes]:
        """As many as fit into ``room`` bytes, oldest first; they no longer wait."""
        taken = []
        for key, notification in tuple(self._pending.items()):
            room -= len(notification)
            if room < 0:
                break
            taken.append(notification)
            self._forget(key)
        return taken

    def drop(self, handle: int) -> None:
        """Forget what waits for a handle."""
        if self._of_handle[handle]:
            for key in [key for key in self._pending if key[0] == handle]:
                self._forget(key)

    def _forget(self, key: tuple[int, object]) -> None:
        del self._pending[key]
        self._of_handle[key[0]] -= 1
        if not self._of_handle[key[0]]:
            del self._of_handle[key[0]]


class Session:
    """What EcDoConnectEx opened for ``user``; ``index`` is its number among the server's live sessions.

    ``is_executing`` while its own ROPs are carried out: what then happens in the store is its own doing.
    """

    def __init__(
        self,
        store: MailboxStore,
        transport: MailTransport,
        user: Entry,
        index: int,
        client_version: Version,
    ) -> None:
        self.store = store
        self.transport = transport
        self.user = user
        self.index = index
        self.client_version = client_version
        self.notifications = NotificationQueue()
        self.objects: dict[int, ServerObject] = {}
        self.logons: dict[int, ServerObject] = {}
        self.is_executing = False
        self._last_handle = 0

    def open(self, opened: ServerObject, logon_id: int) -> int:
        """Give an object a handle, which nothing else in this session has had."""
        self._last_handle += 1
        opened.handle, opened.logon_id = self._last_handle, logon_id
        self.objects[opened.handle] = opened
        return opened.handle

    def log_on(self, logon: ServerObject, logon_id: int) -> int:
        """Open a logon, in the place of one that the client numbered the same."""
        former = self.logons.get(logon_id)
        if former is not None:
            self.release(former.handle)
        self.logons[logon_id] = logon
        return self.open(logon, logon_id)

    def release(self, handle: int) -> None:
        """Forget an object; a logon takes all that was opened through it with it."""
        released = self.objects.pop(handle, None)
        if released is None:
            return
        if self.logons.get(released.logon_id) is released:
            del self.logons[released.logon_id]
            for other in [o.handle for o in self.objects.values() if o.logon_id == released.logon_id]:
                self.release(other)
        released.release()
        self.notifications.drop(handle)

    def close(self) -> None:
        """Release everything: the client disconnected or is gone."""
        for handle in tuple(self.objects):
            self.release(handle)
