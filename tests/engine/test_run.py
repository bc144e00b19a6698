import pytest

from loadgen.engine.run import source_addresses
from loadgen.errors import ProfileError


@pytest.mark.parametrize(
    ("texts", "addresses"),
    [
        ((), ()),
        (("127.0.30.1",), ("127.0.30.1",)),
        (("127.0.30.254-127.0.31.1",), ("127.0.30.254", "127.0.30.255", "127.0.31.0", "127.0.31.1")),
        (("127.0.30.2", " 127.0.30.1 - 127.0.30.2"), ("127.0.30.2", "127.0.30.1")),
    ],
)
def test_source_addresses_are_single_ones_and_ranges(texts, addresses):
    assert source_addresses(texts) == addresses


@pytest.mark.parametrize("text", ["here", "127.0.0.2-127.0.0.1", "127.0.0.1-127.255.0.0", "::1"])
def test_what_is_no_range_is_refused_by_name(text):
    with pytest.raises(ProfileError, match="source_ip: "):
        source_addresses((text,))
