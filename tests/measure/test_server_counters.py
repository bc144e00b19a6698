import pytest

from loadgen.errors import RemoteProtocolError
from loadgen.measure.server_counters import read_mock


def test_a_mock_gives_the_paths_of_perfmon():
    text = '{"connections": {}, "roles": {"MBX1": {"MSExchangeIS\\\\RPC Requests": 3}}}'
    assert read_mock(text) == {"MBX1": {r"\MSExchangeIS\RPC Requests": 3}}


def test_what_is_none_is_told():
    with pytest.raises(RemoteProtocolError, match="the mock's counters"):
        read_mock("[]")
