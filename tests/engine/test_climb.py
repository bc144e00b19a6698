"""A search over scripted shards: how many users there is room for is known. Time jumps."""

import asyncio

import msgspec
import pytest

from loadgen.capacity.found import Reading
from loadgen.capacity.search import Search
from loadgen.engine import worker
from loadgen.engine.climb import Aim, Climb
from loadgen.engine.limit_watch import LimitWatch
from loadgen.engine.live_shard import ShardReport
from loadgen.engine.shards import ShardPlan
from loadgen.errors import TransportError
from loadgen.measure.connections import Census
from loadgen.measure.counters import CounterSample
from loadgen.measure.limits import LimitReading
from loadgen.measure.recorder import Gauges, Refusal, Snapshot
from loadgen.measure.threshold import Ending
from loadgen.measure.totals import Totals
from loadgen.report.limit_check import LimitCheck
from loadgen.report.summary import summarise
from loadgen.workload.campaign import Campaign
from loadgen.workload.duration import Duration
from loadgen.workload.limit_set import read_limit_set

BUSY = "HTTP 503 RPC Error: 6ba"


class Shards:
    """One shard before a server with ``room``: who finds none is refused; users come at once."""

    def __init__(self, clock, room):
        self.clock, self.room = clock, room
        self.present = 0
        self.hits = 0
        self.recycles = False
        """Whether a worker is replaced, by the clock, in each step."""
        self.meant = ("ports",)
        self.held_back = 0
        """Of what users had who went, the server keeps so much for a while."""
        self.calls, self.refusals, self.kept = [], [], []
        self.stuck_at = None
        self.disturb = lambda: None
        plan = ShardPlan(
            shard=0, users=range(99), campaign=Campaign(), population=None, proxies=(), accounts=None, ports=1
        )
        self.all = self.alive = (type("Link", (), {"plan": plan, "call": self.call})(),)
        self.lost = ()

    async def open(self):
        pass

    def release(self):
        pass

    async def call(self, function, *args):
        if function is worker.report:
            self.disturb()
            return [self.report()]
        self.calls.append((function.__name__, *args))
        if function is worker.log_on_first:
            self.present = 1
        elif function is worker.scale:
            self.scale(args[0])
        return []

    def scale(self, users):
        self.kept.append(self.held_back)
        self.held_back = 2 * max(0, min(self.present, self.room) - users)
        self.present = users
        if users > self.room:
            self.hits += users - self.room
            self.refusals = [Refusal(self.meant, users - self.room, self.clock(), self.room, self.room, BUSY)]

    def report(self):
        refusals, self.refusals = self.refusals, []
        self.held_back = max(0, self.held_back - 1)
        now_ns = self.clock()
        gauges = Gauges(users_admitted=min(self.present, self.room), users_logged_on=self.present)
        return ShardReport(
            snapshot=Snapshot(shard=0, started_ns=now_ns, ended_ns=now_ns, refusals=refusals, gauges=gauges),
            states=[],
            pending=int(self.stuck_at is not None and self.present >= self.stuck_at),
            left_to_do=0,
        )

    async def readings(self):
        in_use = 8 * min(self.present, self.room) + self.held_back
        return [
            LimitReading("ports", "CAS1", in_use, 8 * self.room + 7, self.hits),
            LimitReading("memory", "CAS1", 1, 99, 0),
            LimitReading("request_queue", "CAS1", self.clock(), 99, 0),
            LimitReading("worker_recycling", "CAS1", 1, 99, int(self.clock() / 1e7) if self.recycles else 0),
        ]

    def numbers(self):
        return [call[1] for call in self.calls if call[0] == "scale"]


class Tally:
    """What a plateau showed is ``plateaus``' next, else a clean one."""

    deliveries_outstanding = 0
    progress = None

    def __init__(self, campaign, population):
        self.clean = summarise(campaign, population, Totals(), measured_s=1.0)
        self.judged_by = lambda: self.clean
        self.events, self.barriers, self.measured = [], [], None

    def enter(self, phase, length_s):
        self.events.append(("phase", phase))

    def event(self, kind, text):
        self.events.append((kind, text))

    def take(self, reports):
        pass

    def measure_between(self, from_ns, until_ns):
        self.measured = (until_ns - from_ns) / 1e9

    def connections(self, moment, census):
        if moment:
            self.barriers.append(moment)

    def broken_threshold(self):
        return ""

    def begin_plateau(self):
        pass

    def plateau(self):
        return self.judged_by()


class CounterLog:
    """Every look at them finds a sample of each of the counters that there are."""

    def __init__(self, check, counters, clock):
        self.check, self.counters, self.clock = check, counters, clock
        self.looks = []

    async def look(self, *, at_once=False):
        if at_once:
            self.looks.append(self.clock())
            for counter in self.counters:
                self.check.add(CounterSample(self.clock() / 1e9, "MBX1", counter, 1.0))
        return []


class Headcount:
    async def at_barrier(self):
        return Census({})

    async def now(self, reports):
        return None


class Stage:
    def __init__(self, clock, population_of):
        self.clock = clock
        self.campaign = Campaign(startup="off", duration=Duration(500), threshold=("users.refused == 0",))
        self.population = population_of(99)
        self.shards = Shards(clock, 40)
        self.tally = Tally(self.campaign, self.population)
        self.aim = Aim(plateau_s=1.0, hold_only=True)
        self.counted = True
        self.longest_s = 500.0
        self.said = []
        self.counter_log = None

    def hold_against(self, limit_set, folder, *counters):
        """A limit set of this text, and the counters that somebody provides."""
        path = folder / "own.toml"
        path.write_text(limit_set)
        self.campaign = msgspec.structs.replace(self.campaign, limit_set=str(path), threshold=())
        check = LimitCheck(read_limit_set(str(path)))
        self.counter_log = CounterLog(check, counters, self.clock)
        self.tally.judged_by = lambda: summarise(
            self.campaign, self.population, Totals(), measured_s=1.0, limit_check=self.tally.check
        )
        self.tally.begin_plateau = lambda: setattr(self.tally, "check", check.from_now_on())

    async def find(self, **search):
        async def in_line(function, *args):
            function(*args)

        self.climb = Climb(
            Search(**({"ceiling": 99} | search)),
            self.aim,
            self.longest_s,
            self.said.append,
            self.campaign,
            self.population,
            self.shards,
            self.tally,
            Headcount(),
            target_gone=lambda: "",
            on_progress=lambda progress: None,
            limits=LimitWatch(self.shards.readings if self.counted else None),
            counter_log=self.counter_log,
            clock=self.clock,
            in_thread=in_line,
        )
        await self.climb.run()
        return self.climb


@pytest.fixture
def stage(clock, population_of):
    return Stage(clock, population_of)


def test_it_finds_the_room_there_is_and_names_the_limit(run, stage):
    climb = run(stage.find())
    assert (climb.search.held, climb.search.failed.limit, climb.server) == (40, "ports", "CAS1")
    assert stage.shards.numbers() == [1, 2, 4, 8, 16, 32, 52, 32, 40, 41, 40]
    assert climb.evidence.before == Reading(320, 327, 12)
    assert climb.evidence.after == Reading(320, 327, 13)
    assert (climb.evidence.first_error, climb.evidence.user) == (BUSY, 40)
    assert [step.verdict for step in climb.steps] == ["held"] * 6 + ["limit", "held", "limit"]
    assert stage.said[-1] == "41 users: 1 refused: ports"
    assert ("plateau", "40 users: held") in stage.tally.events
    assert stage.tally.barriers == ["steady"]
    assert climb.ending == Ending()


def test_nobody_comes_beyond_the_ceiling(run, stage):
    stage.shards.room = 1000
    climb = run(stage.find(ceiling=50, step=30))
    assert stage.shards.numbers() == [20, 30, 50]
    assert (climb.search.held, climb.search.failed) == (50, None)


def test_workers_that_are_replaced_by_the_clock_do_not_hide_what_refuses_users(run, stage):
    stage.shards.recycles, stage.shards.meant = True, ("worker_recycling", "ports")
    climb = run(stage.find())
    assert (climb.search.held, climb.search.failed.limit) == (40, "ports")


def test_what_is_not_released_yet_is_waited_for(run, stage):
    run(stage.find())
    assert len(stage.shards.kept) == 11
    assert set(stage.shards.kept) == {0}


@pytest.mark.parametrize(("hold_only", "startup"), [(True, "on"), (False, "off")])
def test_work_goes_on_unless_users_only_hold(run, stage, hold_only, startup):
    stage.aim = msgspec.structs.replace(stage.aim, hold_only=hold_only)
    stage.campaign = msgspec.structs.replace(stage.campaign, startup=startup)
    run(stage.find(ceiling=5))
    names = [call[0] for call in stage.shards.calls]
    assert ("begin_day" in names) != hold_only
    assert (("phase", "hold") in stage.tally.events) == hold_only
    assert stage.tally.measured == (None if hold_only else 500)
    assert stage.tally.barriers == ["peak" if startup == "on" else "steady"]


TWO_LIMITS = r"""
[[limit]]
counter = '\A\B'
agg = "max"
op = "<"
value = 2
source = "a book"

[[limit]]
counter = '\A\C'
agg = "mean"
op = "<"
value = 2
for = "9s"
source = "a book"
"""


@pytest.mark.parametrize(
    ("counters", "advice"), [((), "give counters_url or another set"), ((r"\A\C",), "measure for longer")]
)
def test_a_limit_set_that_nobody_measures_ends_the_search(run, stage, tmp_path, counters, advice):
    stage.hold_against(TWO_LIMITS, tmp_path, *counters)
    climb = run(stage.find())
    found = climb.judged(stage.tally.clean)
    assert (climb.search.held, found.verdict, found.exit_code) == (0, "FAIL", 99)
    assert found.reasons == (f"limit_set own: none of its 2 counters was measured; {advice}",)
    assert stage.shards.numbers() == [1]


def test_counters_that_come_after_the_search_has_ended_change_nothing(run, stage, tmp_path):
    """The generator lags, too, for which other plateaus are held once more."""
    stage.hold_against(TWO_LIMITS, tmp_path)
    measured = stage.tally.judged_by

    def judged():
        stage.counter_log.counters = (r"\A\B",)
        generator = msgspec.structs.replace(stage.tally.clean.generator, busy_peak=0.99)
        return msgspec.structs.replace(measured(), generator=generator)

    stage.tally.judged_by = judged
    climb = run(stage.find())
    assert climb.judged(stage.tally.clean).reasons[0].startswith("limit_set own: none of its 2 counters")
    assert (climb.steps, climb.search.held) == ([], 0)


def test_a_limit_set_that_is_measured_in_part_is_told_once(run, stage, tmp_path):
    stage.hold_against(TWO_LIMITS, tmp_path, r"\A\B")
    climb = run(stage.find())
    assert (climb.search.held, climb.judged(stage.tally.clean).exit_code) == (40, 0)
    [warning] = [text for text in stage.said if text.startswith("Warning")]
    assert "not measured are 1 of its 2 counters" in warning


def test_every_plateau_has_a_sample_when_it_begins_and_when_it_ends(run, stage, tmp_path):
    stage.hold_against(TWO_LIMITS, tmp_path, r"\A\B")
    climb = run(stage.find(ceiling=1))
    assert len(climb.steps) == 1
    begun, ended, _ = stage.counter_log.looks
    assert ended - begun == 1e9


def test_without_counters_the_error_names_the_limit_and_nobody_the_server(run, stage):
    stage.counted = False
    climb = run(stage.find())
    assert (climb.search.held, climb.search.failed.limit, climb.server) == (40, "ports", None)
    assert climb.evidence.before is None


def test_counters_that_fail_are_an_event(run, stage):
    asked = iter([stage.shards.readings] * 3)

    async def fail():
        if (ask := next(asked, None)) is None:
            raise TransportError("nobody there")
        return await ask()

    stage.shards.readings, stage.shards.room = fail, 1000
    run(stage.find(ceiling=4))
    assert ("not_counted", "limits: nobody there") in stage.tally.events


def test_a_threshold_stops_it(run, stage):
    stage.shards.room = 1000

    def judged():
        users = msgspec.structs.replace(stage.tally.clean.users, refused=int(stage.shards.present > 20))
        return msgspec.structs.replace(stage.tally.clean, users=users)

    stage.tally.judged_by = judged
    climb = run(stage.find())
    assert (climb.search.held, climb.search.failed.verdict, climb.evidence) == (20, "threshold", None)


def lagging(stage, times):
    """So many plateaus of 20 users and more in which the generator lagged."""
    left = [times]

    def judged():
        if stage.shards.present < 20 or not left[0]:
            return stage.tally.clean
        left[0] -= 1
        generator = msgspec.structs.replace(stage.tally.clean.generator, busy_peak=0.99)
        return msgspec.structs.replace(stage.tally.clean, generator=generator)

    return judged


@pytest.mark.parametrize(("times", "held", "verdict"), [(1, 40, "limit"), (1000, 19, "generator")])
def test_a_generator_that_fails_twice_is_the_limit(run, stage, times, held, verdict):
    stage.tally.judged_by = lagging(stage, times)
    climb = run(stage.find())
    assert (climb.search.held, climb.search.failed.verdict) == (held, verdict)
    assert climb.judged(stage.tally.clean).exit_code == (98 if verdict == "generator" else 0)


def test_who_never_gets_in_does_not_hold(run, stage):
    stage.shards.stuck_at = 3
    stage.longest_s = 2000.0
    climb = run(stage.find())
    assert climb.search.held == 2
    assert climb.search.failed.broken == ("not everybody was logged on after 120 s",)


def test_a_search_has_an_end(run, stage):
    stage.longest_s = 3.0
    climb = run(stage.find())
    assert "no end after 3 s" in climb.ending.broken[0]
    assert climb.judged(stage.tally.clean) is stage.tally.clean


def test_an_interrupt_ends_it_in_good_order(run, stage):
    async def main():
        def interrupt():
            stage.climb.interrupt()

        asyncio.get_running_loop().call_at(5, interrupt)
        return await stage.find()

    climb = run(main())
    assert climb.ending == Ending(interrupted=True)
    assert [call[0] for call in stage.shards.calls][-2:] == ["log_off", "close_shard"]
    assert stage.tally.barriers == []
