import pickle
from collections import Counter
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from loadgen.client.client_type import ClientType
from loadgen.workload.arrival import Schedule, falls_due
from loadgen.workload.campaign import Campaign, Population, UserGroup, load_campaign, populate
from loadgen.workload.duration import Duration
from loadgen.workload.library import read
from loadgen.workload.profile import MessageProfile

NS = 1_000_000_000
DAY_S = 28800


def population(*groups: tuple[int, str]) -> Population:
    client = read("client", "outlook2007-online-anywhere", ClientType)
    return Population(
        tuple(
            UserGroup(users=users, client=client, profile=read("message", profile, MessageProfile))
            for users, profile in groups
        )
    )


def schedule(groups: tuple[tuple[int, str], ...] = ((100, "medium"),), **keys: object) -> Schedule:
    return Schedule(Campaign(**keys), population(*groups))


@pytest.mark.parametrize(
    ("profile", "sent"), [("light", 5), ("medium", 10), ("heavy", 20), ("very-heavy", 30)]
)
@pytest.mark.parametrize("shape", ["uniform", "peak"])
def test_each_user_sends_exactly_the_profiles_number_in_a_day(profile, sent, shape):
    day = schedule(((20, profile),), shape=shape, speed=640.0)
    for user in range(20):
        sends = day.sends(user)
        due = [each.due_ns for each in sends]
        assert [each.number for each in sends] == list(range(sent))
        assert due == sorted(due)
        assert due[0] >= 0
        assert due[-1] < 45 * NS
        assert len(day.browses(user)) == 2


def test_public_folders_have_a_schedule_of_their_own():
    """Two browses, one post and two changes of the calendar in a day, in streams of their own."""
    days = schedule(duration=Duration(2 * DAY_S))
    for user in range(20):
        posts, browses = days.posts(user), days.public_browses(user)
        assert [post.key for post in posts] == [f"1.{user}.post.0", f"1.{user}.post.1"]
        assert [post.due_ns // (DAY_S * NS) for post in posts] == [0, 1]
        assert [due_ns // (DAY_S * NS) for due_ns in browses] == [0, 0, 1, 1]
        assert browses != days.browses(user)


@pytest.mark.parametrize(("speed", "beat_s"), [(1.0, 900.0), (10.0, 90.0), (2000.0, 1.0)])
def test_free_busy_times_are_published_on_a_beat_if_the_calendar_has_changed(speed, beat_s):
    """The first beat after a change; each user has a beat of his own, of a second at least."""
    day = schedule(((200, "light"),), speed=speed)
    phases = set()
    for user in range(200):
        due = day.publications(user)
        changes = [due_ns for due_ns, _ in day._days(user, "calendar", 2)]
        assert due == sorted(due)
        assert len(due) <= 2
        phases.add(due[0] % round(beat_s * NS) if due else -1)
        for change in changes:
            waits = [due_ns - change for due_ns in due if due_ns >= change]
            too_late = change + beat_s * NS > DAY_S / speed * NS
            assert too_late if not waits else min(waits) < beat_s * NS
    assert len(phases) > 150


def test_changes_of_one_interval_are_one_publication():
    client = read("client", "outlook2007-online-anywhere", ClientType)
    busy = structs.replace(client.public_folder, calendar_changes_per_day=1000)
    off = structs.replace(busy, free_busy="off")
    profile = read("message", "light", MessageProfile)
    for work, count in ((busy, 32), (off, 0)):
        group = UserGroup(users=5, client=structs.replace(client, public_folder=work), profile=profile)
        due = Schedule(Campaign(), Population((group,))).publications(0)
        assert len(due) in (count, count + 1)
        assert {later - due_ns for due_ns, later in pairwise(due)} <= {900 * NS}


def test_three_days_have_three_times_as_many_each_day_its_own():
    days = schedule(duration=Duration(3 * DAY_S)).sends(7)
    assert [Counter(each.due_ns // (DAY_S * NS) for each in days)[day] for day in range(3)] == [10, 10, 10]
    assert [each.number for each in days] == list(range(30))
    first, second = ([each.due_ns % (DAY_S * NS) for each in days[start : start + 10]] for start in (0, 10))
    assert first != second


def test_the_warm_up_is_the_end_of_the_day_before():
    with_warmup = schedule(warmup=Duration(DAY_S / 2), duration=Duration(DAY_S)).sends(3)
    before = [each for each in with_warmup if each.due_ns < 0]
    assert all(each.due_ns >= -DAY_S / 2 * NS and -10 <= each.number < 0 for each in before)
    assert with_warmup[len(before) :] == schedule(duration=Duration(DAY_S)).sends(3)


def test_an_hour_of_the_peak_shape_runs_at_twice_the_mean():
    day = schedule(((2000, "very-heavy"),), shape="peak")
    due_s = [each.due_ns / NS for user in range(2000) for each in day.sends(user)]
    hours = Counter(int((second + 1800) // 3600) for second in due_s)  # the peak is the hour from 3.5 to 4.5
    mean = len(due_s) / 8
    assert hours[4] / mean == pytest.approx(2, rel=0.03)
    rest = [hours[hour] / mean for hour in (1, 2, 3, 5, 6, 7)]
    assert rest == pytest.approx([6 / 7] * 6, rel=0.05)
    assert sum(rest) + hours[0] / mean + hours[8] / mean == pytest.approx(6, rel=0.01)


@pytest.mark.parametrize("day_s", [7200, DAY_S])
def test_the_peak_shape_is_monotonic_and_ends_with_the_day(day_s):
    time_of_day = schedule(shape="peak", day=Duration(day_s))._time_of_day
    times = [time_of_day(share / 1000) for share in range(1000)]
    assert times == sorted(times)
    assert times[0] == (0 if day_s > 7200 else 1800)
    assert times[-1] == pytest.approx(day_s if day_s > 7200 else 5400, rel=0.002)


def test_the_closed_shape_has_no_due_times_but_the_same_messages():
    closed, opened = schedule(shape="closed"), schedule()
    assert closed.sends(1) == []
    assert closed.browses(1) == []
    assert closed.message(1, 25) == opened.message(1, 25)


def test_due_times_are_uniform():
    due_s = [each.due_ns / NS for user in range(1000) for each in schedule(((1000, "medium"),)).sends(user)]
    hours = Counter(int(second // 3600) for second in due_s)
    assert [hours[hour] / 1250 for hour in range(8)] == pytest.approx([1] * 8, rel=0.1)


def test_a_schedule_depends_on_seed_and_user_alone():
    one, same, other = schedule(seed=4), schedule(seed=4, workers=7), schedule(seed=5)
    assert pickle.loads(pickle.dumps(one)).sends(8) == same.sends(8) == one.sends(8)
    assert one.sends(8) != other.sends(8)
    assert one.sends(8) != one.sends(9)
    assert one.message(8, 0) == same.message(8, 0) != other.message(8, 0)
    assert one.think_times(8, "key") == same.think_times(8, "key") != one.think_times(8, "other")


def test_what_was_drawn_once_is_drawn_for_ever():
    """A change of these figures means that old runs can no longer be repeated: say so in the change log."""
    day = Schedule(load_campaign("quickstart"), populate(load_campaign("quickstart")))
    assert [each.due_ns for each in day.sends(0)][:2] == FIRST_DUE_NS
    message = day.message(0, 0)
    assert (message.key, message.recipients, message.size) == FIRST_MESSAGE


FIRST_DUE_NS = [3339068073, 11614788004]
FIRST_MESSAGE = ("1.0.0", (3, 74, 82, 21), 71272)


@given(st.integers(0, 104), st.integers(-100, 100))
def test_a_message_goes_to_four_others(user, number):
    recipients = MIXED.message(user, number).recipients
    assert len(set(recipients)) == 4
    assert user not in recipients
    assert all(0 <= recipient < 105 for recipient in recipients)


MIXED = schedule(((100, "light"), (5, "very-heavy")))


def test_five_users_write_to_all_others():
    day = schedule(((5, "light"),))
    assert {frozenset(day.message(2, number).recipients) for number in range(9)} == {frozenset({0, 1, 3, 4})}


def test_recipients_are_drawn_by_what_their_profiles_receive():
    day = schedule(((300, "light"), (300, "heavy")))
    received = Counter(
        user < 300 for sender in range(600) for n in range(20) for user in day.message(sender, n).recipients
    )
    assert received[True] / received[False] == pytest.approx(20 / 80, rel=0.03)


def test_message_keys_are_unique():
    day = schedule(((20, "light"),))
    keys = [day.message(user, number).key for user in range(20) for number in range(-5, 20)]
    assert len(set(keys)) == len(keys)


@pytest.mark.parametrize("profile", ["light", "medium", "heavy", "very-heavy"])
def test_sizes_of_a_day_have_exactly_the_profiles_mean(profile):
    day = schedule(((10, profile),))
    per_day = read("message", profile, MessageProfile).sent_per_day
    for user in range(10):
        for start in (-per_day, 0, per_day):
            sizes = [day.message(user, number).size for number in range(start, start + per_day)]
            assert sum(sizes) == 50_000 * per_day
            assert all(25_000 <= size <= 75_000 for size in sizes)
            assert len(set(sizes)) > per_day // 2


def test_think_times_scale_with_speed_and_deleting_follows_reading():
    users = ((500, "medium"),)
    real, fast = schedule(users), schedule(users, speed=100.0)
    times = [real.think_times(user, "key") for user in range(500)]
    assert all(0 <= each.read_ns <= each.delete_ns <= (240 + 600) * NS for each in times)
    assert sum(each.read_ns for each in times) / 500 / NS == pytest.approx(120, rel=0.1)
    assert sum(each.delete_ns - each.read_ns for each in times) / 500 / NS == pytest.approx(300, rel=0.1)
    assert fast.think_times(3, "key").read_ns == pytest.approx(
        real.think_times(3, "key").read_ns / 100, abs=1
    )


def test_users_log_on_all_along_the_ramp_whichever_are_taken():
    ramp = schedule(((1000, "light"),), ramp=Duration(10))
    assert ramp.log_on_ns(0) == 0
    for share in (range(0, 1000, 2), range(500)):
        seconds = Counter(ramp.log_on_ns(user) // NS for user in share)
        assert all(45 <= seconds[second] <= 55 for second in range(10))


@given(st.integers(1, 500), st.integers(1, 200))
def test_exactly_part_of_the_whole_falls_due(whole, part):
    part = min(part, whole)
    assert sum(falls_due(number, part, whole) for number in range(whole)) == part


def test_every_second_message_is_deleted():
    assert [falls_due(number, 10, 20) for number in range(4)] == [False, True, False, True]


def test_messages_go_to_those_who_are_there():
    days = schedule(((50, "medium"), (50, "light")))
    for number in range(20):
        assert max(days.message(3, number, present=60).recipients) < 60
        assert days.message(3, number, present=100) == days.message(3, number)


def test_too_few_to_receive_make_no_difference():
    days = schedule(((50, "medium"),))
    assert [days.message(0, number, present=4) for number in range(9)] == [
        days.message(0, number) for number in range(9)
    ]
    assert set(days.message(0, 0, present=5).recipients) == {1, 2, 3, 4}
