"""RPC_HEADER_EXT: payloads in every form, and chains of them."""

from struct import pack

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadgen.errors import LocalProtocolError, WireError
from loadgen.wire.emsmdb import EcDoRpcExt2Request, EcDoRpcExt2Response
from loadgen.wire.extended_buffer import COMPRESSED, LARGEST_PAYLOAD, XOR_MAGIC, read_payloads, write_payload

TEXT = b"abcabcabcabcabcabc"


def test_the_obfuscated_and_the_plain_payload_of_the_logon(vector):
    request = EcDoRpcExt2Request.decode(vector("emsmdb/rpc-ext2-request.hex"))
    payload = vector("rop/logon-private-request.hex")
    assert read_payloads(request.rgb_in) == [payload]
    assert write_payload(payload, XOR_MAGIC) == request.rgb_in

    response = EcDoRpcExt2Response.decode(vector("emsmdb/rpc-ext2-response.hex"))
    payload = vector("rop/logon-private-response.hex")
    assert read_payloads(response.rgb_out) == [payload]
    assert write_payload(payload, 0) == response.rgb_out


def test_the_compressed_payload_of_the_submission(vector):
    payload = vector("rop/submit-request.hex")
    compressed = vector("lz77/submit-compressed.hex")
    assert read_payloads(bytes.fromhex("0000 0500 4001 a201") + compressed) == [payload]
    ours = write_payload(payload)
    assert ours[:4] == bytes.fromhex("0000 0500")
    assert len(ours) < len(payload)
    assert read_payloads(ours) == [payload]


def test_obfuscated_after_compression_is_read_too():
    compressed = write_payload(TEXT, COMPRESSED)
    obfuscated = bytes(byte ^ 0xA5 for byte in compressed[8:])
    assert read_payloads(bytes.fromhex("0000 0700") + compressed[4:8] + obfuscated) == [TEXT]


@pytest.mark.parametrize(
    ("allowed", "flags"), [(0, 4), (XOR_MAGIC, 6), (COMPRESSED, 4), (COMPRESSED | XOR_MAGIC, 6)]
)
def test_compression_that_gains_nothing_is_left_off(allowed, flags):
    data = write_payload(b"abcdefg", allowed)
    assert data[:8] == pack("<4H", 0, flags, 7, 7)
    assert read_payloads(data) == [b"abcdefg"]


@given(st.lists(st.tuples(st.binary(max_size=100), st.integers(0, 3)), min_size=1, max_size=5))
def test_chains_come_back(parts):
    chain = b"".join(
        write_payload(payload, allowed, last=number == len(parts))
        for number, (payload, allowed) in enumerate(parts, 1)
    )
    assert read_payloads(chain) == [payload for payload, _ in parts]


def test_every_truncation_of_a_chain_is_refused():
    chain = write_payload(TEXT, last=False) + write_payload(b"x", XOR_MAGIC)
    assert read_payloads(b"") == []
    for size in range(1, len(chain)):
        with pytest.raises(WireError):
            read_payloads(chain[:size])


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        ("0100 0400 0000 0000", "version 1"),
        ("0000 0c00 0000 0000", "flags 0x000C"),
        ("0000 0400 0100 0200 61", "2, but 1 bytes"),
        ("0000 0000 0100 0100 61", "no payload is the last"),
        ("0000 0400 0000 0000 0000 0400 0000 0000", "after the last"),
        ("0000 0500 0400 0100 ffffffff", "ends early"),
    ],
)
def test_headers_that_do_not_add_up_are_refused(data, problem):
    with pytest.raises(WireError, match=problem):
        read_payloads(bytes.fromhex(data))


def test_a_payload_that_no_server_takes_is_our_mistake():
    write_payload(bytes(LARGEST_PAYLOAD))
    with pytest.raises(LocalProtocolError, match="32768"):
        write_payload(bytes(LARGEST_PAYLOAD + 1))
