"""When users were lost, and how long it took until as many were there again."""

import pytest

from loadgen.measure.outages import Outage, OutageWatch
from loadgen.measure.recorder import Gauges, Refusal, Snapshot
from loadgen.measure.totals import Totals

FULL = (10, 0, 0)


def name_of(candidates):
    return candidates[0] if candidates else "unknown"


def refusal(count, *limits):
    return Refusal(limits, count, 0, 0, 0, "")


def watched(*intervals, refusals=None, scaled=None):
    """A second each: users admitted, connections lost and reconnects so far; the rest by second."""
    watch, totals = OutageWatch(name_of), Totals()
    for second, (admitted, lost, reconnects) in enumerate(intervals):
        gauges = Gauges(users_admitted=admitted, connections_lost_total=lost, reconnects_total=reconnects)
        totals.add(Snapshot(shard=0, started_ns=0, ended_ns=0, gauges=gauges))
        if scaled and second in scaled:
            watch.scale(scaled[second])
        watch.add(second, second + 1, totals, (refusals or {}).get(second, ()))
    return watch.outages()


def outage(from_s, lost, connections_lost, recovered_after_s, *, before=10, **refused):
    return Outage(
        from_s=from_s,
        admitted_before=before,
        lost=lost,
        connections_lost=connections_lost,
        recovered_after_s=recovered_after_s,
        refused_by_limit=refused,
    )


@pytest.mark.parametrize(
    ("intervals", "found"),
    [
        ([(5, 0, 0), FULL, FULL, (3, 0, 0)], []),
        ([(0, 4, 0), FULL, FULL], []),
        ([FULL, FULL, (4, 20, 0), (7, 20, 3), (10, 20, 6), FULL], [outage(2, 6, 20, 3)]),
        ([FULL, (10, 12, 6)], [outage(1, 6, 12, 1)]),
        ([FULL, (4, 20, 0), (9, 20, 5)], [outage(1, 6, 20, None)]),
        ([FULL, (4, 20, 0), (2, 30, 0), (10, 30, 8)], [outage(1, 8, 30, 3)]),
        (
            [FULL, (9, 3, 0), (10, 3, 1), (10, 3, 1), (8, 7, 1), (10, 7, 3)],
            [outage(1, 1, 3, 2), outage(4, 2, 4, 2)],
        ),
        ([(6, 0, 0), (5, 3, 0), (7, 3, 0)], [outage(1, 1, 3, 2, before=6)]),
    ],
    ids=[
        "who leaves by himself is none",
        "nobody was there before",
        "until all are back",
        "back within one interval",
        "never",
        "worse before it is better",
        "twice",
        "others may take the places",
    ],
)
def test_an_outage_lasts_until_as_many_are_admitted_as_before(intervals, found):
    assert watched(*intervals) == tuple(found)


def test_attempts_that_were_refused_meanwhile_are_counted_by_limit():
    refusals = {
        0: [refusal(7, "ports")],
        1: [refusal(2, "request_queue", "memory"), refusal(1)],
        2: [refusal(3, "request_queue")],
        3: [refusal(9, "request_queue")],
    }
    (found,) = watched(FULL, (4, 20, 0), (10, 20, 6), (10, 20, 6), refusals=refusals)
    assert found.refused_by_limit == {"request_queue": 5, "unknown": 1}


def test_fewer_are_enough_if_fewer_are_wanted():
    (found,) = watched(FULL, (2, 20, 0), (4, 20, 2), FULL, scaled={2: 4})
    assert (found.admitted_before, found.recovered_after_s) == (4, 2)
    assert watched(FULL, FULL, scaled={1: 4}) == ()
