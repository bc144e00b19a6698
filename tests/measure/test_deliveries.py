from itertools import permutations

import pytest

from loadgen.measure import deliveries
from loadgen.measure.deliveries import DeliveryLedger
from loadgen.measure.histogram import Histogram
from loadgen.measure.recorder import Arrived, Recorder, Snapshot, Submitted

MS = 1_000_000


def ledger() -> tuple[DeliveryLedger, Recorder]:
    recorder = Recorder(-1, 0)
    recorder.measure_between(0, 10**12)
    return DeliveryLedger(recorder), recorder


NEWS = [Submitted("m", 2, 10 * MS), Arrived("m", 5, 12 * MS), Arrived("m", 6, 40 * MS)]


@pytest.mark.parametrize("order", list(permutations(NEWS)))
def test_order_of_news_does_not_matter(order):
    book, recorder = ledger()
    for shard, news in enumerate(order):
        snapshot = Snapshot(shard=shard, started_ns=0, ended_ns=1)
        (snapshot.submitted if isinstance(news, Submitted) else snapshot.arrived).append(news)
        book.take(snapshot)
    assert book.outstanding == 0
    assert book.close(100 * MS) == 0
    assert book.unexpected == 0
    result = recorder.snapshot(1)
    counts = result.counts["deliver_message"]
    assert (counts.planned, counts.done, counts.failed) == (2, 2, 0)
    times = Histogram.decode(result.histograms["deliver_message.response"].payload)
    assert times.percentiles_us((50, 100))[50] == pytest.approx(2_000, rel=1e-3)
    assert times.max_us == pytest.approx(30_000, rel=1e-3)


def test_a_notification_before_the_end_of_submission_took_no_time():
    book, recorder = ledger()
    book.arrived(Arrived("m", 5, 9 * MS))
    book.submitted(Submitted("m", 1, 10 * MS))
    assert Histogram.decode(recorder.snapshot(1).histograms["deliver_message.response"].payload).max_us == 1


def test_what_never_arrives_is_a_failure_with_an_outcome_of_its_own():
    book, recorder = ledger()
    for news in NEWS[:2]:
        book.take(
            Snapshot(
                shard=0,
                started_ns=0,
                ended_ns=1,
                submitted=[news] if isinstance(news, Submitted) else [],
                arrived=[news] if isinstance(news, Arrived) else [],
            )
        )
    book.submitted(Submitted("n", 4, 20 * MS))
    assert book.outstanding == 5
    assert book.close(100 * MS) == 5
    assert book.outstanding == 0
    result = recorder.snapshot(1)
    counts = result.counts["deliver_message"]
    assert (counts.planned, counts.done, counts.failed) == (6, 1, 5)
    [failure] = result.failures
    assert (failure.outcome, failure.count, failure.example) == (
        "not_delivered",
        5,
        "message m: 1 of 2 copies missing",
    )


def test_strangers_and_second_copies_are_unexpected_not_deliveries():
    book, recorder = ledger()
    book.arrived(Arrived("old mail", 5, 1))
    book.submitted(Submitted("m", 2, 2))
    for _ in range(3):
        book.arrived(Arrived("m", 5, 3))
    book.arrived(Arrived("m", 6, 3))
    book.arrived(Arrived("m", 6, 4))
    book.close(10)
    assert book.unexpected == 1 + 2 + 1
    assert recorder.snapshot(1).counts["deliver_message"].done == 2


def test_what_is_kept_of_strangers_is_bounded(monkeypatch):
    monkeypatch.setattr(deliveries, "STRANGERS_KEPT", 3)
    book, recorder = ledger()
    for number in range(5):
        book.arrived(Arrived(f"old {number}", 5, 1))
    assert len(book._pending) == 3
    book.submitted(Submitted("old 0", 1, 1))
    book.arrived(Arrived("old 7", 5, 1))
    assert len(book._pending) == 3
    book.close(10)
    assert book.unexpected == 2 + 3
    assert recorder.snapshot(1).counts["deliver_message"].done == 1


def test_a_complete_message_is_forgotten():
    book, _ = ledger()
    for number in range(100):
        book.submitted(Submitted(str(number), 1, 1))
        book.arrived(Arrived(str(number), 0, 2))
    assert book._pending == {}


def scaled(users: int) -> tuple[DeliveryLedger, Recorder]:
    book, recorder = ledger()
    book.scale(users)
    return book, recorder


def counted(recorder: Recorder) -> tuple[int, int, int]:
    counts = recorder.snapshot(1).counts["deliver_message"]
    return counts.planned, counts.done, counts.failed


def test_who_goes_before_he_is_told_was_never_to_be_told():
    book, recorder = ledger()
    book.submitted(Submitted("m", 4, 10 * MS, (1, 2, 8, 9)))
    book.arrived(Arrived("m", 1, 12 * MS))
    book.arrived(Arrived("m", 8, 12 * MS))
    book.scale(5)
    assert book.outstanding == 1
    book.arrived(Arrived("m", 9, 13 * MS))
    book.arrived(Arrived("m", 2, 13 * MS))
    assert (book.outstanding, book.close(100 * MS), book.unexpected) == (0, 0, 0)
    assert counted(recorder) == (3, 3, 0)


def test_a_message_on_its_way_to_those_who_go_waits_for_the_others_alone():
    book, recorder = scaled(5)
    book.arrived(Arrived("m", 8, 9 * MS))
    book.submitted(Submitted("m", 3, 10 * MS, (1, 8, 9)))
    assert book.outstanding == 1
    book.scale(10)
    book.arrived(Arrived("m", 9, 20 * MS))
    assert book.close(100 * MS) == 1
    assert counted(recorder) == (2, 1, 1)
    assert book.unexpected == 0
