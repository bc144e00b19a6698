from loadgen.engine.progress import EVENTS_KEPT, Recent
from loadgen.measure.recorder import Event

S = 1_000_000_000


def told(*events):
    recent = Recent(origin_ns=0)
    for at_s, kind, text in events:
        recent.happened(Event(at_s * S, kind, text))
    return [(event.time_s, event.kind, event.text, event.times) for event in recent.events]


def test_a_storm_is_told_once_and_leaves_room_for_what_else_happens():
    storm = [(each, kind, "") for each in range(1, 41) for kind in ("connection_lost", "reconnected")]
    assert told((0, "phase", "measure"), *storm, (50, "reconnected", "")) == [
        (0, "phase", "measure", 1),
        (40, "connection_lost", "", 40),
        (50, "reconnected", "", 41),
    ]


def test_what_happens_again_much_later_or_otherwise_is_told_again():
    events = [(1, "control", "pause"), (2, "control", "resume"), (12, "control", "pause")]
    assert told(*events) == [(*event, 1) for event in events]


def test_the_last_few_are_kept():
    events = [(each, "phase", str(each)) for each in range(EVENTS_KEPT + 2)]
    assert told(*events) == [(*event, 1) for event in events[2:]]
