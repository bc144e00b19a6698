"""From the snapshots of a run to readings: added up between two intervals, read by others at any time."""

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from math import inf

import msgspec

from loadgen.measure.connections import Census
from loadgen.measure.recorder import ALWAYS_TIMED, Snapshot
from loadgen.measure.sample import LAYERS, OK
from loadgen.measure.sparse import SparseHistogram, highest_us
from loadgen.measure.totals import Totals
from loadgen.telemetry import instruments
from loadgen.telemetry.instruments import BOUNDS_S, Distribution, Instrument, Reading

_BOUNDS_US = tuple(round(bound_s * 1e6) for bound_s in BOUNDS_S)


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """What a run knows besides its totals."""

    phase: str
    users_planned: int
    users_wanted: int
    census: Census | None = None
    refused_by_limit: Mapping[str, int] = {}
    limit_hits: Mapping[tuple[str, str], int] = {}
    """By limit and server."""


class Meter:
    """One run's. :attr:`readings` may be taken by any thread; it is put there as a whole."""

    def __init__(self) -> None:
        self.readings: tuple[Reading, ...] = ()
        self._info: tuple[Reading, ...] = ()
        self._buckets: dict[tuple[Instrument, str], _Buckets] = {}

    def describe(self, campaign: str, target: str, run_id: str, version: str) -> None:
        """Says which run this is, whose figures begin with nothing."""
        self._info = (Reading(instruments.RUN, (campaign, target, run_id, version), 1),)
        self.readings = self._info
        self._buckets = {}

    def take(self, snapshots: Iterable[Snapshot], totals: Totals, standing: Standing) -> None:
        """Adds the histograms of an interval; everything else is told as ``totals`` have it."""
        for snapshot in snapshots:
            for tag, encoded in snapshot.histograms.items():
                if (key := _instrument_of(tag)) is not None:
                    self._buckets.setdefault(key, _Buckets()).add_encoded(encoded.payload)
        self.readings = (*self._info, *_standing(standing), *_totals(totals), *self._histograms())

    def _histograms(self) -> Iterator[Reading]:
        for (instrument, label), buckets in self._buckets.items():
            labels = (label,) if instrument.labels else ()
            yield Reading(instrument, labels, buckets.distribution)


class _Buckets:
    """Values between the bounds, since the run began."""

    def __init__(self) -> None:
        self._counts = [0] * (len(_BOUNDS_US) + 1)
        self._sum_us = 0.0
        self._smallest_us, self._largest_us = inf, 0.0

    def add_encoded(self, payload: str) -> None:
        """A value counts where the middle of what the histogram cannot tell apart is."""
        histogram = SparseHistogram()
        histogram.add_encoded(payload)
        for index, count in histogram.counts.items():
            value_us = (highest_us(index - 1) + 1 + highest_us(index)) / 2
            self._counts[bisect_left(_BOUNDS_US, value_us)] += count
            self._sum_us += value_us * count
            self._smallest_us = min(self._smallest_us, value_us)
            self._largest_us = max(self._largest_us, value_us)

    @property
    def distribution(self) -> Distribution:
        """All of them."""
        return Distribution(
            tuple(self._counts), self._sum_us / 1e6, self._smallest_us / 1e6, self._largest_us / 1e6
        )


def _instrument_of(tag: str) -> tuple[Instrument, str] | None:
    """The instrument of a histogram's tag, with its label; lags of all operations are one, as in reports."""
    name, _, kind = tag.rpartition(".")
    match kind:
        case "response":
            return instruments.RESPONSE, name
        case "service":
            return (instruments.SET_UP if name in LAYERS else instruments.SERVICE), name
        case "lag" if name not in ALWAYS_TIMED:
            return instruments.LAG, ""
    return None


def _standing(standing: Standing) -> Iterator[Reading]:
    yield Reading(instruments.PHASE, (standing.phase,), 1)
    yield Reading(instruments.USERS, ("planned",), standing.users_planned)
    yield Reading(instruments.USERS, ("wanted",), standing.users_wanted)
    for limit, users in standing.refused_by_limit.items():
        yield Reading(instruments.REFUSED, (limit,), users)
    for key, hits in standing.limit_hits.items():
        yield Reading(instruments.LIMIT_HITS, key, hits)
    if standing.census is not None:
        yield from _connections(standing.census)


def _connections(census: Census) -> Iterator[Reading]:
    for column, expected in census.expected.items():
        yield Reading(instruments.CONNECTIONS, (column, "expected"), expected)
        for party, counts in census.counts.items():
            if (count := counts.get(column)) is not None:
                yield Reading(instruments.CONNECTIONS, (column, party), count)


def _totals(totals: Totals) -> Iterator[Reading]:
    for state, users in (
        ("logged_on", totals.users_logged_on),
        ("admitted", totals.users_admitted),
        ("refused", totals.users_refused),
        ("lost", totals.users_lost),
    ):
        yield Reading(instruments.USERS, (state,), users)
    yield Reading(instruments.RECONNECTS, (), totals.reconnects)
    yield Reading(instruments.LOST, (), totals.connections_lost)
    for operation, counts in totals.counts.items():
        yield Reading(instruments.PLANNED, (operation,), counts.planned)
        yield Reading(instruments.SKIPPED, (operation,), counts.skipped)
        yield Reading(instruments.OPERATIONS, (operation, OK), counts.done)
    for failure in totals.failures.values():
        yield Reading(instruments.OPERATIONS, (failure.operation, failure.outcome), failure.count)
    for key, (octets, _) in totals.traffic.items():
        yield Reading(instruments.TRAFFIC, key, octets)
    yield from _workers(totals)


def _workers(totals: Totals) -> Iterator[Reading]:
    purposes: Counter[str] = Counter()
    unfinished = 0
    for shard, gauges in totals.gauges.items():
        purposes.update(gauges.virtual_connections)
        unfinished += gauges.unfinished
        if not gauges.descriptors_limit:  # the coordinator's own books, or a worker that has died
            continue
        worker = (str(shard),)
        yield Reading(instruments.BUSY, worker, gauges.busy)
        yield Reading(instruments.CPU, worker, gauges.cpu_s_total)
        yield Reading(instruments.MEMORY, worker, gauges.resident_octets)
        yield Reading(instruments.DESCRIPTORS, worker, gauges.descriptors)
        yield Reading(instruments.MOST_DESCRIPTORS, worker, gauges.descriptors_limit)
        yield Reading(instruments.PORTS, worker, gauges.ports_use)
    yield Reading(instruments.UNFINISHED, (), unfinished)
    for purpose, count in purposes.items():
        yield Reading(instruments.VIRTUAL, (purpose,), count)
