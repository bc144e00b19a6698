"""A day in bad weather: users in cached mode, whose channels live short and whose connections break.

All that is drawn is drawn from a seed; when it strikes depends on the machine.
"""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine, Iterable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from itertools import pairwise
from random import Random
from typing import Any

from loadgen.client.account import Account, RpcProxy
from loadgen.client.local_copy import LocalCopy
from loadgen.client.message import OutgoingMessage
from loadgen.client.outlook import OutlookClient
from loadgen.client.transport import ConnectionOptions
from loadgen.errors import ConnectionLost, PeerError, TransportError
from tests.end_to_end.mock_organisation import MockOrganisation
from tests.end_to_end.person import CLIENT_TYPES
from tests.end_to_end.relay import Relay, relay_to

LIFETIME = 12_288
"""Bytes that a channel carries, either way."""
_MARGIN = 8_192
"""What is left of an IN channel when its successor is opened: much, so that it happens often."""
SHORT_LIVED = ("--set", f"http.channel_lifetime={LIFETIME}")
RECIPIENTS = 4
FORMS = ("IN_R1", "IN_R2", "OUT_R1", "OUT_R2")

_CACHED = [
    client_type
    for client_type in CLIENT_TYPES.values()
    if client_type.cached is not None and client_type.transport == "http"
]
_CUT_AFTER = (5_000, 80_000)
_DELETED_SHARE = 0.5
_POLL_S = 0.5
_PATIENCE_S = 120.0


@dataclass(frozen=True)
class Forecast:
    """How many users send how much in ``day_s`` seconds, and what befalls them meanwhile.

    They synchronise every ``synchronisation_s`` on average, so that several messages come at once, and
    ``cut_share`` of these downloads are to be cut after some of their bytes.
    """

    users: int
    messages: int
    day_s: float
    drops: int
    cut_share: float
    synchronisation_s: float
    sizes: tuple[int, int] = (4_000, 40_000)
    seed: int = 1


@dataclass
class Damage:
    """What happened to one user; ``errors`` are those that no broken connection explains."""

    losses: int = 0
    """Virtual connections."""
    resumed: int = 0
    """Downloads that were cut when some of their messages had come."""
    errors: list[str] = field(default_factory=list)


class Sailor:
    """One user. ``confirmed`` and ``doubtful`` are the messages sent, ``told`` counts news by key."""

    def __init__(self, mock: MockOrganisation, index: int, relay: Relay, forecast: Forecast) -> None:
        self.account = mock.account(index)
        self.relay = relay
        self.copy = LocalCopy()
        self.damage = Damage()
        self.confirmed: list[OutgoingMessage] = []
        self.doubtful: list[OutgoingMessage] = []
        self.told: Counter[str] = Counter()
        self._type = _CACHED[index % len(_CACHED)]
        self._forecast = forecast
        self._random = Random(f"{forecast.seed}/{index}")
        self._client: OutlookClient | None = None
        self._broken = False

    def outlook(self, proxy: RpcProxy, copy: LocalCopy, options: ConnectionOptions) -> OutlookClient:
        """A client of this user."""
        return OutlookClient(
            self.account,
            self._type,
            proxy,
            startup=False,
            probe=_nothing,
            on_notify=_nothing,
            on_lost=self._break,
            options=options,
            copy=copy,
        )

    async def log_on(self) -> OutlookClient:
        """The client, logged on anew if the last one lost a connection."""
        if self._broken:
            self.abort()
        if self._client is None:
            options = ConnectionOptions(channel_lifetime=LIFETIME, recycle_margin=_MARGIN)
            client = self.outlook(self.relay.proxy, self.copy, options)
            try:
                await client.log_on()
            except BaseException:
                client.abort()
                raise
            self._client = client
        return self._client

    async def work(self, others: list[Account]) -> None:
        """Send at the times that were drawn, and synchronise now and then."""
        loop, draw, forecast = asyncio.get_running_loop(), self._random, self._forecast
        start = loop.time()
        times = sorted(draw.uniform(0, forecast.day_s) for _ in range(forecast.messages))
        while times:
            if loop.time() < start + times[0]:
                if draw.random() < forecast.cut_share:
                    self.relay.cut_all_after(draw.randint(*_CUT_AFTER))
                await self.survives(self._receive())
                await asyncio.sleep(draw.uniform(0, 2 * forecast.synchronisation_s))
                continue
            key = f"{self.account.alias}-{len(self.confirmed) + len(self.doubtful)}"
            recipients = tuple(draw.sample(others, RECIPIENTS))
            if await self.survives(
                self._send(OutgoingMessage(key, recipients, draw.randint(*forecast.sizes)))
            ):
                del times[0]

    async def receive_all(self, keys: set[str]) -> None:
        """Until all that was sent for sure has come."""
        async with asyncio.timeout(_PATIENCE_S):
            while not keys <= self.told.keys():
                await self.survives(self._receive())
                await asyncio.sleep(_POLL_S)

    async def log_off(self) -> None:
        """Hold the copy against the mailbox, over the same channels, and go."""
        client = await self.log_on()
        await client.log_off()
        self._client = None

    def abort(self) -> None:
        """Cut whatever there is."""
        if self._client is not None:
            self._client.abort()
            self._client = None
        self._broken = False

    def _break(self, _error: PeerError) -> None:
        """One connection of several; whoever is idle may not notice otherwise."""
        self._broken = True
        self.damage.losses += 1

    async def survives(self, step: Awaitable[object]) -> bool:
        """Whether the step came to its end; if not, the next one has to log on."""
        try:
            await step
        except PeerError as error:
            self.abort()
            if not isinstance(error, ConnectionLost | TransportError):
                self.damage.errors.append(f"{self.account.alias}: {type(error).__name__}: {error}")
            return False
        return True

    async def _send(self, message: OutgoingMessage) -> None:
        client = await self.log_on()
        await client.resolve_names(message.recipients)
        self.doubtful.append(message)
        await client.send_message(message)
        self.doubtful.remove(message)
        self.confirmed.append(message)

    async def _receive(self) -> None:
        known = len(self.copy.inbox.messages)
        try:
            client = await self.log_on()
            news = await client.fetch_news()
        except PeerError:
            self.damage.resumed += len(self.copy.inbox.messages) > known
            raise
        for message in news:
            self.told[message.key] += 1
            await client.read_message(message.message_id, message.key)
            if self._random.random() < _DELETED_SHARE:
                await client.delete_message(message.message_id)


@dataclass
class Wreckage:
    """What is left after a storm: the users, what the mock recycled, and what was cut."""

    sailors: list[Sailor]
    recycled: dict[str, int] = field(default_factory=dict)
    drops: int = 0
    compared: int = 0
    differences: list[str] = field(default_factory=list)

    @property
    def confirmed(self) -> list[OutgoingMessage]:
        """Messages whose sending came to its end."""
        return [message for sailor in self.sailors for message in sailor.confirmed]

    @property
    def doubtful(self) -> list[OutgoingMessage]:
        """Messages whose sending was cut: they may have been sent or not."""
        return [message for sailor in self.sailors for message in sailor.doubtful]

    @property
    def cuts(self) -> int:
        """How often all connections of a user were cut after some bytes."""
        return sum(sailor.relay.cuts for sailor in self.sailors)

    @property
    def errors(self) -> list[str]:
        """Failures that no broken connection explains."""
        return [error for sailor in self.sailors for error in sailor.damage.errors]

    def total(self, count: Callable[[Damage], int]) -> int:
        """One figure of all users together."""
        return sum(count(sailor.damage) for sailor in self.sailors)

    def held(self) -> Counter[tuple[str, str]]:
        """How often each message is in each user's Inbox or Deleted Items, by key and alias."""
        return Counter(
            (message.key, sailor.account.alias)
            for sailor in self.sailors
            for folder in (sailor.copy.inbox, sailor.copy.deleted_items)
            for message in folder.messages.values()
        )

    def filed(self) -> Counter[str]:
        """How often each message is in its sender's Sent Items."""
        return Counter(
            message.key for sailor in self.sailors for message in sailor.copy.sent_items.messages.values()
        )


async def storm(mock: MockOrganisation, forecast: Forecast) -> Wreckage:
    """Everybody logs on, works a day while it storms, receives the rest, and logs off."""
    async with AsyncExitStack() as stack:
        sailors = [
            Sailor(mock, index, await stack.enter_async_context(relay_to(mock)), forecast)
            for index in range(forecast.users)
        ]
        wreckage = Wreckage(sailors)
        for sailor in sailors:
            stack.callback(sailor.abort)
            await sailor.log_on()
        accounts = [sailor.account for sailor in sailors]
        weather = asyncio.create_task(_blow(wreckage, forecast))
        await _together(
            sailor.work([account for account in accounts if account is not sailor.account])
            for sailor in sailors
        )
        await weather
        for sailor in sailors:
            sailor.relay.calm()
        sure = {
            account.alias: {message.key for message in wreckage.confirmed if account in message.recipients}
            for account in accounts
        }
        await _together(sailor.receive_all(sure[sailor.account.alias]) for sailor in sailors)
        await _together(sailor.log_off() for sailor in sailors)
        for sailor in sailors:
            await _compare(sailor, mock, wreckage)
    counters = mock.counters()["roles"]["CAS1"]
    wreckage.recycled = {form: round(counters[f"Mock\\Recycled Channels {form}"]) for form in FORMS}
    return wreckage


async def _together(steps: Iterable[Coroutine[Any, Any, None]]) -> None:
    async with asyncio.TaskGroup() as tasks:
        for step in steps:
            tasks.create_task(step)


async def _blow(wreckage: Wreckage, forecast: Forecast) -> None:
    """Break connections of anybody at any time, with FIN or RST."""
    draw = Random(forecast.seed)
    times = sorted(draw.uniform(0, forecast.day_s) for _ in range(forecast.drops))
    pauses = (later - earlier for earlier, later in pairwise([0.0, *times]))
    for pause in pauses:
        await asyncio.sleep(pause)
        victim = draw.choice(wreckage.sailors)
        wreckage.drops += victim.relay.cut_any(draw)


async def _compare(sailor: Sailor, mock: MockOrganisation, wreckage: Wreckage) -> None:
    """Download the mailbox once more, with a new client straight to the server, and hold the copy to it."""
    mailbox = LocalCopy()
    client = sailor.outlook(mock.proxy, mailbox, ConnectionOptions())
    try:
        await client.log_on()
    finally:
        client.abort()
    for mine, theirs in zip(sailor.copy.folders, mailbox.folders, strict=True):
        wreckage.compared += len(theirs.messages)
        wreckage.differences += mine.differences(theirs)
        broken = [message.key for message in theirs.messages.values() if not message.intact]
        wreckage.differences += [f"message {key} is not what its sender wrote" for key in broken]


def _nothing(*_: object) -> None:
    """Whoever synchronises by the clock needs no notifications."""
