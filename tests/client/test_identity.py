"""What each synthetic Outlook tells about itself: read back from the wire, and no two the same."""

import pytest

from loadgen.client.identity import about_client
from loadgen.wire.auxiliary import (
    CLASSIC_ONLINE,
    PerfClientInfo,
    PerfProcessInfo,
    PerfSessionInfoV2,
    read_blocks,
    write_blocks,
)

from .scripted import make_account


def told(index: int, *mode: int) -> tuple[PerfSessionInfoV2, PerfProcessInfo, PerfClientInfo]:
    return tuple(read_blocks(write_blocks(*about_client(make_account(index), *mode))))


def test_what_is_told():
    session, process, client = told(0x0102, 2)
    assert (session.session_id, session.connection_id) == (1, 1)
    assert process.process_name == "OUTLOOK.EXE"
    assert process.process_guid == session.session_guid
    assert (client.machine_name, client.user_name) == ("PC000258", "user00258")
    assert (client.client_ip, client.client_ip_mask) == (bytes((10, 0, 1, 2)), bytes((255, 0, 0, 0)))
    assert client.mac_address == bytes((2, 0, 0, 0, 1, 2))
    assert client.client_mode == 2


def test_no_two_are_the_same():
    everybody = [told(index) for index in (*range(500), 32_000, 0xFFFFFF)]
    for values in (
        {session.session_guid for session, _, _ in everybody},
        {client.machine_name for *_, client in everybody},
        {client.client_ip for *_, client in everybody},
        {client.mac_address for *_, client in everybody},
    ):
        assert len(values) == len(everybody)
    assert {client.client_mode for *_, client in everybody} == {CLASSIC_ONLINE}


@pytest.mark.parametrize("index", [0, 1 << 24, (1 << 32) - 1])
def test_any_index_fits(index):
    assert told(index) == told(index)
