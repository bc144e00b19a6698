"""Client types: what they must not say."""

import msgspec
import pytest

from loadgen.client.client_type import ClientType

LEAST = {"title": "a type", "version": "12.0.6206.1000", "notification": "poll", "connections": {"mail": 1}}


def convert(**changes) -> ClientType:
    return msgspec.convert(LEAST | changes, ClientType)


def test_the_least():
    kind = convert()
    assert kind.version_words == (12, 6206, 1000)
    assert (kind.connections.public_folder, kind.connections.directory, kind.disconnect) == (0, 0, "proper")
    assert convert(connections={"mail": 1, "directory": 1}, directory={"browses_per_day": 2}).directory


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"connections": {}}, r"`mail` - at `\$.connections`"),
        ({"connections": {"mail": 0}}, ">= 1"),
        ({"connections": {"mail": 1, "archive": 1}}, "`archive`"),
        ({"notification": "push"}, "'push'"),
        ({"version": "12.1.6206.1000"}, r"- at `\$.version`"),
        ({"version": "12.0.6206"}, r"- at `\$.version`"),
        ({"version": "12.0.32768.0"}, "version '12.0.32768.0': each number must be below 32,768"),
        (
            {"directory": {"names_resolved_per_message": 1}},
            "names_resolved_per_message needs connections.directory",
        ),
        ({"directory": {"names_resolved_per_message": 5}}, "<= 4"),
        ({"directory": {"browses_per_day": 1}}, "browses_per_day needs"),
        ({"startup": {"referral": 2}}, "<= 1"),
        ({"public_folder": {"browses_per_day": 1}}, "public_folder needs connections.public_folder"),
        ({"public_folder": {"posts_per_day": 1}}, "public_folder needs connections.public_folder"),
        ({"public_folder": {"free_busy": "publish"}}, "public_folder needs connections.public_folder"),
        ({"public_folder": {"free_busy_interval_s": 0.5}}, ">= 1"),
    ],
)
def test_what_is_refused(changes, problem):
    with pytest.raises(msgspec.ValidationError, match=problem):
        convert(**changes)
