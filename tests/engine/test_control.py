"""Commands to a coordinator over scripted shards; the times at which it obeys are exact."""

import asyncio
import itertools

import pytest

from loadgen.engine import worker
from loadgen.engine.control import Answer, Command
from loadgen.engine.coordinator import Coordinator
from loadgen.engine.live_shard import ShardReport
from loadgen.measure.connections import Census
from loadgen.measure.recorder import Snapshot
from loadgen.measure.threshold import Ending
from loadgen.workload.campaign import Campaign
from loadgen.workload.duration import Duration

CAMPAIGN = Campaign(ramp=Duration(10), warmup=Duration(5), duration=Duration(100), hold=Duration(30))
PHASES = ["ramp", "start-up", "warm-up", "measure", "hold", "drain", "log off"]


class Shards:
    """One shard: commands are kept with their times; the ramp takes 11.5 seconds, scaling five."""

    def __init__(self, clock):
        self.clock = clock
        self.calls = []
        self.busy_until_s = 0.0
        link = type("Link", (), {"call": self.call, "is_lost": False})
        self.all = self.alive = (link,)
        self.lost = ()

    async def open(self):
        pass

    async def call(self, function, *args):
        now_ns = self.clock()
        if function is worker.report:
            snapshot = Snapshot(shard=0, started_ns=now_ns, ended_ns=now_ns)
            return [
                ShardReport(
                    snapshot=snapshot, states=[], pending=int(now_ns / 1e9 < self.busy_until_s), left_to_do=0
                )
            ]
        self.calls.append((round(now_ns / 1e9, 2), function.__name__, *args))
        if function in (worker.ramp, worker.scale):
            self.busy_until_s = now_ns / 1e9 + (11.5 if function is worker.ramp else 5)
        return []

    def release(self):
        pass

    def times_of(self, name):
        return [(at_s, *args) for at_s, called, *args in self.calls if called == name]


class Tally:
    def __init__(self, clock):
        self.clock = clock
        self.phases, self.events, self.takes, self.said = [], [], [], []
        self.deliveries_outstanding = 0
        self.progress = None

    def enter(self, phase, length_s):
        self.phases.append((round(self.clock() / 1e9, 2), phase, length_s and round(length_s, 2)))

    def take(self, reports):
        self.takes.append(self.clock())

    def event(self, kind, text, by=None):
        self.events.append((kind, text, by))

    def scale(self, users):
        self.said.append(("scale", users))

    def cut_short(self):
        self.said.append(("cut_short", round(self.clock() / 1e9, 2)))

    def measure_between(self, from_ns, until_ns):
        pass

    def connections(self, moment, census):
        pass

    def broken_threshold(self):
        return ""


class Headcount:
    async def at_barrier(self):
        return Census({}, {}, {})

    async def now(self, reports):
        return None


class Stage:
    """A run, and commands at given times; ``answers`` has what it said, in the order of asking."""

    def __init__(self, clock, run):
        self._clock, self._run = clock, run
        self.shards, self.tally = Shards(clock), Tally(clock)
        self.answers = []

    def play(self, *commands, campaign=CAMPAIGN):
        async def in_line(function, *args):
            function(*args)

        async def main():
            self.coordinator = coordinator = Coordinator(
                campaign,
                type("Population", (), {"users": 100}),
                self.shards,
                self.tally,
                Headcount(),
                target_gone=lambda: "",
                on_progress=lambda progress: None,
                clock=self._clock,
                in_thread=in_line,
            )
            asking = [asyncio.create_task(self._ask(*each)) for each in commands]
            await coordinator.run()
            self.answers = await asyncio.gather(*asking)
            return coordinator.ending

        return self._run(main())

    async def _ask(self, at_s, *words):
        await asyncio.sleep(at_s)
        answer = await self.coordinator.obey(Command(*words), "somebody")
        return answer.ok, answer.text

    @property
    def phases(self):
        return [name for _, name, _ in self.tally.phases]

    def began(self, phase):
        return [at_s for at_s, name, _ in self.tally.phases if name == phase]


@pytest.fixture
def stage(clock, run):
    return Stage(clock, run)


def test_a_run_that_nobody_speaks_to_is_as_it_was(stage):
    assert stage.play() == Ending()
    assert stage.phases == PHASES


def test_a_pause_puts_the_end_of_the_phase_off_by_its_length(stage):
    stage.play((40, "pause"), (90, "resume"), (95, "pause"), (100.5, "resume"))
    assert stage.phases == [*PHASES[:4], *("pause", "measure") * 2, *PHASES[4:]]
    assert stage.began("pause") == [40, 95]
    [began, *resumed] = stage.began("measure")
    assert resumed == [90, 100.5]
    [hold] = stage.began("hold")
    assert hold - began == pytest.approx(100 + 50 + 5.5, abs=0.02)
    lengths = [length for _, name, length in stage.tally.phases if name == "measure"]
    assert lengths == pytest.approx([100, 100 - (40 - began), 100 - (40 - began) - 5], abs=0.02)
    assert [name for _, name in stage.shards.times_of("enter")][3:6] == ["measure", "pause", "measure"]
    assert (
        stage.answers
        == [
            (True, "nothing more falls due; connections stay"),
            (True, "measure goes on"),
        ]
        * 2
    )


def test_the_books_are_closed_before_a_pause_and_before_it_ends(stage):
    stage.play((40.3, "pause"), (60.7, "resume"))
    assert {40_300_000_000, 60_700_000_000} <= set(stage.tally.takes)


def test_a_pause_in_the_warm_up_puts_the_measured_phase_off(stage):
    stage.play((13, "pause"), (113, "resume"))
    assert stage.phases == [*PHASES[:3], "pause", "warm-up", *PHASES[3:]]
    [measure], [hold] = stage.began("measure"), stage.began("hold")
    assert hold - measure == pytest.approx(100, abs=0.02)
    assert measure - stage.began("warm-up")[0] == pytest.approx(105.25, abs=0.02)


def test_intervals_go_on_at_their_pace_during_a_pause(stage):
    stage.play((40, "pause"), (1040, "resume"))
    within = [at_ns / 1e9 for at_ns in stage.tally.takes if 40e9 < at_ns <= 1040e9]
    assert len(within) == pytest.approx(1000, abs=3)
    assert max(later - earlier for earlier, later in itertools.pairwise(within)) <= 1.01


def test_scaling_goes_to_the_shards_and_mail_to_new_users_when_they_are_there(stage):
    stage.play((40, "scale", 50), (60, "scale", 80))
    assert stage.shards.times_of("scale") == [(40, 50, 0.25, 10.0), (60, 80, 0.25, 10.0)]
    [(down_s, down), (up_s, up)] = stage.shards.times_of("address")
    assert (down, up) == (50, 80)
    assert 45 <= down_s <= 46
    assert 65 <= up_s <= 66
    assert stage.tally.said == [("scale", 50), ("scale", 80)]
    assert stage.answers == [
        (True, "to 50 of 100 users, 10 a second"),
        (True, "to 80 of 100 users, 10 a second"),
    ]


def test_the_campaigns_own_rate_of_log_ons_is_kept(stage):
    stage.play((40, "scale", 50), campaign=Campaign(logons_per_s=2.5, duration=Duration(100)))
    assert stage.shards.times_of("scale") == [(40, 50, 0.25, 2.5)]


def test_a_stop_ends_the_run_in_good_order_and_in_its_own_time(stage):
    stage.tally.deliveries_outstanding = 1
    assert stage.play((40.2, "stop")) == Ending(stopped="somebody")
    assert stage.phases == [*PHASES[:4], "drain", "log off"]
    assert stage.began("drain") == [40.2]
    assert stage.began("log off") == [pytest.approx(70.2, abs=0.02)], "deliveries get their 30 s"
    assert stage.tally.said == [("cut_short", 40.2)]
    assert [name for _, name, *_ in stage.shards.calls][-4:] == ["enter", "enter", "log_off", "close_shard"]
    assert stage.shards.times_of("cut_short") == [(40.2,)]


def test_a_stop_ends_a_pause_and_a_stop_in_the_ramp_ends_that(stage):
    stage.play((40, "pause"), (50, "stop"))
    assert stage.phases == [*PHASES[:4], "pause", "drain", "log off"]


def test_an_interrupt_after_a_stop_is_one(stage):
    async def interrupt():
        await asyncio.sleep(41)
        stage.coordinator.interrupt()

    stage.tally.deliveries_outstanding = 1
    play = stage._run

    def with_interrupt(main):
        async def both():
            task = asyncio.create_task(interrupt())
            try:
                return await main
            finally:
                await task

        return play(both())

    stage._run = with_interrupt
    assert stage.play((40, "stop")) == Ending(stopped="somebody", interrupted=True)


@pytest.mark.parametrize(
    ("commands", "why"),
    [
        ([(3, "pause")], "nothing to pause in ramp: only warm-up and measure have work"),
        ([(40, "resume")], "not paused"),
        ([(40, "pause"), (41, "pause"), (60, "resume")], "paused already"),
        ([(3, "scale", 5)], "no scale in ramp: only in warm-up, measure, pause and hold"),
        ([(40, "scale", 0)], "give a number of users, from 1 to the 100 of the campaign"),
        ([(40, "scale", 101)], "give a number of users, from 1 to the 100 of the campaign"),
        ([(40, "scale")], "give a number of users, from 1 to the 100 of the campaign"),
        ([(40, "stop"), (40.5, "scale", 5)], "the run is ending"),
        ([(1000, "pause")], "the run is over"),
    ],
)
def test_what_cannot_be_done_is_refused_with_its_reason(stage, commands, why):
    stage.tally.deliveries_outstanding = 1
    stage.play(*commands)
    assert [text for is_done, text in stage.answers if not is_done] == [why]
    assert not stage.shards.times_of("scale")


def test_every_command_is_written_down_with_who_asked_and_what_became_of_it(stage):
    stage.play((20, "resume"), (40, "scale", 50), (50, "stop"))
    assert stage.tally.events == [
        ("control", "resume: not paused", "somebody"),
        ("control", "scale 50: to 50 of 100 users, 10 a second", "somebody"),
        ("control", "stop: the run ends in good order; what it has measured is judged", "somebody"),
    ]


def test_the_status_is_told_at_once_and_not_written_down(stage):
    stage.play((40.5, "status"))
    assert stage.answers == [(True, "measure")]
    assert stage.tally.events == []


def test_who_asks_when_the_run_breaks_off_is_told(stage):
    async def main():
        coordinator = stage.coordinator
        asking = asyncio.create_task(coordinator.obey(Command("pause"), "somebody"))
        await asyncio.sleep(0)
        coordinator._refuse_requests()
        return await asking

    stage.play()
    stage.coordinator._is_over = False
    assert stage._run(main()) == Answer(ok=False, text="the run is over")
