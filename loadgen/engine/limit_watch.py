"""Which limit it was: errors of refused users beside what the servers say of their limits."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping

import msgspec

from loadgen.errors import PeerError
from loadgen.measure.limits import UNKNOWN, AskLimits, LimitReading, likeliest
from loadgen.measure.recorder import Event, Refusal
from loadgen.report.summary import LimitHit


class LimitWatch:
    """Names limits for one run. An error may mean several: the one whose hits moved last it is.

    So what it means has to be asked in the interval in which it came, after :meth:`look`.

    ``ask`` is None if the target's counters can't be had; then a limit is named if only one comes into
    question, and it is nobody's in particular.
    """

    def __init__(self, ask: AskLimits | None = None) -> None:
        self._ask = ask
        self._before: dict[tuple[str, str], int] = {}
        self._found: dict[tuple[str, str], LimitReading] = {}
        self._looks = 0
        self._moved: dict[tuple[str, str], tuple[int, LimitReading]] = {}
        """The look at which hits had moved last, and what it saw."""
        self._first: dict[str, Refusal] = {}
        """By limit."""

    async def begin(self) -> str:
        """Reads what the counters say before anybody comes; returns the problem if they can't be read."""
        try:
            self._before = {(each.name, each.server): each.hits for each in await self.readings()}
        except PeerError as error:
            self._ask = None
            return str(error)
        return ""

    async def look(self) -> None:
        """Reads the counters after a refusal; counters that can't be read now say nothing new."""
        try:
            readings = await self.readings()
        except PeerError:
            return
        self._looks += 1
        for each in readings:
            key = (each.name, each.server)
            seen = self._moved[key][1].hits if key in self._moved else self._before.get(key, 0)
            if each.hits > seen:
                self._moved[key] = (self._looks, each)
            hits = each.hits - self._before.get(key, 0)
            if hits > 0:
                in_use = max(each.in_use, self._found[key].in_use if key in self._found else 0.0)
                self._found[key] = msgspec.structs.replace(each, hits=hits, in_use=in_use)

    def note(self, refusals: Iterable[Refusal], users_logged_on_elsewhere: int) -> None:
        """Keeps the first refusal by each limit; the others logged on are those of other shards."""
        for refusal in refusals:
            if not (name := self.name_of(refusal.limits)):
                continue
            known = self._first.get(name)
            if known is None or refusal.first_ns < known.first_ns:
                users = refusal.users_logged_on + users_logged_on_elsewhere
                self._first[name] = msgspec.structs.replace(refusal, users_logged_on=users)

    def name_of(self, candidates: tuple[str, ...]) -> str:
        """The limit that an error of now means which may mean these; "" if that can't be said."""
        if self._ask is None:
            return candidates[0] if len(candidates) == 1 else ""
        moved = [each for each in self._moved.values() if each[1].name in candidates]
        latest = max((look for look, _ in moved), default=0)
        limit = likeliest(candidates, (reading for look, reading in moved if look == latest))
        return "" if limit is None else limit.name

    @property
    def is_counted(self) -> bool:
        """Whether the target's counters can be had."""
        return self._ask is not None

    def named(self, event: Event) -> Event:
        """The event with the limit's name instead of those that come into question."""
        if event.limit is None:
            return event
        return msgspec.structs.replace(event, limit=self.name_of(tuple(event.limit.split("|"))) or None)

    def hits(self) -> tuple[LimitHit, ...]:
        """Every limit that was hit, with the first refusal that means it; in the order in which they came."""
        first = self._first
        found = list(self._found.values())
        if self._ask is None:
            by_time = sorted(first, key=lambda name: first[name].first_ns)
            found = [LimitReading(name, "", 0.0, 0.0, 0) for name in by_time]
        hits = [_hit(reading, first.get(reading.name), self._ask is not None) for reading in found]
        return tuple(sorted(hits, key=lambda hit: (hit.first_error == "", hit.users_logged_on or 0)))

    async def readings(self) -> list[LimitReading]:
        """What the counters say now; nothing without counters. Raises :class:`~loadgen.errors.PeerError`."""
        return [] if self._ask is None else await self._ask()


class RefusedUsers:
    """The users who are refused, by the limit that was named when they were; it stays theirs."""

    def __init__(self, limits: LimitWatch) -> None:
        self._limits = limits
        self._named: defaultdict[str, Counter[str]] = defaultdict(Counter)
        """By candidates with ``|`` between them, then by name in the order of naming."""

    def take(self, refused: Mapping[str, int]) -> None:
        """All who are refused by now, by candidates; of those who are no more, the first are forgotten."""
        for candidates in {*self._named, *refused}:
            named = self._named[candidates]
            more = refused.get(candidates, 0) - named.total()
            if more > 0:
                named[self._limits.name_of(tuple(candidates.split("|"))) or UNKNOWN] += more
            for name in list(named):
                if more >= 0:
                    break
                gone = min(named[name], -more)
                named[name] -= gone
                more += gone

    def by_limit(self) -> Counter[str]:
        """How many users each limit refused; ``unknown`` where that can't be said."""
        return sum(self._named.values(), Counter())


def _hit(reading: LimitReading, refusal: Refusal | None, is_counted: bool) -> LimitHit:
    return LimitHit(
        name=reading.name,
        server=reading.server,
        in_use=reading.in_use if is_counted else None,
        of=reading.of if is_counted else None,
        hits=reading.hits if is_counted else None,
        users_logged_on=None if refusal is None else refusal.users_logged_on,
        first_error="" if refusal is None else refusal.error,
    )
