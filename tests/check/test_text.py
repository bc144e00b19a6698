"""What people read of a check."""

from io import StringIO

import pytest
from rich.console import Console

from loadgen.check.result import Result, Seen, Step
from loadgen.check.text import show


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
