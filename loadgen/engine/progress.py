"""How a run stands, for whoever watches it: a terminal, a control socket, a monitoring system."""

from collections import deque
from collections.abc import Iterable, Mapping
from typing import Final, NamedTuple

import msgspec

from loadgen.measure.connections import Census
from loadgen.measure.histogram import Histogram
from loadgen.measure.recorder import Event
from loadgen.measure.store import PARTIES
from loadgen.measure.totals import Totals

RECENT_S: Final = 10.0
"""Over how long the latencies of sending are told, at most, and half of it at least: a user sends seldom."""
EVENTS_KEPT: Final = 8
SAME_S: Final = 10.0
"""Within so many seconds what happens again is told once, and how often: a storm leaves room for the rest."""


class ColumnState(NamedTuple):
    """A column of the connection table now: what there should be, and what whoever sees most of it counts."""

    expected: int
    counted: int | None


class Happening(msgspec.Struct, frozen=True):
    """An event, with seconds since the run began."""

    time_s: float
    kind: str
    text: str
    times: int = 1
    """How often it has happened; ``time_s`` is when it did so last."""


class Progress(msgspec.Struct, frozen=True, kw_only=True):
    """What a watcher of the run sees; times and rates are those of the last interval."""

    phase: str
    phase_s: float
    phase_length_s: float | None
    """None if nobody knows how long the phase will last."""
    users: int
    users_planned: int
    users_wanted: int = 0
    """How many there are to be now: as planned, or as was asked for since."""
    users_admitted: int = 0
    users_refused: int = 0
    connections: int
    """TCP connections of the clients."""
    columns: dict[str, ColumnState] = {}
    operations_per_s: float
    p50_ms: float | None
    p99_ms: float | None
    send_p50_ms: float | None = None
    """Of sending messages, over the last five to ten seconds; so is the next."""
    send_p95_ms: float | None = None
    done: int
    failed: int
    skipped: int
    failures: dict[str, int] = {}
    """By outcome, since the run began; those without any are left out."""
    reconnects: int = 0
    connections_lost: int = 0
    lag_p99_ms: float | None = None
    busy: float = 0.0
    """Share of the last ten seconds in which the busiest event loop worked."""
    events: tuple[Happening, ...] = ()
    """The last few, the latest last."""


class Recent:
    """What of the last seconds is told on: latencies of sending, and events."""

    def __init__(self, origin_ns: int) -> None:
        self._origin_ns = origin_ns
        self._older, self._newer = Histogram(), Histogram()
        self._turned_ns = origin_ns
        self._events: deque[Happening] = deque(maxlen=EVENTS_KEPT)
        self._census: Census | None = None

    def add(self, interval: Totals, ended_ns: int, events: Iterable[Event]) -> None:
        """Takes an interval in that has just ended."""
        if ended_ns - self._turned_ns >= RECENT_S / 2 * 1e9:
            self._older, self._newer = self._newer, Histogram()
            self._turned_ns = ended_ns
        if (sends := interval.histograms.get("send_message.response")) is not None:
            self._newer.add(sends)
        for event in events:
            self.happened(event)

    def happened(self, event: Event) -> None:
        """Takes an event in, the last of those of its kind and text that have just happened."""
        time_s, times = round((event.at_ns - self._origin_ns) / 1e9, 3), 1
        for known in self._events:
            if (known.kind, known.text) == (event.kind, event.text) and time_s - known.time_s <= SAME_S:
                self._events.remove(known)
                times += known.times
                break
        self._events.append(Happening(time_s, event.kind, event.text, times))

    def counted(self, census: Census) -> None:
        """Takes a count of connections in, unless the last one was by more parties."""
        if self._census is None or census.counts.keys() >= self._census.counts.keys():
            self._census = census

    @property
    def events(self) -> tuple[Happening, ...]:
        """The last few events, the latest last."""
        return tuple(self._events)

    @property
    def census(self) -> Census | None:
        """The last count of connections by all parties."""
        return self._census

    @property
    def columns(self) -> dict[str, ColumnState]:
        """The connection table as it was last counted."""
        if self._census is None:
            return {}
        counts = self._census.counts
        return {
            column: ColumnState(expected, _seen(counts, column))
            for column, expected in self._census.expected.items()
        }

    def sends_ms(self, *percentiles: float) -> list[float | None]:
        """Percentiles of the response time of sending."""
        whole = Histogram()
        whole.add(self._older)
        whole.add(self._newer)
        at_us = whole.percentiles_us(percentiles)
        return [at_us[each] / 1000 if at_us else None for each in percentiles]


def _seen(counts: Mapping[str, Mapping[str, int | None]], column: str) -> int | None:
    """The mock sees most, then the kernel."""
    found = (counts.get(party, {}).get(column) for party in reversed(PARTIES))
    return next((count for count in found if count is not None), None)
