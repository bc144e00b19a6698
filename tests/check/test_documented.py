"""docs/check.md names every step, every figure and every known failure, and no other."""

import re
from pathlib import Path

import msgspec
import pytest

from loadgen.check.known_failures import KNOWN_FAILURES
from loadgen.check.result import STEPS, Result, Seen, Step

PAGE = (Path(__file__).parent.parent.parent / "docs" / "check.md").read_text(encoding="utf-8")


def rows(section):
    text = PAGE[PAGE.index(f"## {section}") :].split("\n## ")[0]
    return [line.strip("| ").split(" | ") for line in text.splitlines() if line.startswith("| `")]


def test_steps():
    assert [row[0].strip("`") for row in rows("Steps")] == [*STEPS]


def test_known_failures():
    shown = [tuple(row) for row in rows("Known failures")]
    assert shown == [(f"`{row.name}`", row.meaning, row.remedy, row.source) for row in KNOWN_FAILURES]


@pytest.mark.parametrize("shape", [Result, Seen, Step])
def test_keys_of_the_json(shape):
    named = set(re.findall(r"`(\w+)`", PAGE))
    assert {field.encode_name for field in msgspec.structs.fields(shape)} <= named
