"""Auxiliary blocks: those of the reference's example and of a real server, and the layouts of the others."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadgen.errors import WireError
from loadgen.wire.auxiliary import (
    CLASSIC_ONLINE,
    ENABLE_COMPRESSION,
    PUBLIC_FOLDERS_ENABLED,
    ClientControl,
    ExOrgInfo,
    OsVersionInfo,
    PerfBackgroundDefMdbSuccess,
    PerfBackgroundMdbSuccess,
    PerfClientInfo,
    PerfDefMdbSuccess,
    PerfForegroundDefMdbSuccess,
    PerfForegroundMdbSuccess,
    PerfMdbSuccess,
    PerfProcessInfo,
    PerfRequestId,
    PerfSessionInfoV2,
    UnknownBlock,
    read_blocks,
    write_blocks,
)
from loadgen.wire.emsmdb import EcDoConnectExRequest, EcDoConnectExResponse, EcDoRpcExt2Request
from loadgen.wire.extended_buffer import read_payloads

GUID = bytes(range(16))
WEEK_MS = 7 * 24 * 3600 * 1000


def test_the_blocks_of_a_connection(vector):
    request = EcDoConnectExRequest.decode(vector("emsmdb/connect-ex-request.hex"))
    response = EcDoConnectExResponse.decode(vector("emsmdb/connect-ex-response.hex"))
    guid = bytes.fromhex("3c2d1e0f5a4b78698796a5b4c3d2e1f0")
    for buffer, blocks in (
        (request.aux_in, (PerfSessionInfoV2(1, guid, 0x11),)),
        (response.aux_out, (ClientControl(ENABLE_COMPRESSION, WEEK_MS), ExOrgInfo(PUBLIC_FOLDERS_ENABLED))),
    ):
        (payload,) = read_payloads(buffer)
        assert read_blocks(payload) == blocks
        assert write_blocks(*blocks) == payload


def test_the_blocks_of_a_real_server(vector):
    response = EcDoConnectExResponse.decode(vector("emsmdb/gromox/basic-01-connect-response.hex"))
    (payload,) = read_payloads(response.aux_out)
    blocks = (ExOrgInfo(3), ClientControl(0x0C, WEEK_MS), UnknownBlock(1, 0x48, bytes.fromhex("01000000")))
    assert read_blocks(payload) == blocks
    assert write_blocks(*blocks) == payload


def test_the_request_id_of_a_call(vector):
    request = EcDoRpcExt2Request.decode(vector("emsmdb/rpc-ext2-request.hex"))
    (payload,) = read_payloads(request.aux_in)
    assert read_blocks(payload) == (PerfRequestId(1, 2),)
    assert write_blocks(PerfRequestId(1, 2)) == payload


CLIENT_INFO = PerfClientInfo(
    adapter_speed=100_000,
    client_id=1,
    machine_name="PC",
    user_name="u",
    client_ip=bytes([192, 0, 2, 1]),
    client_ip_mask=bytes([255, 255, 255, 0]),
    adapter_name="NIC",
    mac_address=bytes([0, 1, 2, 3, 4, 5]),
    client_mode=CLASSIC_ONLINE,
)
CLIENT_INFO_WIRE = (
    "4000 01 02 a0860100 0100 2000 2600 0400 2a00 0400 2e00 3200 0600 3a00 0100 0000"
    "500043000000 75000000 c0000201 ffffff00 4e00490043000000 000102030405"
)
LAYOUTS = [
    ("0800 01 01 0100 0200", PerfRequestId(1, 2)),
    ("1000 01 05 05000000 06000000 0700 0000", PerfDefMdbSuccess(5, 6, 7)),
    ("1000 01 0c 05000000 06000000 0700 0000", PerfBackgroundDefMdbSuccess(5, 6, 7)),
    ("1000 01 11 05000000 06000000 0700 0000", PerfForegroundDefMdbSuccess(5, 6, 7)),
    ("1400 01 07 0100 0200 0300 0400 05000000 06000000", PerfMdbSuccess(1, 2, 3, 4, 5, 6)),
    ("1400 01 0e 0100 0200 0300 0400 05000000 06000000", PerfBackgroundMdbSuccess(1, 2, 3, 4, 5, 6)),
    ("1400 01 13 0100 0200 0300 0400 05000000 06000000", PerfForegroundMdbSuccess(1, 2, 3, 4, 5, 6)),
    ("1c00 02 04 0100 0000" + GUID.hex() + "11000000", PerfSessionInfoV2(1, GUID, 0x11)),
    ("2000 02 0b 3412 0000" + GUID.hex() + "1c00 0000 41000000", PerfProcessInfo(0x1234, GUID, "A")),
    (
        "a000 01 16 9c000000 05000000 02000000 ce0e0000" + "00" * 132 + "0200 0000 00000000",
        OsVersionInfo(156, 5, 2, 3790, 2),
    ),
    (CLIENT_INFO_WIRE, CLIENT_INFO),
]


@pytest.mark.parametrize(("wire", "block"), LAYOUTS, ids=lambda value: type(value).__name__)
def test_blocks_follow_their_layout(wire, block):
    data = bytes.fromhex(wire)
    assert read_blocks(data) == (block,)
    assert write_blocks(block) == data
    for size in range(1, len(data)):
        with pytest.raises(WireError):
            read_blocks(data[:size])


def test_data_that_is_not_there_has_no_offset():
    nothing = PerfClientInfo(0, 0, "", "", b"", b"", "", b"", 0)
    body = bytearray(28)
    assert read_blocks(bytes.fromhex("2000 01 02") + body) == (nothing,)
    assert read_blocks(write_blocks(nothing)) == (nothing,)


@pytest.mark.parametrize(
    ("wire", "problem"),
    [
        ("0300 01 01", "does not even hold the header"),
        ("0a00 01 01 0100 0200 0000", "2 bytes left over"),
        ("1c00 02 0b 3412 0000" + GUID.hex() + "2000 0000", "outside of a block"),
        ("1c00 02 0b 3412 0000" + GUID.hex() + "0300 0000", "outside of a block"),
    ],
)
def test_blocks_that_do_not_add_up_are_refused(wire, problem):
    with pytest.raises(WireError, match=problem):
        read_blocks(bytes.fromhex(wire))


TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=20)
U16 = st.integers(0, 0xFFFF)
BLOCKS = (
    st.builds(PerfRequestId, U16, U16)
    | st.builds(PerfProcessInfo, U16, st.binary(min_size=16, max_size=16), TEXT)
    | st.builds(
        PerfClientInfo,
        U16,
        U16,
        TEXT,
        TEXT,
        st.binary(max_size=9),
        st.binary(max_size=9),
        TEXT,
        st.binary(),
        U16,
    )
    | st.builds(UnknownBlock, st.just(9), st.integers(0, 255), st.binary())
)


@given(st.lists(BLOCKS))
def test_any_blocks_come_back(blocks):
    assert read_blocks(write_blocks(*blocks)) == tuple(blocks)
