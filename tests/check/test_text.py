"""What people read of a check."""

from io import StringIO

import pytest
from rich.console import Console

from loadgen.check.result import Result, Seen, Step
from loadgen.check.text import WIDTH, show


def shown(*steps: Step, password_tried: bool = True) -> str:
    output = StringIO()
    result = Result(
        target="https://mail.example.test",
        user="alice",
        mailbox="alice@example.test",
        client="outlook2007-cached",
        passed=not any(step.outcome == "failed" for step in steps),
        password_tried=password_tried,
        steps=steps,
        seen=Seen(),
    )
    show(result, Console(file=output, width=120))
    return output.getvalue()


@pytest.mark.parametrize("tried", [True, False])
def test_a_password_that_nobody_asked_for_is_told(tried):
    text = shown(Step(name="dns", outcome="passed"), password_tried=tried)
    assert "All steps passed." in text
    assert ("The password was not tried" in text) is not tried


def failed(name: str, detail: str, cause: str) -> Step:
    return Step(
        name=name, outcome="failed", detail=detail, failure=cause, meaning=f"{cause} it is.", remedy="Try."
    )


def test_each_cause_is_told_once_and_what_failed_in_full():
    long = " ".join(f"word{number}" for number in range(30))
    text = shown(
        Step(name="tcp", outcome="passed", detail=long),
        failed("autodiscover", "no", "Locked"),
        failed("http", long, "Locked"),
        failed("mailbox", "gone", "Moved"),
    )
    table, first, another = text.split("\n\n")[-3:]
    assert first.splitlines() == ["First failure: Autodiscover; HTTP authentication", "Locked it is.", "Try."]
    assert another.splitlines() == ["Another failure: mailbox logon", "Moved it is.", "Try."]
    assert table.count("word29") == 1, "cut where it passed, whole where it failed"
    assert "…" in table
    assert all(len(line) <= WIDTH for line in text.splitlines())
