"""A loop whose time jumps: tests wait for hours in milliseconds, and every figure comes out exactly."""

import asyncio
import itertools
import selectors
from collections.abc import Callable, Coroutine
from typing import Any

import msgspec
import pytest

from loadgen.client.account import Account
from loadgen.client.client_type import ClientType, ConnectionCounts, DirectoryWork, StartupCounts
from loadgen.client.message import NewMessage, OutgoingMessage
from loadgen.engine.surroundings import Surroundings
from loadgen.measure.recorder import Recorder
from loadgen.measure.sample import Sample
from loadgen.workload.campaign import Population, UserGroup
from loadgen.workload.duration import Duration
from loadgen.workload.profile import MessageProfile


class JumpingSelector(selectors.SelectSelector):
    """Instead of sleeping until the next timer, moves the time there."""

    def __init__(self, time: "FakeTime") -> None:
        super().__init__()
        self._time = time

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None:
            raise RuntimeError("the test waits for something that will never happen")
        if timeout > 0:
            self._time.now_ns = round((self._time.now_ns / 1e9 + timeout) * 1e9)
        return super().select(0)


class FakeTime:
    """Nanoseconds since the test began."""

    def __init__(self) -> None:
        self.now_ns = 0

    def __call__(self) -> int:
        return self.now_ns

    def stall(self, seconds: float) -> None:
        """Time passes while the loop does nothing else."""
        self.now_ns += round(seconds * 1e9)


class JumpingLoop(asyncio.SelectorEventLoop):
    def __init__(self, time: FakeTime) -> None:
        self._fake_time = time
        super().__init__(JumpingSelector(time))

    def time(self) -> float:
        return self._fake_time.now_ns / 1e9


@pytest.fixture
def clock() -> FakeTime:
    return FakeTime()


@pytest.fixture
def run(clock: FakeTime) -> Callable[[Coroutine[Any, Any, Any]], Any]:
    """Runs a coroutine on the loop whose time is ``clock``."""

    def run_to_end(main: Coroutine[Any, Any, Any]) -> Any:
        with asyncio.Runner(loop_factory=lambda: JumpingLoop(clock)) as runner:
            return runner.run(main)

    return run_to_end


def _next(given: Any) -> Any:
    """A value, or the next of a list whose last one stays."""
    if isinstance(given, list):
        return given.pop(0) if len(given) > 1 else given[0]
    return given


class FakeClient:
    """A client whose target behaves as the :class:`World` says."""

    def __init__(
        self, world: "World", account: Account, startup: bool, on_notify, on_public_news, on_lost
    ) -> None:
        self.world = world
        self.account = account
        self.startup = startup
        self.on_notify = on_notify
        self.on_public_news = on_public_news
        self.on_lost = on_lost
        self.bytes_sent = 0
        self.bytes_received = 0
        self.virtual_connections: dict[str, int] = {}
        self.news: list[NewMessage] = []
        self.sent: list[OutgoingMessage] = []
        self.posted: list[str] = []
        self.is_aborted = False

    @property
    def notifies(self) -> bool:
        return self.world.notifies

    @property
    def poll_interval_s(self) -> float:
        return self.world.poll_interval_s

    @property
    def retries(self) -> int:
        return self.world.retries

    @property
    def retry_delay_s(self) -> float:
        return self.world.retry_delay_s

    @property
    def synchronisation_delay_s(self) -> float:
        return self.world.synchronisation_delay_s

    async def _call(self, method: str) -> None:
        world = self.world
        world.calls.append((method, self.account.index, world.clock.now_ns))
        error = _next(world.errors.get(method))
        await asyncio.sleep(_next(world.delays.get(method, 0.0)))
        self.bytes_sent += world.octets.get(method, 0)
        if error is not None:
            raise error

    async def log_on(self) -> None:
        await self._call("log_on")
        self.virtual_connections = {"mail": 1, "directory": 1} | ({"referral": 1} if self.startup else {})

    async def end_startup(self) -> None:
        await self._call("end_startup")
        self.virtual_connections.pop("referral", None)

    async def resolve_names(self, recipients) -> None:
        await self._call("resolve_names")

    async def send_message(self, message: OutgoingMessage) -> None:
        await self._call("send_message")
        self.sent.append(message)
        for recipient in message.recipients:
            self.world.deliver(recipient.index, message.key)

    async def fetch_news(self) -> list[NewMessage]:
        await self._call("fetch_news")
        news, self.news = self.news, []
        return news

    async def read_message(self, message_id: int, expected_key: str) -> None:
        await self._call("read_message")

    async def delete_message(self, message_id: int) -> None:
        await self._call("delete_message")

    async def browse_address_book(self) -> None:
        await self._call("browse_address_book")

    async def browse_public_folder(self) -> None:
        await self._call("browse_public_folder")

    async def post_public_folder(self, key: str) -> None:
        await self._call("post_public_folder")
        self.posted.append(key)

    async def publish_free_busy(self) -> None:
        await self._call("publish_free_busy")

    async def fetch_public_news(self) -> None:
        await self._call("fetch_public_news")

    async def log_off(self) -> None:
        await self._call("log_off")
        self.virtual_connections = {}

    def abort(self) -> None:
        self.is_aborted = True
        self.virtual_connections = {}


class World:
    """Accounts and clients, and what the clients of a test meet.

    ``delays`` in seconds and ``errors`` are by method: one for all calls, or a list whose last one stays.
    """

    def __init__(self, clock: FakeTime) -> None:
        self.clock = clock
        self.delays: dict[str, float | list[float]] = {}
        self.errors: dict[str, Exception | list[Exception | None]] = {}
        self.octets: dict[str, int] = {}
        self.notifies = True
        self.poll_interval_s = 60.0
        self.retries = 0
        self.retry_delay_s = 0.0
        self.synchronisation_delay_s = 0.0
        self.calls: list[tuple[str, int, int]] = []
        self.clients: list[FakeClient] = []
        self._message_ids = itertools.count(1)

    def account(self, index: int) -> Account:
        name = f"user{index}"
        return Account(index, name, "secret", name, name.title(), f"/cn={name}", f"{name}@test", "MBX", "PF")

    def connect(
        self, account, client_type, *, startup, probe, on_notify, on_public_news, on_lost
    ) -> FakeClient:
        client = FakeClient(self, account, startup, on_notify, on_public_news, on_lost)
        self.clients.append(client)
        return client

    def client(self, index: int) -> FakeClient:
        """The latest client of a user."""
        return [client for client in self.clients if client.account.index == index][-1]

    def deliver(self, index: int, key: str) -> None:
        """Puts a message into a mailbox and tells its owner, if he is to be told. Strangers get none."""
        if index not in {client.account.index for client in self.clients}:
            return
        client = self.client(index)
        client.news.append(NewMessage(next(self._message_ids), key))
        if self.notifies:
            client.on_notify()

    def times_of(self, method: str) -> list[float]:
        """When a method was called, in seconds, whoever called it."""
        return [at_ns / 1e9 for name, _, at_ns in self.calls if name == method]


@pytest.fixture
def world(clock: FakeTime) -> World:
    return World(clock)


CLIENT = ClientType(
    name="fake",
    title="Fake",
    version="12.0.4518.1014",
    notification="asynchronous",
    connections=ConnectionCounts(mail=1, directory=1),
    startup=StartupCounts(referral=1),
    directory=DirectoryWork(names_resolved_per_message=4),
)
PROFILE = MessageProfile(
    name="fake",
    title="Fake",
    sent_per_day=2,
    received_per_day=8,
    read_per_day=8,
    deleted_per_day=4,
    think_before_read=Duration(10),
    think_before_delete=Duration(20),
)


@pytest.fixture
def population_of() -> Callable[..., Population]:
    """Makes a population of one group; keys of the message profile may be changed."""

    def make(users: int, **changes: object) -> Population:
        profile = msgspec.structs.replace(PROFILE, **changes)
        return Population((UserGroup(users=users, client=CLIENT, profile=profile),))

    return make


class Ear(Recorder):
    """A recorder that also keeps every sample and lag, so that tests see them to the nanosecond."""

    def __init__(self, now_ns: int) -> None:
        super().__init__(0, now_ns)
        self.samples: list[Sample] = []
        self.lags: list[tuple[str, int]] = []

    def record(self, sample: Sample, example: str = "") -> None:
        self.samples.append(sample)
        super().record(sample, example)

    def lag(self, operation: str, due_ns: int, fired_ns: int) -> None:
        self.lags.append((operation, fired_ns - due_ns))
        super().lag(operation, due_ns, fired_ns)

    def times_ms(self, operation: str) -> list[tuple[float, float]]:
        """(response time, service time) of each sample of an operation, in order of their ends."""
        return [
            ((each.ended_ns - each.due_ns) / 1e6, (each.ended_ns - each.started_ns) / 1e6)
            for each in self.samples
            if each.operation == operation
        ]

    def lags_ms(self, operation: str) -> list[float]:
        return [lag_ns / 1e6 for name, lag_ns in self.lags if name == operation]


@pytest.fixture
def ear(clock: FakeTime) -> Ear:
    return Ear(clock())


@pytest.fixture
def make_surroundings(clock: FakeTime, world: World, ear: Ear):
    """Makes surroundings on the running loop."""

    def make(capacity: int = 100, speed: float = 1.0) -> Surroundings:
        ear.measure_between(0, 10**18)
        return Surroundings(
            clock=clock,
            recorder=ear,
            connect=world.connect,
            account=world.account,
            speed=speed,
            capacity=capacity,
        )

    return make
