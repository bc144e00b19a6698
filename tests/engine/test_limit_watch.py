"""Limits are named by the counter that moved."""

import pytest

from loadgen.engine.limit_watch import LimitWatch, RefusedUsers
from loadgen.errors import TransportError
from loadgen.measure.limits import LimitReading
from loadgen.measure.recorder import Event, Refusal
from loadgen.report.summary import LimitHit

CUT = ("nonpaged_pool", "memory", "worker_recycling", "ports")


class Servers:
    """Counters of servers that a test moves; ``error`` is raised instead if there is one."""

    def __init__(self, *readings):
        self.readings = {(each.name, each.server): each for each in readings}
        self.error = None

    async def __call__(self):
        if self.error is not None:
            raise self.error
        return list(self.readings.values())

    def move(self, name, server, in_use, of, hits):
        self.readings[name, server] = LimitReading(name, server, in_use, of, hits)


def refusal(limits, at_s=1, *, logged_on=9, error="refused"):
    return Refusal(limits, 1, at_s * 10**9, 9, logged_on, error)


async def test_the_candidate_whose_hits_moved_is_named_with_its_server():
    servers = Servers(LimitReading("ports", "CAS1", 0, 60, 5), LimitReading("memory", "CAS1", 0, 30, 0))
    watch = LimitWatch(servers)
    assert await watch.begin() == ""
    assert watch.name_of(CUT) == ""
    servers.move("ports", "CAS1", 60, 60, 7)
    await watch.look()
    watch.note([refusal(CUT, error="reset by peer"), refusal((), error="HTTP 500")], 21)
    assert watch.name_of(CUT) == "ports"
    assert watch.name_of(("memory",)) == ""
    assert watch.hits() == (
        LimitHit(
            name="ports",
            server="CAS1",
            in_use=60,
            of=60,
            hits=2,
            users_logged_on=30,
            first_error="reset by peer",
        ),
    )


async def test_a_limit_keeps_the_most_that_was_in_use_and_its_first_refusal():
    servers = Servers()
    watch = LimitWatch(servers)
    await watch.begin()
    for at_s, in_use, hits in ((5, 40, 1), (9, 12, 6)):
        servers.move("context_handles", "MBX1", in_use, 40, hits)
        await watch.look()
        watch.note([refusal(("mapi_sessions", "context_handles"), at_s, logged_on=at_s)], 0)
    watch.note([refusal(("context_handles",), 2, logged_on=2, error="an RPC fault")], 0)
    [hit] = watch.hits()
    assert (hit.in_use, hit.hits, hit.users_logged_on, hit.first_error) == (40, 6, 2, "an RPC fault")


async def test_limits_come_in_the_order_of_their_first_users_and_those_that_met_nobody_last():
    servers = Servers()
    watch = LimitWatch(servers)
    await watch.begin()
    servers.move("ports", "CAS2", 9, 9, 1)
    servers.move("memory", "CAS1", 9, 9, 1)
    servers.move("request_queue", "CAS1", 9, 9, 1)
    await watch.look()
    watch.note([refusal(("memory",), 1, logged_on=7), refusal(("request_queue",), 2, logged_on=8)], 0)
    assert [(hit.name, hit.users_logged_on) for hit in watch.hits()] == [
        ("memory", 7),
        ("request_queue", 8),
        ("ports", None),
    ]


@pytest.mark.parametrize(
    ("candidates", "name"),
    [(("ports",), "ports"), (CUT, ""), ((), ""), (("front_end_contexts",), "front_end_contexts")],
)
async def test_without_counters_a_limit_is_named_if_no_other_comes_into_question(candidates, name):
    watch = LimitWatch()
    assert await watch.begin() == ""
    await watch.look()
    watch.note([refusal(candidates)], 0)
    assert watch.name_of(candidates) == name
    assert [(hit.name, hit.server, hit.of) for hit in watch.hits()] == ([(name, "", None)] if name else [])


async def test_counters_that_cannot_be_read_at_first_are_as_none():
    servers = Servers()
    servers.error = TransportError("nobody there")
    watch = LimitWatch(servers)
    assert await watch.begin() == "nobody there"
    assert watch.name_of(("ports",)) == "ports"


async def test_counters_that_cannot_be_read_later_say_nothing_new():
    servers = Servers()
    watch = LimitWatch(servers)
    await watch.begin()
    servers.error = TransportError("nobody there")
    await watch.look()
    assert watch.hits() == ()


async def test_events_get_the_name_instead_of_the_candidates():
    servers = Servers()
    watch = LimitWatch(servers)
    await watch.begin()
    event = Event(1, "log_on_failed", "reset", 3, "|".join(CUT))
    assert watch.named(event).limit is None
    servers.move("worker_recycling", "CAS1", 5, 5, 3)
    await watch.look()
    assert watch.named(event).limit == "worker_recycling"
    phase = Event(1, "phase", "ramp")
    assert watch.named(phase) is phase


async def test_what_moved_in_the_same_interval_is_meant_and_of_that_what_is_full():
    servers = Servers()
    watch = LimitWatch(servers)
    await watch.begin()
    users = RefusedUsers(watch)
    cut = "|".join(CUT)
    named = []
    for recycled, ports, refused in ((4, 0, 4), (4, 3, 7), (9, 5, 9), (14, 5, 11)):
        servers.move("worker_recycling", "CAS1", 90, 600, recycled)
        servers.move("ports", "CAS1", 60, 60, ports)
        await watch.look()
        users.take({cut: refused})
        named.append(watch.named(Event(1, "log_on_failed", "reset", 3, cut)).limit)
    assert named == ["worker_recycling", "ports", "ports", "worker_recycling"]
    assert users.by_limit() == {"worker_recycling": 6, "ports": 5}


async def test_refused_users_keep_their_limit_until_they_are_refused_no_more():
    servers = Servers()
    watch = LimitWatch(servers)
    await watch.begin()
    users = RefusedUsers(watch)
    users.take({"memory|ports": 2, "": 1})
    servers.move("ports", "CAS1", 60, 60, 3)
    await watch.look()
    users.take({"memory|ports": 5, "": 1})
    assert users.by_limit() == {"unknown": 3, "ports": 3}
    users.take({"memory|ports": 2})
    assert users.by_limit() == {"ports": 2}
