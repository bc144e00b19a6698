"""docs/check.md names every step, every figure and every known failure, and no other."""

import re
from pathlib import Path

import msgspec
import pytest

from loadgen.check.known_failures import KNOWN_FAILURES
from loadgen.check.result import Result, Seen, Step, steps_of

PAGE = (Path(__file__).parent.parent.parent / "docs" / "check.md").read_text(encoding="utf-8")


def rows(section):
    text = PAGE[PAGE.index(f"## {section}") :].split("\n## ")[0]
    return [line.strip("| ").split(" | ") for line in text.splitlines() if line.startswith("| `")]


def test_steps():
    over_http, over_tcp = steps_of("http"), steps_of("tcp")
    assert [row[0].strip("`") for row in rows("Steps")] == [*over_http]
    instead = [name for row in rows("RPC over TCP") for name in re.findall(r"`(\w+)`", row[0])]
    assert sorted(instead) == sorted(set(over_tcp) - set(over_http))


def test_known_failures():
    shown = [tuple(row) for row in rows("Known failures")]
    assert shown == [(f"`{row.name}`", row.meaning, row.remedy, row.source) for row in KNOWN_FAILURES]


@pytest.mark.parametrize("shape", [Result, Seen, Step])
def test_keys_of_the_json(shape):
    named = set(re.findall(r"`(\w+)`", PAGE))
    assert {field.encode_name for field in msgspec.structs.fields(shape)} <= named
