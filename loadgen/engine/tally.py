"""What the coordinator adds up as the run goes, and writes down after every interval."""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import msgspec

from loadgen.engine.limit_watch import LimitWatch, RefusedUsers
from loadgen.engine.live_shard import ShardReport
from loadgen.engine.phases import LOG_OFF, MEASURE, PAUSE
from loadgen.engine.progress import Progress, Recent
from loadgen.engine.standing_clock import StandingClock
from loadgen.errors import LocalProtocolError
from loadgen.measure import threshold
from loadgen.measure.connections import Census
from loadgen.measure.deliveries import DeliveryLedger
from loadgen.measure.limits import LIMITS, UNKNOWN
from loadgen.measure.outages import OutageWatch
from loadgen.measure.recorder import Event, Gauges, Recorder, Snapshot
from loadgen.measure.store import Phase, ResultsError, RunRecord, RunStore
from loadgen.measure.threshold import Ending
from loadgen.measure.totals import Totals
from loadgen.measure.window import Windows
from loadgen.report.limit_check import LimitCheck
from loadgen.report.summary import Summary, summarise
from loadgen.telemetry.meter import Meter, Standing
from loadgen.workload.campaign import Campaign, Population

_NS_PER_S = 1e9


class Plateau(NamedTuple):
    """What is added up apart for a while, since when, and what had been lost and come back before."""

    totals: Totals
    limit_check: LimitCheck | None
    started_ns: int
    connections_lost: int
    reconnects: int


class Tally:
    """The sums of a run, its ledger of deliveries and its results folder. Its methods may take 50 ms."""

    def __init__(
        self,
        campaign: Campaign,
        population: Population,
        store: RunStore,
        record: RunRecord,
        clock: Callable[[], int],
        limits: LimitWatch | None = None,
        limit_check: LimitCheck | None = None,
        meter: Meter | None = None,
    ) -> None:
        self.totals = Totals()
        self.counted: Mapping[str, float] = {}
        """The target's own counters, as they were last asked for."""
        self.barriers: dict[str, Census] = {}
        self._campaign = campaign
        self._population = population
        self._store = store
        self._record = record
        self._clock = clock
        self._time = StandingClock(clock)
        """Measured time: without the pauses."""
        self._users_wanted = population.users
        self._limits = limits or LimitWatch()
        self._refused = RefusedUsers(self._limits)
        self._outages = OutageWatch(lambda candidates: self._limits.name_of(candidates) or UNKNOWN)
        self._abort_on = threshold.parse_all(campaign.abort_on)
        self._origin_ns = clock()
        self._limit_check = limit_check
        self._meter = meter
        of_set = limit_check.limit_set.thresholds if limit_check else ()
        judged = (*threshold.parse_all(campaign.threshold), *of_set)
        self._windows = Windows(judged, self._origin_ns, self._time.when)
        self._abort_windows = Windows(self._abort_on, self._origin_ns, self._time.when)
        self._recorder = Recorder(-1, self._origin_ns)
        self._ledger = DeliveryLedger(self._recorder)
        self._measure_from_ns = self._measure_until_ns = 0
        self._interval = Totals()
        self._interval_s = 0.0
        self._in_pause: Totals | None = None
        self._recent = Recent(self._origin_ns)
        self._plateau: Plateau | None = None
        self._phase_length_s: float | None = None
        store.write_run(record)
        if meter is not None:
            version = record.versions["outlook-loadgen"]
            meter.describe(campaign.name, record.target, record.run_id, version)

    @property
    def deliveries_outstanding(self) -> int:
        """Copies of messages that were submitted and have not arrived yet."""
        return self._ledger.outstanding

    def enter(self, phase: str, length_s: float | None) -> None:
        """Begins a phase. What is measured stands while it is ``pause``."""
        if phase == PAUSE:
            self._time.stop()
        else:
            self._end_pause()
        now_s = self._seconds(self._clock())
        self._end_phase(now_s)
        self._record.phases.append(Phase(phase, now_s))
        self._phase_length_s = length_s
        self._store.write_run(self._record)
        self.event("phase", phase)

    def measure_between(self, from_ns: int, until_ns: int) -> None:
        """Says when the measured phase is. Pauses put it off, or prolong it, by themselves."""
        self._measure_from_ns, self._measure_until_ns = from_ns, until_ns
        self._recorder.measure_between(from_ns, until_ns)
        for windows in (self._windows, self._abort_windows):
            windows.measure_between(from_ns, until_ns, self.totals)
        self._show_measured()

    def _end_pause(self) -> None:
        if stood := self._time.go():
            self._recorder.postpone(*stood)
            self._show_measured()

    def _show_measured(self) -> None:
        if self._limit_check is not None:
            from_ns, until_ns = self._recorder.timed
            self._limit_check.measure_between(self._seconds(from_ns), self._seconds(until_ns))

    def cut_short(self) -> None:
        """Ends the measured phase now."""
        self._end_pause()
        self._measure_until_ns = min(self._measure_until_ns, self._time())
        self._recorder.cut_short(self._clock())
        self._show_measured()

    def scale(self, users: int) -> None:
        """Says how many users there are to be from now on."""
        self._users_wanted = users
        self._ledger.scale(users)
        self._outages.scale(users)

    def event(self, kind: str, text: str, by: str | None = None) -> None:
        """Writes down something that happened to the run as a whole; ``by`` is whose wish it was."""
        event = Event(self._clock(), kind, text, by=by)
        self._store.write_event(event)
        self._recent.happened(event)

    def take(self, reports: Sequence[ShardReport]) -> None:
        """Adds one interval of all shards, and writes it and the summary so far."""
        for report in reports:
            self._ledger.take(report.snapshot)
            self._take_refusals(report.snapshot)
        self._add([report.snapshot for report in reports])

    def _take_refusals(self, snapshot: Snapshot) -> None:
        others = (gauges for shard, gauges in self.totals.gauges.items() if shard != snapshot.shard)
        self._limits.note(snapshot.refusals, sum(gauges.users_logged_on for gauges in others))
        snapshot.events = [self._limits.named(event) for event in snapshot.events]

    def begin_plateau(self) -> None:
        """From now on what comes is added up apart, too."""
        now_ns, totals = self._clock(), self.totals
        check = self._limit_check and self._limit_check.from_now_on()
        self._plateau = Plateau(Totals(), check, now_ns, totals.connections_lost, totals.reconnects)

    def plateau(self) -> Summary:
        """A summary of what came since :meth:`begin_plateau` alone."""
        if self._plateau is None:
            raise LocalProtocolError("no plateau has begun")
        totals, check, started_ns, lost, reconnects = self._plateau
        found = summarise(
            self._campaign,
            self._population,
            totals,
            measured_s=(self._clock() - started_ns) / _NS_PER_S,
            limit_check=check,
        )
        replace = msgspec.structs.replace
        return replace(
            found,
            users=replace(found.users, reconnects=found.users.reconnects - reconnects),
            connections=replace(found.connections, lost=found.connections.lost - lost),
        )

    def lose(self, shard: int, users: int, text: str) -> None:
        """A shard is gone with its users."""
        now_ns = self._clock()
        gone = Snapshot(
            shard=shard, started_ns=now_ns, ended_ns=now_ns, gauges=Gauges(users_lost_total=users)
        )
        self.totals.add(gone)
        self.event("worker_lost", text)

    def connections(self, moment: str, census: Census) -> None:
        """Writes down a count; ``moment`` is a barrier's name, or empty between the barriers."""
        self._recent.counted(census)
        if moment:
            self.barriers[moment] = census
        self._store.write_connections(self._clock(), moment, census.expected, census.counts)

    def finish(
        self, ending: Ending, ended: str, judged: Callable[[Summary], Summary] = lambda summary: summary
    ) -> Summary:
        """Closes the ledger and the books; returns the summary, which is on disk too if there is room.

        ``judged`` gives it another verdict where a run has rules of its own.
        """
        self._ledger.close(self._clock())
        self._end_phase(self._seconds(self._clock()))
        try:
            self._add([])
            summary = judged(self._summary(ending))
            self._store.write_summary(summary)
            self._record.ended, self._record.exit_code = ended, summary.exit_code
            self._store.write_run(self._record)
        except ResultsError as error:
            reasons = dict.fromkeys((*ending.broken, str(error)))
            summary = self._summary(msgspec.structs.replace(ending, broken=tuple(reasons)))
        return summary

    def broken_threshold(self) -> str:
        """How the last interval, or window, broke the first of ``abort_on`` that it did; "" if none."""
        if not self._abort_on or self._record.phases[-1].name != MEASURE:
            return ""
        interval = summarise(self._campaign, self._population, self._interval, measured_s=self._interval_s)
        document = msgspec.to_builtins(interval)
        checks = (each.check(document) for each in self._abort_on if not each.over_s)
        broken = (check.why for check in checks if check.measured is not None and not check.held)
        return next(broken, "") or self._abort_windows.broken()

    @property
    def progress(self) -> Progress:
        """How the run stands."""
        phase = self._record.phases[-1] if self._record.phases else Phase("", 0.0)
        interval, totals = self._interval, self.totals
        done = sum(counts.done for counts in interval.counts.values())
        responses = interval.merged(tag for tag in interval.histograms if tag.endswith(".response"))
        lags = interval.merged(tag for tag in interval.histograms if tag.endswith(".lag"))
        at_us, lag_us = responses.percentiles_us((50, 99)), lags.percentiles_us((99,))
        send_p50_ms, send_p95_ms = self._recent.sends_ms(50, 95)
        return Progress(
            phase=phase.name,
            phase_s=self._seconds(self._clock()) - phase.started_s,
            phase_length_s=self._phase_length_s,
            users=totals.users_logged_on,
            users_planned=self._population.users,
            users_wanted=self._users_wanted,
            users_admitted=totals.users_admitted,
            users_refused=totals.users_refused,
            connections=totals.tcp_connections,
            columns=self._recent.columns,
            operations_per_s=done / self._interval_s if self._interval_s else 0.0,
            p50_ms=at_us[50] / 1000 if at_us else None,
            p99_ms=at_us[99] / 1000 if at_us else None,
            send_p50_ms=send_p50_ms,
            send_p95_ms=send_p95_ms,
            done=sum(counts.done for counts in totals.counts.values()),
            failed=sum(counts.failed for counts in totals.counts.values()),
            skipped=sum(counts.skipped for counts in totals.counts.values()),
            failures=totals.failures_by_outcome,
            reconnects=totals.reconnects,
            connections_lost=totals.connections_lost,
            lag_p99_ms=lag_us[99] / 1000 if lag_us else None,
            busy=max((gauges.busy for gauges in interval.gauges.values()), default=0.0),
            events=self._recent.events,
        )

    def _add(self, snapshots: list[Snapshot]) -> None:
        snapshots.append(self._recorder.snapshot(self._clock()))
        self._interval = Totals()
        for snapshot in snapshots:
            self.totals.add(snapshot)
            self._interval.add(snapshot)
            if self._plateau is not None:
                self._plateau.totals.add(snapshot)
        self._refused.take(self.totals.users_refused_by)
        started_ns, ended_ns = snapshots[-1].started_ns, snapshots[-1].ended_ns
        self._interval_s = (ended_ns - started_ns) / _NS_PER_S
        self._add_to_windows(snapshots, started_ns, ended_ns)
        self._look_for_outages(snapshots, started_ns, ended_ns)
        self._recent.add(self._interval, ended_ns, (event for each in snapshots for event in each.events))
        phase = self._record.phases[-1].name if self._record.phases else ""
        if self._meter is not None:
            self._meter.take(snapshots, self.totals, self._standing(phase))
        self._store.write_interval(phase, snapshots, self.counted, self._users_wanted)
        self._store.write_summary(self._summary(Ending(interrupted=True)))

    def _look_for_outages(self, snapshots: Sequence[Snapshot], started_ns: int, ended_ns: int) -> None:
        """Once users log off, nobody is expected back."""
        if self._record.phases and self._record.phases[-1].name == LOG_OFF:
            return
        refusals = [refusal for each in snapshots for refusal in each.refusals]
        self._outages.add(self._seconds(started_ns), self._seconds(ended_ns), self.totals, refusals)

    def _standing(self, phase: str) -> Standing:
        hits = {(hit.name, hit.server): hit.hits for hit in self._limits.hits() if hit.hits is not None}
        return Standing(
            phase=phase,
            users_planned=self._population.users,
            users_wanted=self._users_wanted,
            census=self._recent.census,
            refused_by_limit=self._refused_by_limit(),
            limit_hits=hits,
        )

    def _add_to_windows(self, snapshots: Sequence[Snapshot], started_ns: int, ended_ns: int) -> None:
        """What ended during a pause belongs to the first window after it."""
        if self._time.stands or self._in_pause is not None:
            self._in_pause = self._in_pause or Totals()
            for snapshot in snapshots:
                self._in_pause.add(snapshot)
        if not self._time.stands:
            interval, self._in_pause = self._in_pause or self._interval, None
            for windows in (self._windows, self._abort_windows):
                windows.add(interval, self.totals, self._time.of(started_ns), self._time.of(ended_ns))

    def _summary(self, ending: Ending) -> Summary:
        measured_ns = min(self._time(), self._measure_until_ns) - self._measure_from_ns
        return summarise(
            self._campaign,
            self._population,
            self.totals,
            measured_s=max(0, measured_ns) / _NS_PER_S,
            peak=self.barriers.get("peak"),
            steady=self.barriers.get("steady"),
            unexpected_deliveries=self._ledger.unexpected,
            limits=self._limits.hits(),
            refused_by_limit=self._refused_by_limit(),
            outages=self._outages.outages(),
            worst=self._windows.worst(),
            limit_check=self._limit_check,
            paused_s=round(self._time.stood_ns / _NS_PER_S, 3),
            users_wanted=self._users_wanted,
            ending=ending,
            origin_ns=self._record.started_ns or self._origin_ns,
        )

    def _refused_by_limit(self) -> dict[str, int]:
        return dict.fromkeys((*LIMITS, UNKNOWN), 0) | self._refused.by_limit()

    def _end_phase(self, now_s: float) -> None:
        if self._record.phases:
            self._record.phases[-1].ended_s = now_s

    def _seconds(self, at_ns: int) -> float:
        return round((at_ns - self._origin_ns) / _NS_PER_S, 3)
