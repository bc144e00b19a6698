"""LZ77 with DIRECT2 encoding, against streams that Microsoft and the reference print."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadgen.errors import WireError
from loadgen.wire.lz77 import compress, decompress

PUBLISHED = {
    "alphabet": b"abcdefghijklmnopqrstuvwxyz",
    "abc-100-times": b"abc" * 100,
    "a-30-times": b"a" * 30,
    "abcabcdef": b"ABCABCDEF",
}


@pytest.mark.parametrize(("name", "data"), PUBLISHED.items(), ids=PUBLISHED)
def test_published_streams_in_both_directions(vector, name, data):
    stream = vector(f"lz77/{name}.hex")
    assert decompress(stream, len(data)) == data
    assert compress(data) == stream


def test_a_stream_of_another_compressor_holds_the_submission(vector):
    submission = vector("rop/submit-request.hex")
    assert decompress(vector("lz77/submit-compressed.hex"), len(submission)) == submission


@pytest.mark.parametrize("name", [*PUBLISHED, "submit-compressed"])
def test_every_truncation_is_refused(vector, name):
    stream = vector(f"lz77/{name}.hex")
    size = len(PUBLISHED.get(name) or vector("rop/submit-request.hex"))
    for end in range(len(stream)):
        with pytest.raises(WireError):
            decompress(stream[:end], size)


def literals(text: bytes) -> bytes:
    """An indicator for up to 32 literals, the unused bits 0 as some compressors leave them."""
    return bytes(4) + text


@pytest.mark.parametrize(
    ("stream", "size", "data"),
    [
        (b"", 0, b""),
        (b"\xff\xff\xff\xff", 0, b""),
        (literals(b"abc"), 3, b"abc"),
        (bytes(4) + bytes(range(32)) + b"\xff\xff\xff\xff", 32, bytes(range(32))),
        # one literal, then a match whose length needs 16 bits, then one that needs 32
        (bytes.fromhex("00000040 61 0700 0f ff 3001"), 1 + 0x133, b"a" * 0x134),
        (bytes.fromhex("00000040 61 0700 0f ff 0000 30010000"), 1 + 0x133, b"a" * 0x134),
    ],
)
def test_streams_that_our_compressor_does_not_write(stream, size, data):
    assert decompress(stream, size) == data


@pytest.mark.parametrize(
    ("stream", "size", "problem"),
    [
        (literals(b"abcd"), 3, "left over"),
        (bytes.fromhex("00000080 0000"), 9, "1 back"),
        (bytes.fromhex("00000040 61 0800"), 9, "2 back"),
        (bytes.fromhex("00000040 61 0200"), 5, "match of 5 bytes"),
        (bytes.fromhex("00000040 61 0700 0f ff 1500"), 99, "belongs in a nibble"),
    ],
)
def test_streams_that_do_not_add_up_are_refused(stream, size, problem):
    with pytest.raises(WireError, match=problem):
        decompress(stream, size)


LENGTHS = [
    *range(3, 30),
    31,
    32,
    33,
    63,
    64,
    65,
    278,
    279,
    280,
    281,
    600,
    0x8000,
    0x10001,
    0x10002,
    0x10003,
    0x20005,
]


@pytest.mark.parametrize("length", LENGTHS)
def test_matches_of_every_kind_of_length(length):
    data = b"a" * length
    assert decompress(compress(data), length) == data
    # three matches in one stream share nibbles in turn
    data = b"x".join([data] * 3)
    assert decompress(compress(data), len(data)) == data


def test_matches_reach_back_as_far_as_the_window():
    filler = b"".join(number.to_bytes(2, "big") for number in range(5000))
    for distance in (8192, 8193):
        data = b"\xff\xfe\xfd" + filler[: distance - 3] + b"\xff\xfe\xfd"
        assert decompress(compress(data), len(data)) == data
    assert len(compress(b"\xff\xfe\xfd" + filler[:8189] + b"\xff\xfe\xfd")) < len(
        compress(b"\xff\xfe\xfd" + filler[:8190] + b"\xff\xfe\xfd")
    )


@given(
    st.lists(st.binary(max_size=20) | st.sampled_from([b"abc", b"\0" * 40, b"/o=Contoso/ou="]), max_size=60)
)
def test_anything_comes_back(parts):
    data = b"".join(parts)
    assert decompress(compress(data), len(data)) == data


@given(st.binary(max_size=60), st.integers(0, 200))
def test_arbitrary_bytes_are_refused_or_give_the_size_that_was_said(stream, size):
    with suppress(WireError):
        assert len(decompress(stream, size)) == size
