"""Snapshots of all shards, added up: what progress shows, thresholds judge and the summary is made of."""

from collections import Counter as CountsByName
from collections import deque
from collections.abc import Iterable
from typing import Final

import msgspec

from loadgen.measure.histogram import Histogram
from loadgen.measure.recorder import Counts, Failure, Gauges, Snapshot, TrafficKind
from loadgen.measure.sample import OPERATIONS

BUSY_WINDOW_NS: Final = 10_000_000_000


class BusyWindow:
    """How busy one event loop was over its last ten seconds; a shorter burst says nothing."""

    __slots__ = ("_intervals",)

    def __init__(self) -> None:
        self._intervals: deque[tuple[int, int, float]] = deque()

    def add(self, started_ns: int, ended_ns: int, busy: float) -> float:
        """Takes one more interval's busy share in; returns that of the window, 0 while it is not full."""
        intervals = self._intervals
        intervals.append((started_ns, ended_ns, busy))
        while len(intervals) > 1 and ended_ns - intervals[1][0] >= BUSY_WINDOW_NS:
            intervals.popleft()
        length_ns = ended_ns - intervals[0][0]
        if length_ns < BUSY_WINDOW_NS:
            return 0.0
        return sum((end - start) * share for start, end, share in intervals) / length_ns


class Totals:
    """The sum of snapshots in any order; gauges are the latest of each shard."""

    def __init__(self) -> None:
        self.counts = {operation: Counts() for operation in OPERATIONS}
        self.failures: dict[tuple[str, str], Failure] = {}
        self.histograms: dict[str, Histogram] = {}
        self.clamped = 0
        self.events_dropped = 0
        self.traffic: dict[tuple[str, str, TrafficKind], tuple[int, float]] = {}
        """(octets, user seconds) by client type, profile and kind."""
        self.gauges: dict[int, Gauges] = {}
        self.users_logged_on_peak = 0
        self.users_admitted_peak = 0
        self.busy_peak = 0.0
        """The largest share of any ten seconds in which one event loop was busy."""
        self._busy: dict[int, BusyWindow] = {}
        self.descriptors_use_peak = 0.0
        self.ports_use_peak = 0.0
        self.resident_octets_peak = 0

    def add(self, snapshot: Snapshot) -> None:
        """Takes one snapshot in."""
        for operation, counts in snapshot.counts.items():
            self.counts[operation].add(counts)
        for failure in snapshot.failures:
            self._add_failure(failure)
        for tag, encoded in snapshot.histograms.items():
            self.histogram(tag).add_encoded(encoded.payload)
        self.clamped += snapshot.clamped
        self.events_dropped += snapshot.events_dropped
        for part in snapshot.traffic:
            key = (part.client, part.profile, part.kind)
            octets, seconds = self.traffic.get(key, (0, 0.0))
            self.traffic[key] = (octets + part.octets, seconds + part.user_seconds)
        self._add_gauges(snapshot)

    def histogram(self, tag: str) -> Histogram:
        """The sum of the histograms under one tag; empty if there were none."""
        histogram = self.histograms.get(tag)
        if histogram is None:
            histogram = self.histograms[tag] = Histogram()
        return histogram

    def merged(self, tags: Iterable[str]) -> Histogram:
        """One histogram of all values under several tags."""
        sum_of_all = Histogram()
        for tag in tags:
            if tag in self.histograms:
                sum_of_all.add(self.histograms[tag])
        return sum_of_all

    @property
    def failures_by_outcome(self) -> dict[str, int]:
        """Failed operations so far; outcomes without any are left out."""
        found: CountsByName[str] = CountsByName()
        for failure in self.failures.values():
            found[failure.outcome] += failure.count
        return dict(found)

    @property
    def users_logged_on(self) -> int:
        """Users that are logged on now, in all shards."""
        return sum(gauges.users_logged_on for gauges in self.gauges.values())

    @property
    def users_admitted(self) -> int:
        """Users with all of their steady connections open now, in all shards."""
        return sum(gauges.users_admitted for gauges in self.gauges.values())

    @property
    def users_refused_by(self) -> dict[str, int]:
        """Users that could not log on so far, by the limits that this may mean; see :class:`Gauges`."""
        found: CountsByName[str] = CountsByName()
        for gauges in self.gauges.values():
            found.update(gauges.users_refused_by)
        return dict(found)

    @property
    def reconnects(self) -> int:
        """How often users came back after a loss, so far."""
        return sum(gauges.reconnects_total for gauges in self.gauges.values())

    @property
    def users_refused(self) -> int:
        """Users that could not log on so far."""
        return sum(gauges.users_refused_total for gauges in self.gauges.values())

    @property
    def users_lost(self) -> int:
        """Users that lost their connections and did not come back, so far."""
        return sum(gauges.users_lost_total for gauges in self.gauges.values())

    @property
    def connections_lost(self) -> int:
        """Virtual connections that went without being closed, so far."""
        return sum(gauges.connections_lost_total for gauges in self.gauges.values())

    @property
    def virtual_connections(self) -> int:
        """Virtual connections open now, in all shards."""
        return sum(sum(gauges.virtual_connections.values()) for gauges in self.gauges.values())

    @property
    def tcp_connections(self) -> int:
        """TCP connections open now, in all shards."""
        return sum(gauges.tcp_connections for gauges in self.gauges.values())

    def _add_failure(self, failure: Failure) -> None:
        key = (failure.operation, failure.outcome)
        known = self.failures.get(key)
        if known is None:
            self.failures[key] = msgspec.structs.replace(failure)
            return
        known.count += failure.count
        known.last_ns = max(known.last_ns, failure.last_ns)
        if failure.first_ns < known.first_ns:
            known.first_ns, known.example = failure.first_ns, failure.example

    def _add_gauges(self, snapshot: Snapshot) -> None:
        gauges = snapshot.gauges
        self.gauges[snapshot.shard] = gauges
        self.users_logged_on_peak = max(self.users_logged_on_peak, self.users_logged_on)
        self.users_admitted_peak = max(self.users_admitted_peak, self.users_admitted)
        window = self._busy.setdefault(snapshot.shard, BusyWindow())
        self.busy_peak = max(self.busy_peak, window.add(snapshot.started_ns, snapshot.ended_ns, gauges.busy))
        if gauges.descriptors_limit:
            use = gauges.descriptors / gauges.descriptors_limit
            self.descriptors_use_peak = max(self.descriptors_use_peak, use)
        self.ports_use_peak = max(self.ports_use_peak, gauges.ports_use)
        resident = sum(each.resident_octets for each in self.gauges.values())
        self.resident_octets_peak = max(self.resident_octets_peak, resident)
