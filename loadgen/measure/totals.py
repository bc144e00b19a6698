"""Snapshots of all shards, added up: what progress shows, thresholds judge and the summary is made of."""

from collections.abc import Iterable

from loadgen.measure.histogram import Histogram
from loadgen.measure.recorder import Counts, Failure, Gauges, Snapshot, TrafficKind
from loadgen.measure.sample import OPERATIONS


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
        self.busy_peak = 0.0
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
        self._add_gauges(snapshot.shard, snapshot.gauges)

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
    def users_logged_on(self) -> int:
        """Users that are logged on now, in all shards."""
        return sum(gauges.users_logged_on for gauges in self.gauges.values())

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

    def _add_failure(self, failure: Failure) -> None:
        key = (failure.operation, failure.outcome)
        known = self.failures.get(key)
        if known is None:
            self.failures[key] = Failure(
                *key, failure.count, failure.first_ns, failure.last_ns, failure.example
            )
            return
        known.count += failure.count
        known.last_ns = max(known.last_ns, failure.last_ns)
        if failure.first_ns < known.first_ns:
            known.first_ns, known.example = failure.first_ns, failure.example

    def _add_gauges(self, shard: int, gauges: Gauges) -> None:
        self.gauges[shard] = gauges
        self.users_logged_on_peak = max(self.users_logged_on_peak, self.users_logged_on)
        self.busy_peak = max(self.busy_peak, gauges.busy)
        if gauges.descriptors_limit:
            use = gauges.descriptors / gauges.descriptors_limit
            self.descriptors_use_peak = max(self.descriptors_use_peak, use)
        self.ports_use_peak = max(self.ports_use_peak, gauges.ports_use)
        resident = sum(each.resident_octets for each in self.gauges.values())
        self.resident_octets_peak = max(self.resident_octets_peak, resident)
