import asyncio

import msgspec
import pytest

from loadgen.client.client_type import ConnectionCounts, PublicFolderWork
from loadgen.engine.day import Day
from loadgen.engine.pace import Pace
from loadgen.engine.user import User
from loadgen.errors import MapiError, TimedOut
from loadgen.measure.recorder import Arrived, Counts, Submitted
from loadgen.workload.arrival import PlannedMessage, PlannedPost, Send, ThinkTimes

MS = 1_000_000
S = 1_000_000_000


class FixedSchedule:
    """Work at given seconds; every message goes to user 0 or, if he sends it, to user 1."""

    def __init__(
        self,
        sends_s=(),
        browses_s=(),
        think_s=(10.0, 20.0),
        public_browses_s=(),
        posts_s=(),
        publications_s=(),
    ):
        self._sends = [Send(round(at_s * S), number) for number, at_s in enumerate(sends_s)]
        self._browses, self._public_browses, self._publications = (
            [round(at_s * S) for at_s in times_s] for times_s in (browses_s, public_browses_s, publications_s)
        )
        self._posts = [PlannedPost(round(at_s * S), f"post {number}") for number, at_s in enumerate(posts_s)]
        self._think = ThinkTimes(*(round(each * S) for each in think_s))

    def sends(self, user):
        return self._sends

    def browses(self, user):
        return self._browses

    def public_browses(self, user):
        return self._public_browses

    def posts(self, user):
        return self._posts

    def publications(self, user):
        return self._publications

    def message(self, user, number, present=None):
        return PlannedMessage(f"1.{user}.{number}", (1 if user == 0 else 0,), 50_000)

    def think_times(self, user, key):
        return self._think


@pytest.fixture
def play(run, clock, world, make_surroundings, population_of):
    """Logs users on, begins the day of the first at once, plays a scenario; returns what was recorded."""

    def play(
        schedule,
        scenario=None,
        *,
        users=2,
        closed=False,
        speed=1.0,
        until_s=3600.0,
        lasts_s=3600.0,
        **profile,
    ):
        async def main():
            around = make_surroundings(speed=speed)
            group = population_of(users, **profile).groups[0]
            days = [
                Day(
                    User(index, group, around),
                    schedule if index == 0 else FixedSchedule(),
                    closed=closed,
                    around=around,
                )
                for index in range(users)
            ]
            for day in days:
                await day.user.log_on(clock(), startup=False)
            days[0].begin(clock(), clock() + round(until_s * S))
            if scenario is not None:
                await scenario(days, around)
            await asyncio.sleep(lasts_s)
            around.timers.clear()
            return around.recorder.snapshot(clock())

        return run(main())

    return play


def test_a_send_resolves_names_and_submits_and_response_counts_from_its_due_time(play, world, ear):
    world.delays = {"resolve_names": 0.2, "send_message": 0.3}
    snapshot = play(FixedSchedule(sends_s=[1, 1.1, 60]))
    assert ear.times_ms("send_message") == [(500, 500), (900, 500), (500, 500)]
    assert ear.times_ms("resolve_names") == [(200, 200), (200, 200), (200, 200)]
    assert snapshot.counts["send_message"] == Counts(planned=3, done=3)
    assert snapshot.counts["resolve_names"] == Counts(planned=3, done=3)
    assert snapshot.submitted == [
        Submitted("1.0.0", 1, 1_500 * MS, (1,)),
        Submitted("1.0.1", 1, 2_000 * MS, (1,)),
        Submitted("1.0.2", 1, 60_500 * MS, (1,)),
    ]
    [first, *_] = world.client(0).sent
    assert (first.key, first.size) == ("1.0.0", 50_000)
    assert [recipient.alias for recipient in first.recipients] == ["user1"]


def test_what_comes_faster_than_the_pace_is_skipped_and_counted(play, world):
    """Two in two seconds are within one message a second; what else comes at once is not put off."""

    async def scenario(days, around):
        around.sends = Pace(1.0)

    snapshot = play(FixedSchedule(sends_s=[1, 1.1, 1.2, 1.3, 60]), scenario)
    counts = snapshot.counts["send_message"]
    assert (counts.planned, counts.done, counts.skipped) == (5, 2, 3)
    assert [message.key for message in world.client(0).sent] == ["1.0.0", "1.0.4"]
    assert "resolve_names" not in snapshot.counts or snapshot.counts["resolve_names"].planned == 2


def test_mail_that_is_not_the_runs_is_neither_read_nor_deleted(play, world):
    async def scenario(days, around):
        around.stamp = "a1b2c3d4."
        world.deliver(0, "Minutes of Monday")
        world.deliver(0, "a1b2c3d4.1.1.0")

    snapshot = play(FixedSchedule(), scenario, received_per_day=1, read_per_day=1, deleted_per_day=1)
    assert snapshot.counts["receive_message"].done == 2
    assert snapshot.counts["read_message"].done == snapshot.counts["delete_message"].done == 1
    assert [arrived.key for arrived in snapshot.arrived] == ["a1b2c3d4.1.1.0"]


def test_a_stall_of_the_loop_shows_as_lag_and_in_the_response(play, world, ear):
    async def scenario(days, around):
        around.timers.at(int(9.5 * S), lambda due_ns, fired_ns: around.clock.stall(2.0))

    world.delays = {"send_message": 0.1}
    play(FixedSchedule(sends_s=[5, 10, 11, 20]), scenario, users=2)
    assert ear.lags_ms("send_message") == [0, 1500, 500, 0]
    assert ear.times_ms("send_message") == [(100, 100), (1600, 100), (700, 100), (100, 100)]


def test_names_that_cannot_be_resolved_fail_the_send(play, world, ear):
    world.errors = {"resolve_names": MapiError("NspiResolveNames", 0x80040107)}
    snapshot = play(FixedSchedule(sends_s=[1]))
    assert snapshot.counts["send_message"] == Counts(planned=1, failed=1)
    assert snapshot.counts["resolve_names"] == Counts(planned=1, failed=1)
    assert not world.client(0).sent
    assert not snapshot.submitted


def test_resolving_waits_for_the_directory_connection_alone(play, world, ear):
    world.delays = {"browse_address_book": 5.0, "resolve_names": 0.1, "send_message": 0.1}
    play(FixedSchedule(sends_s=[2], browses_s=[1]))
    assert ear.times_ms("browse_address_book") == [(5000, 5000)]
    assert ear.times_ms("resolve_names") == [(100, 100)]
    assert ear.times_ms("send_message") == [(4200, 4200)]


def test_news_is_fetched_at_once_and_read_and_deleted_after_thinking(play, world, ear):
    """The delivery counts to the notification; reading and deleting are due from the receipt on."""
    world.delays = {"send_message": 0.5, "fetch_news": 0.25, "read_message": 0.1, "delete_message": 0.05}
    snapshot = play(FixedSchedule(sends_s=[1, 100]))
    assert snapshot.arrived == [Arrived("1.0.0", 1, 1_500 * MS), Arrived("1.0.1", 1, 100_500 * MS)]
    assert ear.times_ms("receive_message") == [(250, 250), (250, 250)]
    assert world.times_of("fetch_news") == [1.5, 100.5]
    assert world.times_of("read_message") == [11.75, 110.75]
    # Of eight messages received four are deleted: every second one.
    assert world.times_of("delete_message") == [120.75]
    assert ear.times_ms("read_message") == [(100, 100), (100, 100)]
    for operation, count in (("receive_message", 2), ("read_message", 2), ("delete_message", 1)):
        assert snapshot.counts[operation] == Counts(planned=count, done=count)


def test_what_comes_while_a_fetch_waits_is_fetched_with_it(play, world, ear):
    """Told once: the first counts from the notification, the others from the answer that brought them."""
    world.delays = {"fetch_news": 1.0, "browse_address_book": 0.0, "read_message": 4.0}

    async def scenario(days, around):
        world.deliver(0, "a")
        await asyncio.sleep(11.5)  # fetched after 1 s; read from 11 s to 15 s
        world.deliver(0, "b")
        await asyncio.sleep(1)
        world.deliver(0, "c")
        await asyncio.sleep(0.5)
        world.deliver(0, "")

    snapshot = play(FixedSchedule(), scenario, deleted_per_day=0)
    assert world.times_of("fetch_news") == [0.0, 15.0]
    assert snapshot.arrived == [
        Arrived("a", 0, 0),
        Arrived("b", 0, 11_500 * MS),
        Arrived("c", 0, 16_000 * MS),
    ]
    assert ear.times_ms("receive_message") == [(1000, 1000), *[(4500, 1000)] * 3]


def test_a_cached_client_gathers_news_before_it_fetches(play, world, ear):
    """Receiving is due when the delay is over; the delivery still counts to the notification."""
    world.delays = {"fetch_news": 0.5}
    world.synchronisation_delay_s = 30.0

    async def scenario(days, around):
        world.deliver(0, "a")
        await asyncio.sleep(10)
        world.deliver(0, "b")

    snapshot = play(FixedSchedule(), scenario, read_per_day=0, deleted_per_day=0)
    assert world.times_of("fetch_news") == [30.0]
    assert snapshot.arrived == [Arrived("a", 0, 0), Arrived("b", 0, 30_500 * MS)]
    assert ear.times_ms("receive_message") == [(500, 500)] * 2


def test_gathering_takes_a_second_however_fast_the_day_runs(play, world):
    world.synchronisation_delay_s = 30.0

    async def scenario(days, around):
        world.deliver(0, "a")

    play(FixedSchedule(), scenario, speed=640.0, read_per_day=0, deleted_per_day=0)
    assert world.times_of("fetch_news") == [1.0]


def test_an_empty_answer_is_no_message(play, world):
    async def scenario(days, around):
        world.client(0).on_notify()

    snapshot = play(FixedSchedule(), scenario)
    assert "receive_message" not in snapshot.counts


def test_a_fetch_that_fails_is_a_failed_receipt_and_the_next_one_brings_the_mail(play, world, ear):
    async def scenario(days, around):
        world.errors = {"fetch_news": TimedOut("no answer")}
        world.deliver(0, "a")
        await asyncio.sleep(1)
        world.errors = {}
        world.deliver(0, "b")

    snapshot = play(FixedSchedule(), scenario)
    assert snapshot.counts["receive_message"] == Counts(planned=3, done=2, failed=1)


def test_news_during_log_on_is_fetched_after_it(run, clock, world, make_surroundings, population_of):
    world.delays = {"log_on": 1.0}

    async def main():
        around = make_surroundings()
        day = Day(User(0, population_of(1).groups[0], around), FixedSchedule(), closed=False, around=around)
        logging_on = asyncio.create_task(day.user.log_on(clock(), startup=False))
        await asyncio.sleep(0.5)
        world.deliver(0, "a")
        await logging_on
        await asyncio.sleep(1)
        return around.recorder.snapshot(clock())

    snapshot = run(main())
    assert world.times_of("fetch_news") == [1.0]
    assert snapshot.counts["receive_message"] == Counts(planned=1, done=1)


@pytest.mark.parametrize(("speed", "interval_s"), [(1.0, 60.0), (6.0, 10.0), (640.0, 1.0)])
def test_who_is_not_told_polls_as_often_as_the_server_says_scaled_but_not_below_a_second(
    play, world, speed, interval_s
):
    world.notifies = False
    snapshot = play(FixedSchedule(), users=1, speed=speed, lasts_s=10.5 * interval_s)
    assert world.times_of("fetch_news") == pytest.approx([interval_s * beat for beat in range(1, 11)])
    assert snapshot.counts["poll_mailbox"] == Counts(planned=10, done=10)


def test_a_polled_message_was_due_at_the_poll_and_known_when_it_was_answered(play, world, ear):
    world.notifies = False
    world.delays = {"fetch_news": 0.5}

    async def scenario(days, around):
        world.deliver(0, "a")
        world.deliver(0, "b")

    snapshot = play(FixedSchedule(), scenario, users=1, lasts_s=61)
    assert ear.times_ms("poll_mailbox") == [(500, 500)]
    assert ear.times_ms("receive_message") == [(500, 500)] * 2
    assert snapshot.arrived == [Arrived("a", 0, 60_500 * MS), Arrived("b", 0, 60_500 * MS)]


def test_no_drain_waits_for_a_poll(play, world):
    world.notifies = False
    world.delays = {"fetch_news": 20.0}
    seen = []

    async def scenario(days, around):
        await asyncio.sleep(65)
        seen.append((around.admission.unfinished, around.admission.polls))

    play(FixedSchedule(), scenario, users=1)
    assert seen == [(1, 1)]


def test_a_slow_poll_lets_the_beats_pass_that_it_missed(play, world, ear):
    world.notifies = False
    world.delays = {"fetch_news": [150.0, 1.0]}
    play(FixedSchedule(), users=1, lasts_s=310)
    assert world.times_of("fetch_news") == [60, 240, 300]
    assert ear.times_ms("poll_mailbox") == [(150_000, 150_000), (1000, 1000), (1000, 1000)]


def test_polling_outlasts_a_failed_poll(play, world):
    world.notifies = False
    world.errors = {"fetch_news": TimedOut("no answer")}
    snapshot = play(FixedSchedule(), users=1, lasts_s=181)
    assert snapshot.counts["poll_mailbox"] == Counts(planned=3, failed=3)


def test_the_closed_shape_sends_as_fast_as_answers_come_and_thinks_not_at_all(play, world, ear):
    world.delays = {"resolve_names": 0.1, "send_message": 0.15}
    snapshot = play(FixedSchedule(), closed=True, until_s=1.0, lasts_s=10)
    assert world.times_of("send_message") == pytest.approx([0.1, 0.35, 0.6, 0.85])
    assert ear.times_ms("send_message") == [(250, 250)] * 4
    assert snapshot.counts["send_message"] == Counts(planned=4, done=4)
    assert world.times_of("read_message") == pytest.approx([0.25, 0.5, 0.75, 1.0])


def test_the_closed_shape_tries_again_when_it_was_skipped(play, world, monkeypatch):
    async def scenario(days, around):
        around.admission.capacity = 0
        await asyncio.sleep(2.5)
        around.admission.capacity = 100

    world.delays = {"send_message": 1.0}
    snapshot = play(FixedSchedule(), scenario, closed=True, until_s=5.0, lasts_s=10)
    assert snapshot.counts["send_message"].skipped == 2
    assert snapshot.counts["send_message"].done >= 2


def test_nothing_is_sent_after_the_schedule_has_been_ended(play, world):
    async def scenario(days, around):
        await asyncio.sleep(5)
        days[0].end_schedule()

    snapshot = play(FixedSchedule(sends_s=[1, 10], browses_s=[1, 10]), scenario)
    assert world.times_of("send_message") == [1.0]
    assert world.times_of("browse_address_book") == [1.0]
    assert snapshot.counts["send_message"] == Counts(planned=2, done=1)


def test_mail_of_strangers_is_read_and_is_no_delivery(play, world):
    async def scenario(days, around):
        world.deliver(0, "")

    snapshot = play(FixedSchedule(), scenario)
    assert snapshot.arrived == []
    assert snapshot.counts["read_message"].done == 1


def test_public_folders_have_a_turn_of_their_own(play, world, ear):
    world.delays = {"browse_public_folder": 5.0, "post_public_folder": 0.5, "browse_address_book": 1.0}
    schedule = FixedSchedule(browses_s=[2], public_browses_s=[1, 20], posts_s=[3, 30], publications_s=[4])
    snapshot = play(schedule)
    assert ear.times_ms("browse_address_book") == [(1000, 1000)]
    assert ear.times_ms("browse_public_folder") == [(5000, 5000)] * 2
    assert ear.times_ms("post_public_folder") == [(3500, 500), (500, 500)]
    assert ear.times_ms("publish_free_busy") == [(2500, 0)]
    assert world.client(0).posted == ["post 0", "post 1"]
    assert snapshot.counts["browse_public_folder"] == Counts(planned=2, done=2)
    assert snapshot.counts["post_public_folder"] == Counts(planned=2, done=2)
    assert snapshot.counts["publish_free_busy"] == Counts(planned=1, done=1)
    assert ear.lags_ms("post_public_folder") == [0, 0]


def test_who_logs_on_publishes_free_busy_times_if_his_outlook_does(
    run, clock, world, make_surroundings, population_of
):
    async def main():
        around = make_surroundings()
        group = population_of(1).groups[0]
        publishing = PublicFolderWork(free_busy="publish")
        client = msgspec.structs.replace(
            group.client,
            public_folder=publishing,
            connections=ConnectionCounts(mail=1, directory=1, public_folder=1),
        )
        for index, each in enumerate((group, msgspec.structs.replace(group, client=client))):
            day = Day(User(index, each, around), FixedSchedule(), closed=False, around=around)
            await day.user.log_on(clock(), startup=False)
        await asyncio.sleep(1)
        world.client(1).on_lost(TimedOut("gone"))
        await asyncio.sleep(60)
        return around.recorder.snapshot(clock())

    snapshot = run(main())
    assert [index for name, index, _ in world.calls if name == "publish_free_busy"] == [1, 1]
    assert snapshot.counts["publish_free_busy"] == Counts(planned=2, done=2)


def test_public_news_is_fetched_at_once_and_is_no_operation(play, world):
    async def scenario(days, around):
        world.client(0).on_public_news()
        world.client(0).on_public_news()
        await asyncio.sleep(5)
        world.client(0).on_public_news()

    world.delays = {"fetch_public_news": 1.0}
    snapshot = play(FixedSchedule(), scenario)
    assert world.times_of("fetch_public_news") == [0.0, 5.0]
    assert "browse_public_folder" not in snapshot.counts


def test_public_news_that_cannot_be_fetched_is_a_failed_browse(play, world):
    world.errors = {"fetch_public_news": [TimedOut("no answer"), None]}

    async def scenario(days, around):
        world.client(0).on_public_news()
        await asyncio.sleep(5)
        world.client(0).on_public_news()

    snapshot = play(FixedSchedule(), scenario)
    assert world.times_of("fetch_public_news") == [0.0, 5.0]
    assert snapshot.counts["browse_public_folder"] == Counts(planned=1, failed=1)


def test_news_for_which_there_is_no_room_is_fetched_when_there_is(play, world, ear):
    """Mail that has come is never skipped: it waits, and the wait is in the response time."""

    async def scenario(days, around):
        around.admission.capacity = 0
        world.deliver(0, "a")
        world.client(0).on_public_news()
        await asyncio.sleep(1.5)
        around.admission.capacity = 100

    snapshot = play(FixedSchedule(), scenario, read_per_day=0, deleted_per_day=0)
    assert world.times_of("fetch_news") == world.times_of("fetch_public_news") == [2.0]
    assert snapshot.arrived == [Arrived("a", 0, 0)]
    assert ear.times_ms("receive_message") == [(2000, 0)]
    assert snapshot.counts["receive_message"] == Counts(planned=1, done=1)


def test_nobody_fetches_news_for_a_user_who_has_left(play, world):
    async def scenario(days, around):
        around.admission.capacity = 0
        world.deliver(0, "a")
        world.client(0).on_public_news()
        days[0].user.abort()
        around.admission.capacity = 100

    play(FixedSchedule(), scenario)
    assert world.times_of("fetch_news") == world.times_of("fetch_public_news") == []


def test_public_news_during_log_on_is_fetched_after_it(run, clock, world, make_surroundings, population_of):
    world.delays = {"log_on": 1.0}

    async def main():
        around = make_surroundings()
        day = Day(User(0, population_of(1).groups[0], around), FixedSchedule(), closed=False, around=around)
        logging_on = asyncio.create_task(day.user.log_on(clock(), startup=False))
        await asyncio.sleep(0.5)
        world.client(0).on_public_news()
        await logging_on
        await asyncio.sleep(1)

    run(main())
    assert world.times_of("fetch_public_news") == [1.0]


def test_nothing_is_posted_after_the_schedule_has_been_ended(play, world):
    async def scenario(days, around):
        await asyncio.sleep(5)
        days[0].end_schedule()

    snapshot = play(FixedSchedule(posts_s=[1, 10], publications_s=[7]), scenario)
    assert world.times_of("post_public_folder") == [1.0]
    assert snapshot.counts["post_public_folder"] == Counts(planned=2, done=1)
    assert snapshot.counts["publish_free_busy"] == Counts(planned=1)
