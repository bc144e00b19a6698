from pathlib import Path

import pytest

from loadgen.errors import ProfileError
from loadgen.imports.imported import OperationFigures, RunHeader, Task
from loadgen.imports.task_table import TASKS, import_table, template
from loadgen.measure.sample import OPERATIONS

DATA = Path(__file__).parent / "data"


def test_a_filled_table_is_read():
    imported = import_table(DATA / "tasks.csv")
    assert imported.run == RunHeader(
        title="Lab, May 2008",
        users=5000,
        client="Outlook 2007 Cached",
        profile="heavy",
        day_s=28_800,
        length_s=14_400,
        passed=True,
    )
    assert imported.tasks[0] == Task(
        task="SendMail", operation="send_message", count=40_000, avg_ms=52.5, p95_ms=210, exceptions=3
    )
    assert [task.task for task in imported.tasks] == [
        "SendMail",
        "ReadAndProcessMessages",
        "BrowseCalendar",
        "Dance",
    ]
    assert imported.operations["send_message"] == OperationFigures(
        tasks=("SendMail",), done=40_000, failed=3, service_mean_ms=52.5, service_p95_ms=210
    )
    assert "Dance" in imported.notes[1]


def test_what_loadgen_lacked_stands_as_zero():
    imported = import_table(DATA / "tasks.csv")
    assert imported.operations["resolve_names"].done == 0
    assert imported.operations["browse_address_book"].done == 0
    assert imported.virtual_connections == {
        "mail": 5000,
        "second_mail": 0,
        "public_folder": 0,
        "directory": 0,
        "referral": 0,
    }
    assert imported.connections["cas_total"] == 10_000
    assert [imported.connections[each] for each in ("dsproxy", "referral", "public_store", "directory")] == [
        0
    ] * 4


def test_the_template_can_be_filled_and_is_explained(tmp_path):
    text = template()
    path = tmp_path / "table.csv"
    path.write_text(text.replace("SendMail,,,,", "SendMail,10,5,,").replace("users,", "users,7"))
    imported = import_table(path)
    assert [task.count for task in imported.tasks] == [10]
    assert imported.run.users == 7
    for word in ("users", "task", "avg_ms", "exceptions"):
        assert f"# {word}: " in text


def test_every_task_is_set_beside_an_operation_of_ours_or_none():
    assert {known.operation for known in TASKS.values()} <= {"", *OPERATIONS}


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "there is no task below a line task,count"),
        ("user,5\n", "line 1: 'user' is none of title, users"),
        ("user,5\n", "did you mean users?"),
        (
            "task,count,avg_ms,p95_ms,exceptions\nSendMail,many,1,1,1\n",
            "line 2: count: 'many' is not a whole number",
        ),
        (
            "task,count,avg_ms,p95_ms,exceptions\nSendMail,1,fast,1,1\n",
            "line 2: avg_ms: 'fast' is not a number",
        ),
        (
            "task,count,avg_ms,p95_ms,exceptions\nSendMail,1,-1,1,1\n",
            "line 2: avg_ms: '-1' is not a number of milli",
        ),
        ("task,count,avg_ms,p95_ms,exceptions\nSendMail,1\n", "line 2: 2 cells instead of 5"),
        ("task,count,avg_ms,p95_ms,exceptions\nA,1,1,1,1\nA,1,1,1,1\n", "line 3: A stands twice"),
        ("pass,maybe\ntask,count,avg_ms,p95_ms,exceptions\nA,1,1,1,1\n", "pass: 'maybe' is not yes or no"),
        ("day,long\ntask,count,avg_ms,p95_ms,exceptions\nA,1,1,1,1\n", "day: 'long' is not a duration"),
    ],
)
def test_what_is_wrong_is_told_with_file_and_line(tmp_path, text, problem):
    path = tmp_path / "table.csv"
    path.write_text(text)
    with pytest.raises(ProfileError) as caught:
        import_table(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert problem in str(caught.value)
