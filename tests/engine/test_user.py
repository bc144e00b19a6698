"""Response and service come out exactly, because every delay is known and time jumps."""

import asyncio

import pytest

from loadgen.engine.user import User
from loadgen.errors import ConnectionLost, HttpRefused, LocalProtocolError, MapiError
from loadgen.measure.recorder import Counts

S = 1_000_000_000


@pytest.fixture
def play(run, clock, world, make_surroundings, population_of):
    """Runs a scenario with one user who is logged on, waits an hour, and returns what was recorded."""

    def play(scenario, capacity=100):
        async def main():
            around = make_surroundings(capacity)
            user = User(0, population_of(1).groups[0], around)
            await user.log_on(clock(), startup=False)
            await scenario(user, around)
            await asyncio.sleep(3600)
            assert around.admission.unfinished == 0
            return around.recorder.snapshot(clock())

        return run(main())

    return play


def begin(user, operation, due_ns, connection="mail"):
    async def work(client):
        await user.perform(operation, due_ns, getattr(client, operation)(*ARGUMENTS.get(operation, ())))

    return user.begin(operation, due_ns, connection, work)


ARGUMENTS = {"read_message": (1, "key"), "delete_message": (1,)}


def test_waiting_for_the_users_turn_is_response_time_and_not_service_time(play, world, ear):
    world.delays = {"read_message": 0.1, "delete_message": 0.2}

    async def scenario(user, around):
        now_ns = around.clock()
        begin(user, "read_message", now_ns)
        begin(user, "delete_message", now_ns)

    play(scenario)
    assert ear.times_ms("read_message") == [(100, 100)]
    assert ear.times_ms("delete_message") == [(300, 200)]


def test_connections_do_not_wait_for_each_other(play, world, ear):
    world.delays = {"read_message": 5.0, "browse_address_book": 0.1}

    async def scenario(user, around):
        begin(user, "read_message", around.clock())
        begin(user, "browse_address_book", around.clock(), "directory")

    play(scenario)
    assert ear.times_ms("browse_address_book") == [(100, 100)]


def test_a_stall_of_the_target_shows_in_the_response_of_all_who_were_due_in_it(play, world, ear):
    """One answer takes 5 s, the four reads that were due meanwhile take 10 ms each."""
    world.delays = {"read_message": [5.0, 0.01]}

    async def scenario(user, around):
        for second in range(5):
            around.timers.at(
                around.clock() + second * S, lambda due_ns, _: begin(user, "read_message", due_ns)
            )

    play(scenario)
    assert ear.times_ms("read_message") == [(5000, 5000), (4010, 10), (3020, 10), (2030, 10), (1040, 10)]


def test_beyond_the_cap_arrivals_are_skipped_and_counted(play, world):
    world.delays = {"read_message": 1.0}

    async def scenario(user, around):
        now_ns = around.clock()
        assert [begin(user, "read_message", now_ns) for _ in range(4)] == [True, True, True, False]

    assert play(scenario, capacity=3).counts["read_message"] == Counts(done=3, skipped=1)


def test_an_error_of_the_peer_is_a_result(play, world):
    world.errors = {"read_message": MapiError("RopOpenMessage", 0x8004010F)}

    async def scenario(user, around):
        begin(user, "read_message", around.clock())

    snapshot = play(scenario)
    assert snapshot.counts["read_message"] == Counts(failed=1)
    assert snapshot.histograms.keys() == {"log_on.response", "log_on.service"}
    [failure] = snapshot.failures
    assert (failure.operation, failure.outcome, failure.count) == ("read_message", "mapi_error", 1)
    assert failure.example == "RopOpenMessage returned 0x8004010F MAPI_E_NOT_FOUND"


@pytest.mark.parametrize("error", [LocalProtocolError("called twice"), KeyError("handle")])
def test_an_error_of_ours_stops_the_run(play, world, error):
    world.errors = {"read_message": error}
    bugs = []

    async def scenario(user, around):
        begin(user, "read_message", around.clock())
        await asyncio.sleep(1)
        bugs.append(around.bug)

    play(scenario)
    assert bugs == [error]


def test_a_callback_that_raises_stops_the_run_too(play):
    error = RuntimeError("in a timer")
    bugs = []

    def fail(due_ns, fired_ns):
        raise error

    async def scenario(user, around):
        around.timers.at(around.clock(), fail)
        await asyncio.sleep(1)
        bugs.append(around.bug)

    play(scenario)
    assert bugs == [error]


def test_who_is_refused_at_first_stays_away(run, clock, world, make_surroundings, population_of):
    world.errors = {"log_on": HttpRefused(503, "Service Unavailable")}

    async def main():
        around = make_surroundings()
        user = User(0, population_of(1).groups[0], around)
        assert await user.log_on(clock(), startup=True) == "HTTP 503 Service Unavailable"
        assert (user.state, user.client) == ("refused", None)
        assert not begin(user, "read_message", clock())
        await asyncio.sleep(3600)
        await user.log_off(clock())
        assert user.state == "refused"
        return around.recorder.snapshot(clock())

    snapshot = run(main())
    assert world.clients[0].is_aborted
    assert len(world.clients) == 1
    assert snapshot.counts["log_on"] == Counts(planned=1, failed=1)
    assert snapshot.counts["read_message"] == Counts(skipped=1)


def test_who_loses_a_connection_drops_the_others_and_starts_again(play, world, ear):
    world.delays = {"log_on": 0.5}

    async def scenario(user, around):
        first = world.client(0)
        first.on_lost(ConnectionLost("reset by peer"))
        first.on_lost(ConnectionLost("reset by peer, the other one"))
        assert user.state == "lost"
        begin(user, "read_message", around.clock())
        await asyncio.sleep(10)
        assert (user.state, user.connections_lost) == ("logged_on", 2)
        assert first.is_aborted
        assert not world.client(0).startup
        assert len(world.clients) == 2

    snapshot = play(scenario)
    assert snapshot.counts["read_message"].done == 1
    assert snapshot.counts["log_on"] == Counts(planned=2, done=2)
    assert [event.kind for event in snapshot.events] == ["connection_lost", "connection_lost", "reconnected"]
    # What was due while the user was away waited for him, and the wait is response time.
    [(response_ms, service_ms)] = ear.times_ms("read_message")
    assert 1000 <= response_ms <= 1500
    assert service_ms == 0


def test_reconnecting_backs_off_in_real_time(play, world):
    async def scenario(user, around):
        world.errors = {"log_on": HttpRefused(503, "busy")}
        world.client(0).on_lost(ConnectionLost("reset"))
        await asyncio.sleep(600)
        del world.errors["log_on"]

    play(scenario)
    attempts_s = world.times_of("log_on")[1:]
    waits_s = [later - earlier for earlier, later in zip([0.0, *attempts_s], attempts_s, strict=False)]
    longest_s = [1, 2, 4, 8, 16, 32, *[60] * 50]
    assert all(longest / 2 <= wait <= longest for wait, longest in zip(waits_s, longest_s, strict=False))
    assert 600 < attempts_s[-1] <= 660  # it works as soon as it can


def test_reconnecting_waits_at_a_barrier(play, world):
    async def scenario(user, around):
        await around.gate.freeze(1.0)
        world.client(0).on_lost(ConnectionLost("reset"))
        await asyncio.sleep(120)
        assert not world.client(0).is_aborted
        assert len(world.clients) == 1
        around.gate.thaw()

    play(scenario)
    assert [client.is_aborted for client in world.clients] == [True, False]


def test_logging_off_waits_for_what_is_under_way(play, world):
    world.delays = {"read_message": 3.0}

    async def scenario(user, around):
        begin(user, "read_message", around.clock())
        await asyncio.sleep(1)
        await user.log_off(around.clock())
        assert around.clock() == 3 * S
        assert (user.state, user.client) == ("gone", None)
        assert not begin(user, "read_message", around.clock())

    snapshot = play(scenario)
    assert snapshot.counts["log_off"] == Counts(planned=1, done=1)
    assert not world.clients[0].is_aborted


def test_what_waits_behind_the_farewell_is_lost(play, world):
    world.delays = {"log_off": 3.0}

    async def scenario(user, around):
        leaving = asyncio.create_task(user.log_off(around.clock()))
        await asyncio.sleep(1)
        begin(user, "read_message", around.clock())
        await leaving

    snapshot = play(scenario)
    assert snapshot.counts["read_message"] == Counts(failed=1)
    assert snapshot.failures[0].outcome == "connection_lost"


def test_a_farewell_that_fails_cuts(play, world):
    world.errors = {"log_off": ConnectionLost("gone")}

    async def scenario(user, around):
        await user.log_off(around.clock())
        assert user.state == "gone"

    assert play(scenario).counts["log_off"] == Counts(planned=1, failed=1)
    assert world.clients[0].is_aborted


def test_who_is_still_lost_at_the_end_counts_as_lost(play, world):
    async def scenario(user, around):
        world.errors = {"log_on": HttpRefused(503, "busy")}
        world.client(0).on_lost(ConnectionLost("reset"))
        await asyncio.sleep(100)
        await user.log_off(around.clock())
        assert user.state == "lost"

    play(scenario)


def test_start_up_ends_once_and_only_for_those_who_started(
    run, clock, world, make_surroundings, population_of
):
    async def main():
        around = make_surroundings()
        starting, steady = (User(index, population_of(2).groups[0], around) for index in range(2))
        await starting.log_on(clock(), startup=True)
        await steady.log_on(clock(), startup=False)
        assert (starting.starting, steady.starting) == (True, False)
        for user in (starting, starting, steady):
            await user.end_startup()
        assert (starting.starting, world.client(0).virtual_connections) == (
            False,
            {"mail": 1, "directory": 1},
        )

    run(main())
    assert world.times_of("end_startup") == [0.0]


def test_start_up_that_cannot_be_ended_is_an_event(play, world):
    world.errors = {"end_startup": ConnectionLost("reset")}

    async def scenario(user, around):
        user.starting = True
        await user.end_startup()
        assert not user.starting

    assert [event.kind for event in play(scenario).events] == ["end_startup_failed"]


def test_leaving_while_coming_back_cuts_what_is_half_open(play, world):
    async def scenario(user, around):
        world.delays = {"log_on": 100.0}
        world.client(0).on_lost(ConnectionLost("reset"))
        begin(user, "read_message", around.clock())
        await asyncio.sleep(10)
        assert user.state == "logging_on"
        await user.log_off(around.clock())
        assert user.state == "gone"
        assert not world.times_of("log_off")

    snapshot = play(scenario)
    assert snapshot.counts["read_message"] == Counts(failed=1)
    assert not world.times_of("read_message")
    assert [client.is_aborted for client in world.clients] == [True, True]


def test_traffic_goes_to_the_work_it_belongs_to(play, world):
    world.octets = {"read_message": 1000, "send_message": 500}

    async def scenario(user, around):
        client = world.client(0)
        user.background, user.working = "idle", True
        client.bytes_received += 7
        begin(user, "read_message", around.clock())
        await asyncio.sleep(1)
        client.bytes_received += 30
        user.mark_traffic(user.background, seconds=10.0)
        user.background, user.working = None, False
        begin(user, "read_message", around.clock())

    traffic = {part.kind: (part.octets, part.user_seconds) for part in play(scenario).traffic}
    assert traffic == {"idle": (37, 10.0), "receiving": (1000, 0.0)}
