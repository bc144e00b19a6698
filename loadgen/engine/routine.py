"""Work that comes along the schedule, each piece on its own: browsing, posting, publishing."""

from collections.abc import Awaitable, Callable, Iterable
from functools import partial

from loadgen.engine.client import Client
from loadgen.engine.surroundings import Surroundings
from loadgen.engine.timers import Timer
from loadgen.engine.user import Connection, User
from loadgen.workload.arrival import Schedule

Deed = Callable[[Client], Awaitable[None]]


class Routine:
    """One kind of work of one user: ``due`` are times from the start of the day, and what to do then."""

    __slots__ = ("_around", "_connection", "_day", "_due", "_operation", "_origin_ns", "_timer", "_user")

    def __init__(
        self,
        user: User,
        around: Surroundings,
        operation: str,
        connection: Connection,
        due: Iterable[tuple[int, Deed]],
    ) -> None:
        self._user = user
        self._around = around
        self._operation = operation
        self._connection = connection
        self._day = list(due)[::-1]  # the first is last
        self._due: list[tuple[int, Deed]] = []
        self._origin_ns = 0
        self._timer: Timer | None = None

    def begin(self, origin_ns: int, since_ns: int | None = None) -> None:
        """Starts the schedule: its times count from ``origin_ns``; none from before ``since_ns``.

        Both are of the schedule's time.
        """
        self._origin_ns = origin_ns
        self._due = [
            (due_ns, deed) for due_ns, deed in self._day if since_ns is None or origin_ns + due_ns >= since_ns
        ]
        self._around.recorder.plan(self._operation, len(self._due))
        self._await_next()

    def end_schedule(self) -> None:
        """Nothing more becomes due."""
        self._due.clear()
        if self._timer is not None:
            self._timer.cancel()

    def leave(self) -> None:
        """Nothing more becomes due, nor was it planned: the user is not there to do it."""
        self._around.recorder.plan(self._operation, -len(self._due))
        self.end_schedule()

    def do(self, due_ns: int, deed: Deed) -> None:
        """Does a piece of this work when it has its turn."""

        async def perform(client: Client) -> None:
            await self._user.perform(self._operation, due_ns, deed(client))

        self._user.begin(self._operation, due_ns, self._connection, perform)

    def _await_next(self) -> None:
        if self._due:
            self._timer = self._around.schedule.at(self._origin_ns + self._due[-1][0], self._fall_due)

    def _fall_due(self, due_ns: int, fired_ns: int) -> None:
        _, deed = self._due.pop()
        self._around.recorder.lag(self._operation, due_ns, fired_ns)
        self.do(due_ns, deed)
        self._await_next()


def routines_of(user: User, schedule: Schedule, around: Surroundings) -> dict[str, Routine]:
    """All of a user's routines, by operation. Drawn before anybody connects, so the day begins unstalled."""
    index = user.index
    browses = [(due_ns, browse_address_book) for due_ns in schedule.browses(index)]
    public_browses = [(due_ns, browse_public_folder) for due_ns in schedule.public_browses(index)]
    posts = [(post.due_ns, partial(post_public_folder, key=post.key)) for post in schedule.posts(index)]
    publications = [(due_ns, publish_free_busy) for due_ns in schedule.publications(index)]
    return {
        "browse_address_book": Routine(user, around, "browse_address_book", "directory", browses),
        "browse_public_folder": Routine(
            user, around, "browse_public_folder", "public_folder", public_browses
        ),
        "post_public_folder": Routine(user, around, "post_public_folder", "public_folder", posts),
        "publish_free_busy": Routine(user, around, "publish_free_busy", "public_folder", publications),
    }


async def browse_address_book(client: Client) -> None:
    """Pages through a part of the address book."""
    await client.browse_address_book()


async def browse_public_folder(client: Client) -> None:
    """Looks at a public folder."""
    await client.browse_public_folder()


async def post_public_folder(client: Client, *, key: str) -> None:
    """Writes into one."""
    await client.post_public_folder(key)


async def publish_free_busy(client: Client) -> None:
    """Publishes free/busy times."""
    await client.publish_free_busy()
