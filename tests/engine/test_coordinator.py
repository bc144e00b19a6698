"""The coordinator over scripted shards: phases in order, barriers, early ends. Time jumps."""

import asyncio

import msgspec
import pytest

from loadgen.engine import worker
from loadgen.engine.coordinator import Coordinator
from loadgen.engine.limit_watch import LimitWatch
from loadgen.engine.live_shard import ShardReport
from loadgen.engine.shards import ShardPlan
from loadgen.errors import LoadgenError, TransportError
from loadgen.measure.connections import Census
from loadgen.measure.recorder import Refusal, Snapshot
from loadgen.measure.threshold import Ending
from loadgen.workload.campaign import Campaign
from loadgen.workload.duration import Duration

CAMPAIGN = Campaign(
    ramp=Duration(10),
    startup_hold=Duration(20),
    warmup=Duration(5),
    duration=Duration(100),
    hold=Duration(30),
)


class ScriptedShards:
    """Two shards of which one report stands for both. What a command takes is in ``steps_s``."""

    def __init__(self, clock):
        self.clock = clock
        self.calls = []
        self.steps_s = {"log_on_first": 0.5, "ramp": 12.0, "end_startup": 21.0, "log_off": 1.0}
        self.busy_until_s = 0.0
        self.unfinished_until_s = 0.0
        self.refusal = ""
        self.refusals_at = lambda now_s: ()
        self.bug = ""
        self.all = tuple(
            type("Link", (), {"plan": plan, "call": self.call_one, "is_lost": False})
            for plan in (ScriptedShards.plan(0), ScriptedShards.plan(1))
        )
        self.released = False
        self.disturb = lambda name: None

    @staticmethod
    def plan(shard):
        return ShardPlan(
            shard=shard,
            users=range(shard, 10, 2),
            campaign=CAMPAIGN,
            population=None,
            proxies=(),
            accounts=None,
            ports=1,
        )

    @property
    def alive(self):
        return tuple(link for link in self.all if not link.is_lost)

    @property
    def lost(self):
        return tuple(link for link in self.all if link.is_lost)

    async def open(self):
        self.calls.append((0.0, "open"))

    async def call_one(self, function, *args):
        await self.call(function, *args)

    async def call(self, function, *args):
        name, now_s = function.__name__, self.clock() / 1e9
        self.disturb(name)
        if function is worker.report:
            return [self.report(now_s)] if self.alive else []
        self.calls.append((now_s, name, *args))
        self.busy_until_s = max(self.busy_until_s, now_s + self.steps_s.get(name, 0.0))
        return []

    def report(self, now_s):
        now_ns = self.clock()
        return ShardReport(
            snapshot=Snapshot(
                shard=0, started_ns=now_ns, ended_ns=now_ns, refusals=list(self.refusals_at(now_s))
            ),
            states=[],
            pending=int(now_s < self.busy_until_s),
            left_to_do=int(now_s < self.unfinished_until_s),
            first_refusal=self.refusal,
            bug=self.bug,
            trace="Traceback …" if self.bug else "",
        )

    def release(self):
        self.released = True

    def names(self):
        return [call[1] if call[1] != "enter" else call[2] for call in self.calls]


class NotedTally:
    def __init__(self, clock):
        self.clock = clock
        self.phases = []
        self.lengths_s = {}
        self.intervals = 0
        self.barriers = []
        self.lost = []
        self.events = []
        self.measured = None
        self.deliveries_outstanding = 0
        self.progress = None
        self.broken = ""
        self.full_at = 10**9

    def enter(self, phase, length_s):
        self.phases.append((self.clock() / 1e9, phase))
        self.lengths_s[phase] = length_s

    @property
    def started_s(self):
        """When each phase began."""
        return {name: at_s for at_s, name in self.phases}

    def measure_between(self, from_ns, until_ns):
        self.measured = (from_ns / 1e9, until_ns / 1e9)

    def take(self, reports):
        self.intervals += 1
        if self.intervals > self.full_at:
            raise LoadgenError("results/x: No space left on device")

    def lose(self, shard, users, text):
        self.lost.append((shard, users))

    def connections(self, moment, census):
        if moment:
            self.barriers.append((self.clock() / 1e9, moment))

    def event(self, kind, text):
        self.events.append((kind, text))

    def broken_threshold(self):
        return self.broken


class StubHeadcount:
    def __init__(self):
        self.errors = {}

    async def at_barrier(self):
        return Census({}, {}, self.errors)

    async def now(self, reports):
        return Census({})


class Stage:
    """A coordinator and all that it talks to."""

    def __init__(self, clock):
        self.clock = clock
        self.shards = ScriptedShards(clock)
        self.tally = NotedTally(clock)
        self.headcount = StubHeadcount()
        self.gone = ""
        self.coordinator = None
        self.limits = None

    async def run(self):
        async def in_line(function, *args):
            function(*args)

        self.coordinator = Coordinator(
            CAMPAIGN,
            type("Population", (), {"users": 10}),
            self.shards,
            self.tally,
            self.headcount,
            target_gone=lambda: self.gone,
            on_progress=lambda progress: None,
            clock=self.clock,
            in_thread=in_line,
            limits=self.limits,
        )
        await self.coordinator.run()
        return self.coordinator.ending

    def interrupt(self):
        self.coordinator.interrupt()

    def at(self, seconds, action):
        asyncio.get_running_loop().call_at(seconds, action)


@pytest.fixture
def stage(clock):
    return Stage(clock)


def test_a_run_goes_through_its_phases_and_counts_at_both_barriers(run, stage):
    stage.shards.unfinished_until_s = 184.0
    assert run(stage.run()) == Ending()
    assert [name for _, name in stage.tally.phases] == [
        "ramp",
        "start-up",
        "warm-up",
        "measure",
        "hold",
        "drain",
        "log off",
    ]
    assert stage.shards.names() == [
        *("open", "ramp", "log_on_first", "ramp", "start-up", "end_startup", "warm-up", "begin_day"),
        *("measure", "hold", "drain", "log off", "log_off", "close_shard"),
    ]
    assert [moment for _, moment in stage.tally.barriers] == ["peak", "steady"]
    assert stage.shards.released
    started_s = stage.tally.started_s
    from_s, until_s = stage.tally.measured
    assert (started_s["measure"], started_s["hold"]) == (pytest.approx(from_s), pytest.approx(until_s))
    assert until_s - from_s == pytest.approx(100)
    assert from_s - started_s["warm-up"] == pytest.approx(5.25)
    assert started_s["drain"] - started_s["hold"] == pytest.approx(30)
    assert 184 <= started_s["log off"] < 185
    peak_s, steady_s = (at_s for at_s, _ in stage.tally.barriers)
    assert started_s["start-up"] == peak_s
    assert peak_s + 21 <= steady_s == started_s["warm-up"]


def test_how_long_it_takes_is_known_before_and_in_every_phase_but_the_drain(run, stage):
    run(stage.run())
    assert stage.coordinator.takes == (
        "the run takes 2m45s: ramp 10s, start-up 20s, warm-up 5s, measure 1m40s, hold 30s; "
        "then drain and log off"
    )
    assert stage.tally.lengths_s == {
        "ramp": 10,
        "start-up": 20,
        "warm-up": 5.25,
        "measure": 100,
        "hold": 30,
        "drain": None,
        "log off": 0.1,
    }


def test_without_start_up_nothing_is_held(run, stage, monkeypatch):
    changed = msgspec.structs.replace(CAMPAIGN, startup="off", hold=Duration(0), duration=Duration(2.4))
    monkeypatch.setattr(f"{__name__}.CAMPAIGN", changed)
    run(stage.run())
    assert (
        stage.coordinator.takes
        == "the run takes 18s: ramp 10s, warm-up 5s, measure 3s; then drain and log off"
    )
    assert stage.tally.lengths_s["start-up"] is None


def test_an_interval_is_written_every_second(run, stage):
    run(stage.run())
    assert stage.tally.intervals == pytest.approx(stage.clock() / 1e9, rel=0.1)


def test_the_drain_waits_for_deliveries_but_not_for_ever(run, stage):
    stage.tally.deliveries_outstanding = 1
    run(stage.run())
    started_s = stage.tally.started_s
    assert started_s["log off"] - started_s["drain"] == pytest.approx(30)


def test_a_target_that_refuses_the_first_user_gets_no_more(run, stage):
    stage.shards.refusal = "HTTP 401 Unauthorized"
    assert run(stage.run()) == Ending(unreachable="the first user could not log on: HTTP 401 Unauthorized")
    assert stage.shards.names() == ["open", "ramp", "log_on_first", "close_shard"]


def test_a_target_that_never_answers_the_first_user_is_not_reachable(run, stage):
    stage.shards.steps_s["log_on_first"] = 10_000
    ending = run(stage.run())
    assert ending == Ending(unreachable="the first user was not logged on after 120 s")


@pytest.mark.parametrize(
    ("at_s", "phases"),
    [
        (5, ["ramp", "drain", "log off"]),
        (20, ["ramp", "start-up", "drain", "log off"]),
        (60, ["ramp", "start-up", "warm-up", "measure", "drain", "log off"]),
        (150, ["ramp", "start-up", "warm-up", "measure", "hold", "drain", "log off"]),
    ],
)
def test_one_interrupt_ends_the_run_in_good_order(run, stage, at_s, phases):
    stage.tally.deliveries_outstanding = 1

    async def main():
        stage.at(at_s, stage.interrupt)
        return await stage.run()

    assert run(main()) == Ending(interrupted=True)
    assert [name for _, name in stage.tally.phases] == phases
    started_s = stage.tally.started_s
    assert started_s["drain"] == pytest.approx(at_s, abs=0.01)
    assert started_s["log off"] - started_s["drain"] == pytest.approx(5)
    assert stage.shards.names()[-1] == "close_shard"


def test_two_interrupts_end_it_at_once(run, stage):
    async def main():
        stage.at(60, stage.interrupt)
        stage.at(60.5, stage.interrupt)
        return await stage.run()

    stage.tally.deliveries_outstanding = 1
    assert run(main()) == Ending(interrupted=True)
    assert stage.clock() == 60.5e9
    assert stage.shards.released
    assert "log_off" not in stage.shards.names()


def test_interrupts_of_what_is_over_change_nothing_in_it(run, stage):
    """While the target is ending, the run is still in the task that waits for that."""

    async def main():
        await stage.run()
        for _ in range(3):
            stage.interrupt()
        await asyncio.sleep(1)

    run(main())
    assert stage.shards.names()[-1] == "close_shard"


def test_a_cancellation_from_elsewhere_is_not_an_interrupt(run, stage):
    async def main():
        task = asyncio.create_task(stage.run())
        await asyncio.sleep(30)
        task.cancel()
        await task

    with pytest.raises(asyncio.CancelledError):
        run(main())
    assert stage.shards.released


def test_a_dead_worker_takes_its_users_and_the_run_goes_on(run, stage):
    async def main():
        stage.at(60, lambda: setattr(stage.shards.all[1], "is_lost", True))
        stage.tally.deliveries_outstanding = 1
        return await stage.run()

    ending = run(main())
    (why,) = ending.broken
    assert why.startswith("worker 1 died, and its 5 users with it; ")
    assert stage.tally.lost == [(1, 5)]
    assert stage.tally.started_s["log off"] - stage.tally.started_s["drain"] == pytest.approx(5)
    assert [name for _, name in stage.tally.phases][-2:] == ["drain", "log off"]
    assert stage.clock() > 170e9


def test_when_all_workers_are_dead_there_is_nothing_to_wait_for(run, stage):
    def kill():
        for link in stage.shards.all:
            link.is_lost = True

    async def main():
        stage.at(60, kill)
        return await stage.run()

    assert len(run(main()).broken) == 2
    assert stage.clock() < 65e9


@pytest.mark.parametrize(
    ("disturb", "ending"),
    [
        (lambda stage: setattr(stage.shards, "bug", "KeyError: 'x'"), Ending(bug="KeyError: 'x'")),
        (lambda stage: setattr(stage, "gone", "the mock died"), Ending(aborted="the mock died")),
        (
            lambda stage: setattr(stage.tally, "broken", "users.lost == 0 does not hold"),
            Ending(aborted="users.lost == 0 does not hold"),
        ),
    ],
)
def test_what_ends_a_run_early(run, stage, disturb, ending):
    async def main():
        stage.at(60, lambda: disturb(stage))
        return await stage.run()

    assert run(main()) == ending
    assert "log_off" in stage.shards.names()
    assert stage.clock() < 70e9
    assert stage.tally.events == ([("bug", "Traceback …")] if ending.bug else [])


def test_a_full_disk_ends_the_run_with_its_reason(run, stage):
    stage.tally.full_at = 30
    assert run(stage.run()).broken == ("results/x: No space left on device",)
    assert stage.shards.released


def test_who_could_not_count_at_a_barrier_is_written_down(run, stage):
    stage.headcount.errors = {"kernel": "Operation not permitted"}
    run(stage.run())
    assert stage.tally.events == [
        ("not_counted", "kernel at peak: Operation not permitted"),
        ("not_counted", "kernel at steady: Operation not permitted"),
    ]


def test_limits_are_read_before_anybody_comes_and_after_refusals(run, stage):
    asked_s = []

    async def ask():
        asked_s.append(stage.clock() / 1e9)
        return []

    stage.limits = LimitWatch(ask)
    refusal = Refusal(("ports",), 1, 0, 3, 2, "HTTP 503")
    stage.shards.refusals_at = lambda now_s: [refusal] if 5 <= now_s < 7 else []
    run(stage.run())
    assert asked_s[0] == 0
    assert 5 <= asked_s[1] < asked_s[2] < 7
    assert len(asked_s) == 3


def test_limits_that_cannot_be_read_are_an_event(run, stage):
    async def ask():
        raise TransportError("nobody there")

    stage.limits = LimitWatch(ask)
    run(stage.run())
    assert ("not_counted", "limits before the ramp: nobody there") in stage.tally.events
