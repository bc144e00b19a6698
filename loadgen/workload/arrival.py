"""Pure schedules: which user does what when, drawn from (seed, user) alone.

However many processes share the users, and whatever the target does, a schedule stays the same. Times are
real nanoseconds from the start of the measured phase; the warm-up lies before it, at negative times.
"""

import math
from itertools import accumulate
from random import Random
from typing import Final

import msgspec

from loadgen.client.client_type import RECIPIENTS_PER_MESSAGE
from loadgen.workload.campaign import Campaign, Population
from loadgen.workload.profile import MessageProfile

_HOUR_S: Final = 3600.0
_NS_PER_S: Final = 1_000_000_000
_GOLDEN_RATIO: Final = (math.sqrt(5) - 1) / 2


class Send(msgspec.Struct, frozen=True, gc=False):
    """When a user's message ``number`` is due; numbers count from day 0, and are negative in the warm-up."""

    due_ns: int
    number: int


class PlannedMessage(msgspec.Struct, frozen=True):
    """What is sent: ``recipients`` are four users other than the sender, ``size`` is in bytes."""

    key: str
    recipients: tuple[int, ...]
    size: int


class PlannedPost(msgspec.Struct, frozen=True, gc=False):
    """What a user posts to a public folder, and when."""

    due_ns: int
    key: str


class ThinkTimes(msgspec.Struct, frozen=True, gc=False):
    """Real nanoseconds from the receipt of a message to its reading, and to its deletion after that."""

    read_ns: int
    delete_ns: int


class Schedule:
    """The days of all users of a campaign. Nothing in it changes, and it is cheap to make and to pickle."""

    def __init__(self, campaign: Campaign, population: Population) -> None:
        self._population = population
        self._seed = campaign.seed
        self._shape = campaign.shape
        self._day_s = float(campaign.day)
        self._speed = campaign.speed
        self._ramp_ns = _ns(campaign.ramp)
        self._session_ns = _ns(campaign.session_length / campaign.speed)
        self._start_ns = -_ns(campaign.warmup)
        self._end_ns = _ns(campaign.duration_s)
        groups = population.groups
        self._group_weights = list(
            accumulate(group.users * group.profile.received_per_day for group in groups)
        )

    def log_on_ns(self, user: int) -> int:
        """When a user logs on, from the start of the ramp.

        Multiples of the golden ratio spread users evenly whichever of them are taken, so neither a group of
        users nor a worker's share comes as one block.
        """
        return int(user * _GOLDEN_RATIO % 1 * self._ramp_ns)

    def session_ns(self, user: int) -> int:
        """When a user's first session of the day ends; sessions of all users are spread as the ramp is."""
        return int(user * _GOLDEN_RATIO % 1 * self._session_ns)

    def sends(self, user: int) -> list[Send]:
        """What a user sends in warm-up and measured phase, by due time; nothing for the closed shape.

        Each simulated day has exactly as many as the profile says.
        """
        per_day = self._profile(user).sent_per_day
        return [Send(due_ns, number) for due_ns, number in self._days(user, "send", per_day)]

    def browses(self, user: int) -> list[int]:
        """When a user browses the address book, in order; nothing for the closed shape."""
        per_day = self._population.group_of(user).client.directory.browses_per_day
        return [due_ns for due_ns, _ in self._days(user, "browse", per_day)]

    def public_browses(self, user: int) -> list[int]:
        """When a user looks at a public folder, in order; nothing for the closed shape."""
        per_day = self._population.group_of(user).client.public_folder.browses_per_day
        return [due_ns for due_ns, _ in self._days(user, "browse public", per_day)]

    def posts(self, user: int) -> list[PlannedPost]:
        """What a user posts, by due time; nothing for the closed shape."""
        per_day = self._population.group_of(user).client.public_folder.posts_per_day
        return [
            PlannedPost(due_ns, f"{self._seed}.{user}.post.{number}")
            for due_ns, number in self._days(user, "post", per_day)
        ]

    def publications(self, user: int) -> list[int]:
        """When a user's Outlook finds that the calendar has changed, so publishes; in order.

        It looks at an interval, on a beat of its own, so several changes may be one publication.
        """
        work = self._population.group_of(user).client.public_folder
        if work.free_busy == "off":
            return []
        beat_ns = max(_NS_PER_S, _ns(work.free_busy_interval_s / self._speed))
        first_ns = self._start_ns + int(self._random(user, "free/busy").random() * beat_ns)
        changes = self._days(user, "calendar", work.calendar_changes_per_day)
        beats = dict.fromkeys(-((first_ns - due_ns) // beat_ns) for due_ns, _ in changes)
        due = (first_ns + beat * beat_ns for beat in beats)
        return [due_ns for due_ns in due if due_ns < self._end_ns]

    def message(self, user: int, number: int, present: int | None = None) -> PlannedMessage:
        """What a user's message ``number`` is; sizes of a day have exactly the profile's mean.

        It goes to some of the first ``present`` users (all, if left out), if those are enough.
        """
        among = self._population.users
        if present is not None and self._receivers(present) > RECIPIENTS_PER_MESSAGE:
            among = present
        return PlannedMessage(
            key=f"{self._seed}.{user}.{number}",
            recipients=self._recipients(user, self._random(user, "recipients", number), among),
            size=self._size(user, number),
        )

    def think_times(self, user: int, key: str) -> ThinkTimes:
        """How long a user takes to read and to delete the message ``key``."""
        profile = self._profile(user)
        random = self._random(user, "think", key)
        read_s = 2 * profile.think_before_read * random.random()
        delete_s = read_s + 2 * profile.think_before_delete * random.random()
        return ThinkTimes(_ns(read_s / self._speed), _ns(delete_s / self._speed))

    def _profile(self, user: int) -> MessageProfile:
        return self._population.group_of(user).profile

    def _random(self, user: int, *purpose: object) -> Random:
        """A stream of its own for each purpose; text seeds give the same numbers on every machine."""
        return Random("/".join(map(str, (self._seed, user, *purpose))))

    def _days(self, user: int, purpose: str, per_day: int) -> list[tuple[int, int]]:
        if self._shape == "closed" or not per_day:
            return []
        day_ns = self._day_s / self._speed * _NS_PER_S
        arrivals = []
        for day in range(math.floor(self._start_ns / day_ns), math.ceil(self._end_ns / day_ns)):
            random = self._random(user, purpose, day)
            times_s = sorted(self._time_of_day(random.random()) for _ in range(per_day))
            for index, time_s in enumerate(times_s, day * per_day):
                due_ns = int(day * day_ns) + int(time_s / self._speed * _NS_PER_S)
                if self._start_ns <= due_ns < self._end_ns:
                    arrivals.append((due_ns, index))
        return arrivals

    def _time_of_day(self, share: float) -> float:
        """The simulated second before which this share of a day's work is due."""
        day_s = self._day_s
        if self._shape != "peak":
            return share * day_s
        before_s = (day_s - _HOUR_S) / 2
        around_peak = (day_s - 2 * _HOUR_S) / (day_s - _HOUR_S)
        share_before, share_in_peak = before_s * around_peak / day_s, 2 * _HOUR_S / day_s
        if share < share_before:
            return share * day_s / around_peak
        if share < share_before + share_in_peak:
            return before_s + (share - share_before) * day_s / 2
        return before_s + _HOUR_S + (share - share_before - share_in_peak) * day_s / around_peak

    def _receivers(self, below: int) -> int:
        population = self._population
        return sum(
            len(population.members(number, below))
            for number, group in enumerate(population.groups)
            if group.profile.received_per_day
        )

    def _recipients(self, sender: int, random: Random, among: int) -> tuple[int, ...]:
        """Draws a group by what it receives, then a user of it, until there are enough different ones."""
        chosen: dict[int, None] = {}
        weights = self._group_weights
        while len(chosen) < RECIPIENTS_PER_MESSAGE:
            point = random.random() * weights[-1]
            group = next(index for index, weight in enumerate(weights) if point < weight)
            members = self._population.members(group, among)
            place = int(random.random() * len(members))
            if place < len(members) and members[place] != sender:
                chosen[members[place]] = None
        return tuple(chosen)

    def _size(self, user: int, number: int) -> int:
        """Sizes come in pairs, one as far above the mean as the other below; an odd one out is the mean."""
        profile = self._profile(user)
        mean, per_day = profile.message_size, profile.sent_per_day
        index = number % per_day
        if index == per_day - 1 and per_day % 2:
            return mean
        first_of_pair = number - index % 2
        away = int(self._random(user, "size", first_of_pair).random() * mean / 2)
        return mean - away if index % 2 else mean + away


def falls_due(number: int, part: int, whole: int) -> bool:
    """Whether message ``number`` (from 0) is among ``part`` in ``whole``, spread evenly: which to delete."""
    return (number + 1) * part // whole > number * part // whole


def _ns(seconds: float) -> int:
    return round(seconds * _NS_PER_S)
