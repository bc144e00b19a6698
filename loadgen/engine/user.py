"""One simulated user: logs on, does one thing at a time per connection, comes back after a loss, logs off."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager
from random import Random
from typing import Any, Final, Generic, Literal, NamedTuple, TypeVar, get_args

from loadgen.engine.client import Client
from loadgen.engine.returning import RetryAdvice, reconnect_waits
from loadgen.engine.surroundings import Surroundings
from loadgen.errors import ConnectionLost, PeerError, limits_of
from loadgen.measure.recorder import TrafficKind
from loadgen.measure.sample import OK, Sample
from loadgen.workload.campaign import UserGroup

T = TypeVar("T")
State = Literal["away", "logging_on", "logged_on", "lost", "refused", "gone"]
Connection = Literal["mail", "directory", "public_folder"]
CONNECTIONS: Final[tuple[Connection, ...]] = get_args(Connection)
Work = Callable[[Client], Coroutine[Any, Any, None]]

_SENDING: Final[dict[str, TrafficKind]] = {"send_message": "sending", "resolve_names": "sending"}


class Attempt(NamedTuple, Generic[T]):
    """One operation that has ended: its times, and what it gave or the peer's error."""

    sample: Sample
    result: T | None
    error: PeerError | None = None

    @property
    def text(self) -> str:
        """The error in one line, "" if there was none."""
        return "" if self.error is None else str(self.error) or type(self.error).__name__


class User:
    """The state of one user. Idle, it owns no task; its timers stand in the shard's one heap."""

    __slots__ = (
        "_advice",
        "_around",
        "_leaving",
        "_octets",
        "_reconnecting",
        "_returning",
        "_state",
        "_turns",
        "background",
        "client",
        "connections_lost",
        "group",
        "index",
        "logged_on_ns",
        "on_logged_on",
        "on_notify",
        "on_public_news",
        "reconnects",
        "refusal",
        "starting",
        "working",
    )

    def __init__(self, index: int, group: UserGroup, around: Surroundings) -> None:
        self.index = index
        self.group = group
        self._state: State = "away"
        self.refusal: PeerError | None = None
        """Why the user is refused, while he is."""
        self.starting = False
        self.client: Client | None = None
        self.logged_on_ns = 0
        self.connections_lost = 0
        self.reconnects = 0
        """How often he came back after a loss."""
        self.on_notify: Callable[[], None] = _nothing
        self.on_public_news: Callable[[], None] = _nothing
        self.on_logged_on: Callable[[], None] = _nothing
        self.background: TrafficKind | None = None
        """Whose traffic the bytes between operations are; those of operations too, unless he is working."""
        self.working = False
        """Whether the bytes of operations are those of the measured day."""
        self._octets = 0
        self._around = around
        self._turns = {connection: asyncio.Lock() for connection in CONNECTIONS}
        self._reconnecting: asyncio.Task[None] | None = None
        self._leaving = self._returning = False
        self._advice = RetryAdvice()

    @property
    def state(self) -> State:
        """Where the user is on his way through the run."""
        return self._state

    @state.setter
    def state(self, state: State) -> None:
        self._around.logged_on += (state == "logged_on") - (self._state == "logged_on")
        self._state = state
        if state != "refused":
            self.refusal = None

    @property
    def is_admitted(self) -> bool:
        """Whether all of his steady connections are open."""
        if self.state != "logged_on" or self.client is None:
            return False
        kind, there = self.group.client, self.client.virtual_connections
        return (
            there.get("mail", 0) >= kind.connections.mail + kind.second_mailbox
            and there.get("public_folder", 0) >= kind.connections.public_folder
            and there.get("directory", 0) >= kind.connections.directory
        )

    async def log_on(self, due_ns: int, *, startup: bool) -> str:
        """Opens all connections, those of start-up too if asked; returns the reason if refused, else "".

        A user who is refused closes what he had opened and stays away: he counts as refused, and whoever
        pays for it knows. One who has logged on meanwhile, or has gone, is left alone.
        """
        async with self._every_turn():
            if self.state not in ("away", "refused"):
                return ""
            attempt = await self._try(due_ns, startup=startup)
        return attempt.text

    async def start_again(self, due_ns: int, *, startup: bool) -> None:
        """Logs off and on again, as one who closes his Outlook and opens it anew; his work waits."""
        async with self._every_turn():
            if self.state != "logged_on":
                return
            self._returning = True
            try:
                async with self._around.gate:
                    await self._take_leave(due_ns)
                await self._try(self._around.clock(), startup=startup)
            finally:
                self._returning = False

    async def end_startup(self) -> None:
        """Closes what only starting needed; does nothing if there is nothing to close."""
        async with self._around.gate:
            if self.client is None or not self.starting or self.state != "logged_on":
                return
            try:
                await self.client.end_startup()
            except PeerError as error:
                self._event("end_startup_failed", str(error))
            self.starting = False

    def begin(self, operation: str, due_ns: int, connection: Connection, work: Work) -> bool:
        """Does ``work`` when its turn comes; False if the arrival was skipped (and counted)."""
        begun = self.offer(operation, due_ns, connection, work)
        if not begun:
            self._around.recorder.skip(operation)
        return begun

    def offer(self, operation: str, due_ns: int, connection: Connection, work: Work) -> bool:
        """Does ``work`` when its turn comes; False if there is no room for it, or nobody to do it."""
        if not self.is_at_work or not self._around.admission.enter(operation):
            return False
        self._around.spawn(self._in_turn(operation, due_ns, connection, work))
        return True

    @property
    def is_at_work(self) -> bool:
        """Whether the user has a day: logged on, or on the way back."""
        return self.state in ("logged_on", "lost") or self._returning

    async def attempt(self, operation: str, due_ns: int, work: Awaitable[T]) -> Attempt[T]:
        """Times one operation and catches the peer's errors; recording is the caller's."""
        self.mark_traffic(self.background)
        started_ns = self._around.clock()
        result, error, outcome = None, None, OK
        try:
            result = await work
        except PeerError as failure:
            error, outcome = failure, failure.outcome
        ended_ns = self._around.clock()
        self.mark_traffic(self._traffic_of(operation))
        return Attempt(Sample(operation, due_ns, started_ns, ended_ns, outcome), result, error)

    async def perform(self, operation: str, due_ns: int, work: Awaitable[T]) -> Attempt[T]:
        """:meth:`attempt`, recorded."""
        attempt = await self.attempt(operation, due_ns, work)
        self.record(attempt)
        return attempt

    def record(self, attempt: Attempt[T]) -> None:
        """Puts an operation into the books."""
        self._around.recorder.record(attempt.sample, attempt.text)

    def turn(self, connection: Connection) -> asyncio.Lock:
        """The right to use a connection, in the order of asking. Whoever needs several takes mail first."""
        return self._turns[connection]

    def mark_traffic(self, kind: TrafficKind | None, seconds: float = 0.0) -> None:
        """Books the bytes since the last mark under ``kind``; None throws them away."""
        if self.client is None:
            return
        octets = self.client.bytes_sent + self.client.bytes_received
        moved, self._octets = octets - self._octets, octets
        if kind is not None:
            group = self.group
            self._around.recorder.traffic(group.client.name, group.profile.name, kind, moved, seconds)

    async def log_off(self, due_ns: int, *, for_good: bool = True) -> None:
        """Takes leave when what is under way has ended; a user who is not logged on just goes.

        Unless it is ``for_good`` he may log on again.
        """
        if self._reconnecting is not None:
            self._reconnecting.cancel()
        async with self._every_turn(), self._around.gate:
            if self.state == "logged_on":
                await self._take_leave(due_ns)
            elif self.client is not None:
                self.client.abort()
            self._leave()
            if not for_good:
                self.state = "away"

    def abort(self) -> None:
        """Cuts every connection at once."""
        if self.client is not None:
            self.client.abort()
        self._leave()

    async def _take_leave(self, due_ns: int) -> None:
        """Logs off from everything; what the servers still have to tell no longer matters."""
        if self.client is None:
            return
        self._leaving = True
        self._around.recorder.plan("log_off")
        attempt = await self.perform("log_off", due_ns, self.client.log_off())
        if attempt.error is not None:
            self.client.abort()
        self.starting = False

    async def _in_turn(self, operation: str, due_ns: int, connection: Connection, work: Work) -> None:
        try:
            async with self._turns[connection]:
                if self.client is None or self.state != "logged_on":
                    now_ns = self._around.clock()
                    lost = Sample(operation, due_ns, now_ns, now_ns, ConnectionLost.outcome)
                    self._around.recorder.record(lost, "the user went before this had its turn")
                else:
                    await work(self.client)
        finally:
            self._around.admission.leave(operation)

    async def _try(self, due_ns: int, *, startup: bool) -> Attempt[None]:
        attempt = await self._open(due_ns, startup=startup)
        if attempt.error is not None:
            self.state, self.refusal = "refused", attempt.error
        return attempt

    async def _open(self, due_ns: int, *, startup: bool) -> Attempt[None]:
        around = self._around
        self.state, self._leaving = "logging_on", False
        if wait_ns := around.log_ons.reserve(around.clock()):
            await asyncio.sleep(wait_ns / 1e9)
            due_ns = around.clock()  # the wait is ours, not the target's
        self._octets = 0
        self.client = client = around.connect(
            around.account(self.index),
            self.group.client,
            startup=startup,
            probe=around.recorder.layer,
            on_notify=self._notified,
            on_public_news=self._told_public_news,
            on_lost=self._lost,
        )
        around.recorder.plan("log_on")
        async with around.gate:
            attempt = await self.perform("log_on", due_ns, client.log_on())
            if attempt.error is not None:
                client.abort()
                self.client = None
                self._note_refusal(attempt.error)
                return attempt
            self.state, self.starting = "logged_on", startup and self._has_startup
            self._advice = RetryAdvice(client.retries, client.retry_delay_s)
            self.logged_on_ns = attempt.sample.ended_ns
        self.on_logged_on()
        return attempt

    @property
    def _has_startup(self) -> bool:
        startup = self.group.client.startup
        return bool(startup.referral or startup.directory)

    def _traffic_of(self, operation: str) -> TrafficKind | None:
        """Polls are a part of the day while it lasts, then of being idle."""
        if not self.working or (operation == "poll_mailbox" and self.background != "receiving"):
            return self.background
        return _SENDING.get(operation, "receiving")

    def _notified(self) -> None:
        if not self._leaving:
            self.on_notify()

    def _told_public_news(self) -> None:
        if not self._leaving:
            self.on_public_news()

    @asynccontextmanager
    async def _every_turn(self) -> AsyncIterator[None]:
        async with AsyncExitStack() as turns:
            for connection in CONNECTIONS:
                await turns.enter_async_context(self._turns[connection])
            yield

    def _lost(self, error: PeerError) -> None:
        """A connection went away unasked: Outlook drops the others, and starts again."""
        if self.state not in ("logged_on", "lost"):
            return
        self.connections_lost += 1
        self._event("connection_lost", str(error))
        if self.state == "lost":
            return
        self.state, self.starting = "lost", False
        self._reconnecting = self._around.spawn(self._reconnect())

    async def _reconnect(self) -> None:
        async with self._around.gate:
            if self.client is not None:
                self.mark_traffic(self.background)
                self.client.abort()
        waits = reconnect_waits(self._advice, Random(f"{self.index}/{self.reconnects}"))
        self._returning = True
        try:
            async with self._every_turn():
                for wait_s in waits:
                    await asyncio.sleep(wait_s)
                    attempt = await self._open(self._around.clock(), startup=False)
                    if attempt.error is None:
                        break
                    self.state = "lost"
        finally:
            self._returning = False
        self.reconnects += 1
        self._event("reconnected", "")
        self._reconnecting = None

    def _leave(self) -> None:
        self.mark_traffic(self.background)
        self.client, self.starting = None, False
        if self.state not in ("refused", "lost"):
            self.state = "gone"

    def _note_refusal(self, error: PeerError) -> None:
        around = self._around
        text = str(error) or type(error).__name__
        limits = limits_of(error)
        self._event("log_on_failed", text, "|".join(limits) or None)
        around.recorder.refused(around.clock(), text, limits, self.index, around.logged_on)

    def _event(self, kind: str, text: str, limit: str | None = None) -> None:
        self._around.recorder.event(self._around.clock(), kind, text, self.index, limit)


def _nothing() -> None:
    """What happens on a call that nobody has asked for."""
