"""What tests of every package share."""

from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

settings.register_profile("shared-machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("shared-machine")  # how long an example takes says nothing about the code

VECTORS = Path(__file__).parent / "vectors"


def read_vector(name: str) -> bytes:
    """The bytes of ``vectors/<name>``: hex digits, blanks ignored, ``#`` starts a comment."""
    lines = (VECTORS / name).read_text(encoding="ascii").splitlines()
    return bytes.fromhex("".join(line.partition("#")[0] for line in lines))


@pytest.fixture
def vector() -> Callable[[str], bytes]:
    """Reads a vector by its name below ``tests/vectors``."""
    return read_vector
