import json

import msgspec
import pytest

from loadgen.capacity.plan import make_plan
from loadgen.compare.comparing import asked_metrics, compare, read_sources
from loadgen.compare.comparison import Rules
from loadgen.compare.condition import parse_condition, parse_conditions
from loadgen.compare.metric import DEFAULT_METRIC, PATHS, metric_of, parse_metric
from loadgen.errors import ProfileError
from loadgen.imports.imported import Imported, OperationFigures, RunHeader, make_folder, write_import
from loadgen.measure import threshold
from loadgen.measure.columns import COLUMNS
from loadgen.workload.campaign import Population, groups_of, load_campaign
from loadgen.workload.topology import read_topology

SERVICE = "operations.send_message.service_ms.p95"


def compared(paths, *fail_on, metrics=(), **rules):
    conditions = parse_conditions(fail_on)
    asked = asked_metrics(metrics, conditions)
    return compare(read_sources(paths), Rules(metrics=asked, resamples=400, **rules), conditions)


@pytest.fixture
def plan(tmp_path):
    campaign = load_campaign("quickstart")
    made = make_plan(read_topology("default"), Population(groups_of(campaign)))
    path = tmp_path / "plan.json"
    path.write_bytes(msgspec.json.encode(made))
    return path


@pytest.fixture
def loadgens_table(tmp_path):
    figures = OperationFigures(
        tasks=("SendMail",), done=600, failed=2, service_mean_ms=90.0, service_p95_ms=120.0
    )
    folder = make_folder(tmp_path, "table")
    header = RunHeader(title="LoadGen, May", users=100, length_s=60.0, passed=True)
    found = Imported(
        kind="table", sources=("t.csv",), imported="", run=header, operations={"send_message": figures}
    )
    write_import(folder, found)
    return folder


def test_equal_runs_do_not_differ(runs):
    found = compared([runs["before"], runs["again"]])
    (asked,) = found.asked
    assert (asked.metric, asked.label, asked.outcome) == (DEFAULT_METRIC, "B", "no_difference")
    assert asked.low < 1 < asked.high
    assert (asked.level, asked.family, asked.needed) == (pytest.approx(0.95), 1, "")
    assert {each.outcome for each in found.beside if "send_message" in each.metric} <= {
        "no_difference",
        "too_little_data",
    }
    assert (found.warnings, found.exit_code) == ((), 0)


def test_a_tenth_slower_differs_and_settings_say_what_else_does(runs):
    found = compared([runs["before"], runs["slow"]], metrics=[DEFAULT_METRIC, SERVICE])
    assert [each.outcome for each in found.asked] == ["differs", "differs"]
    for each in found.asked:
        assert each.low > 1
        assert each.change == pytest.approx(0.1, abs=0.05)
        assert each.family == 2
    assert [each.key for each in found.settings] == ["campaign.speed"]
    assert found.settings[0].values == {"A": "640.0", "B": "320.0"}
    assert found.warnings == ("The runs do not do the same work: campaign.speed differ.",)
    failures = {figure.path: figure.values for figure in found.figures}
    assert failures["failures.timeout"] == {"A": 0, "B": 3}


def test_a_small_difference_beyond_noise_does_not_count(runs):
    (asked,) = compared([runs["before"], runs["slow"]], at_least=0.5).asked
    assert (asked.outcome, asked.beyond_noise) == ("no_difference", True)


def test_several_sides_are_all_held_against_the_first_and_corrected_for(runs):
    found = compared([runs["before"], runs["again"], runs["slow"]])
    assert [(each.label, each.outcome) for each in found.asked] == [
        ("B", "no_difference"),
        ("C", "differs"),
    ]
    assert found.asked[1].level == pytest.approx(0.975)


@pytest.mark.parametrize(
    ("side", "metric", "needed"),
    [
        ("short", DEFAULT_METRIC, "B has 80 of them; 100 operations on each side"),
        ("short", "operations.send_message.response_ms.p50", "B lasts 8 s; 12 s on each side"),
        ("again", "operations.send_message.response_ms.p999", "A has 600 of them; 5,000 operations"),
    ],
)
def test_what_cannot_be_told_says_what_it_takes(runs, side, metric, needed):
    (asked,) = compared([runs["before"], runs[side]], metrics=[metric]).asked
    assert asked.outcome == "too_little_data"
    assert asked.needed.startswith(needed)
    assert asked.ratio is not None


def test_intervals_wider_than_what_counts_say_how_much_longer_to_measure(runs):
    (asked,) = compared([runs["before"], runs["again"]], at_least=0.001).asked
    assert asked.outcome == "too_little_data"
    assert "times as" in asked.needed


def test_an_invalid_run_is_compared_with_a_loud_note_and_nothing_concluded(runs):
    found = compared([runs["before"], runs["interrupted"]], "users.refused > 0")
    assert found.warnings[0].startswith("B (")
    assert "INVALID" in found.warnings[0]
    assert found.exit_code == threshold.EXIT_INVALID
    assert compared([runs["before"], runs["interrupted"]]).exit_code == 0


def test_plan_and_run_have_their_connections_side_by_side(runs, plan):
    found = compared([plan, runs["before"]])
    rows = {(row.moment, row.column): row for row in found.connections}
    assert set(rows) == {(moment, column) for moment in ("peak", "steady") for column in COLUMNS}
    total = rows["steady", "cas_total"]
    assert total.connections == {"A": 624, "B": 624}
    assert total.per_user == {"A": 6.24, "B": 6.24}
    assert total.as_loadgen == 200
    (asked,) = found.asked
    assert (asked.outcome, asked.ratio) == ("not_measured", None)


def test_an_imported_table_stands_beside_with_explicit_zeroes(runs, loadgens_table):
    found = compared([runs["before"], loadgens_table], "operations.resolve_names.done < 1")
    steady = {row.column: row.connections["B"] for row in found.connections if row.moment == "steady"}
    assert (steady["cas_total"], steady["directory"], steady["public_store"]) == (200, 0, 0)
    assert found.conditions[0].met
    mean = next(each for each in found.beside if each.metric == "operations.send_message.service_ms.mean")
    assert (mean.outcome, mean.value) == ("not_measured", 90.0)
    assert mean.baseline == pytest.approx(98.6, abs=2)
    assert found.sides[1].verdict == "PASS"


@pytest.mark.parametrize(
    ("condition", "side", "met", "why"),
    [
        (f"{DEFAULT_METRIC} > +5%", "slow", True, "it is +"),
        (f"{DEFAULT_METRIC} > +50%", "slow", False, "it is +"),
        (f"{DEFAULT_METRIC} > -5%", "again", False, "within noise"),
        (f"{DEFAULT_METRIC} > -30%", "short", False, "too little data"),
        (f"{DEFAULT_METRIC} > 1", "again", True, "it is 1"),
        ("failures.timeout > +0", "slow", True, "it is +3"),
        ("failures.timeout > +10%", "slow", True, "it is +inf %"),
        ("failures.timeout > +10%", "again", False, "it is +0 %"),
        ("users.planned == -0%", "again", True, "it is +0 %"),
        ("traffic.x.y.sending > +5%", "slow", True, "not measured"),
    ],
)
def test_conditions_fail_what_is_beyond_them_and_beyond_noise(runs, condition, side, met, why):
    found = compared([runs["before"], runs[side]], condition)
    (result,) = found.conditions
    assert result.met == met
    assert why in result.why
    assert found.exit_code == (threshold.EXIT_FAIL if met else 0)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("operations.send_message.response_ms.p95 > 10%", "write \\+10% or -10%"),
        ("operations.send_message.response_ms.p95", "is not 'path op number'"),
        ("operations.send_mesage.response_ms.p95 > +10%", "did you mean"),
        ("operations.send_message.response_ms > +10%", "is not a number"),
    ],
)
def test_conditions_that_are_wrong_say_how_they_would_be_right(text, problem):
    with pytest.raises(ProfileError, match=problem):
        parse_condition(text)


@pytest.mark.parametrize("text", ["users.lost == 0", "connections.lost > +2", "failures.timeout >= -12.5%"])
def test_conditions_are_written_as_they_were_read(text):
    assert str(parse_condition(text)) == text


@pytest.mark.parametrize(
    ("text", "measured", "said"),
    [
        ("users.lost > 0", 7757.8, "7,758"),
        ("users.lost > 0", 12.0, "12"),
        ("users.lost > +0", 0.1234, "+0.123"),
        ("users.lost > +0", -7757.8, "-7,758"),
        ("users.lost > +5%", 3.14159, "+3.14 %"),
    ],
)
def test_what_was_measured_is_said_in_the_digits_of_the_tables(text, measured, said):
    assert parse_condition(text).said(measured) == said


def test_every_condition_may_name_what_a_threshold_may():
    def paths(tree, above=""):
        for step, below in tree.items():
            yield from paths(below, f"{above}{step}.") if below else (above + step,)

    assert set(paths(threshold.PATHS)) < set(paths(PATHS))


def test_metrics_are_asked_for_by_conditions_too():
    conditions = parse_conditions(["users.lost > 0", f"{SERVICE} > +5%", f"{DEFAULT_METRIC} > 100"])
    assert asked_metrics((), ()) == (DEFAULT_METRIC,)
    assert asked_metrics((), conditions) == (SERVICE,)
    assert asked_metrics(("set_up.rpc_bind.p95",), conditions) == ("set_up.rpc_bind.p95", SERVICE)


def test_what_has_no_intervals_cannot_be_asked():
    assert metric_of("users.lost") is None
    with pytest.raises(ProfileError, match="has no intervals"):
        parse_metric("operations.send_message.response_ms.max")


def test_sources_that_are_none_say_so(tmp_path, runs):
    (tmp_path / "empty").mkdir()
    (tmp_path / "wrong.json").write_text("{}")
    for name, problem in (
        ("empty", "holds none of"),
        ("nothing", "no such file"),
        ("wrong.json", "not a plan"),
    ):
        with pytest.raises(ProfileError, match=problem):
            read_sources([runs["before"], tmp_path / name])
    with pytest.raises(ProfileError, match="two to 26"):
        read_sources([runs["before"]])


def test_a_file_of_a_folder_stands_for_it(runs):
    one, other = read_sources([runs["before"] / "summary.json", runs["before"]])
    assert (one.name, one.kind) == (other.name, other.kind) == (runs["before"].name, "run")
    assert json.dumps(one.values) == json.dumps(other.values)


def test_a_killed_run_is_read_as_far_as_it_came(tmp_path, runs):
    folder = tmp_path / "killed"
    folder.mkdir()
    for file in runs["before"].iterdir():
        content = file.read_bytes()
        if file.name in ("latency.hlog", "timeseries.csv"):
            content = content[: len(content) * 2 // 3]
        (folder / file.name).write_bytes(content)
    found = compared([runs["before"], folder])
    assert found.asked[0].outcome in ("no_difference", "too_little_data")
    assert found.asked[0].blocks[1] < found.asked[0].blocks[0]
