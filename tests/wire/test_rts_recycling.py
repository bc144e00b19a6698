from collections.abc import Callable

import pytest

from loadgen.wire import rts_recycling as recycling
from loadgen.wire.rts import RTS_PDUS, RtsPdu

VC = bytes.fromhex("33221100554477668899aabbccddeeff")
IN = bytes.fromhex("34333231424144435152535455565758")
IN_SUCCESSOR = bytes.fromhex("94939291a2a1a4a3b1b2b3b4b5b6b7b8")
OUT = bytes.fromhex("0d0c0b0a121114132122232425262728")
OUT_SUCCESSOR = bytes.fromhex("64636261727174738182838485868788")
WINDOW, TIMEOUT_MS, LIFETIME = 65536, 120_000, 1 << 30

VECTORS = {
    "in_r1_a1": recycling.in_r1_a1(VC, IN, IN_SUCCESSOR),
    "out_r1_a3": recycling.out_r1_a3(VC, OUT, OUT_SUCCESSOR, WINDOW),
    "out_r2_a7": recycling.out_r2_a7(OUT_SUCCESSOR),
    "out_r2_c1": recycling.out_r2_c1(),
}
# name: flags and size, from the tables of [MS-RPCH] 2.2.4.10 to 2.2.4.45
TABLE = {
    "in_r1_a1": (recycling.in_r1_a1(VC, IN, IN_SUCCESSOR), 0x0004, 88),
    "in_r1_a2": (recycling.in_r1_a2(VC, IN, IN_SUCCESSOR, WINDOW, TIMEOUT_MS), 0x000C, 104),
    "in_r1_a3": (recycling.in_r1_a3(WINDOW, TIMEOUT_MS), 0, 52),
    "in_r1_a4": (recycling.in_r1_a4(WINDOW, TIMEOUT_MS), 0, 52),
    "in_r1_a5": (recycling.in_r1_a5(IN_SUCCESSOR), 0, 40),
    "in_r1_a6": (recycling.in_r1_a6(IN_SUCCESSOR), 0, 40),
    "in_r1_b1": (recycling.in_r1_b1(), 0, 24),
    "in_r1_b2": (recycling.in_r1_b2(WINDOW), 0, 28),
    "in_r2_a1": (recycling.in_r2_a1(VC, IN, IN_SUCCESSOR), 0x0004, 88),
    "in_r2_a2": (recycling.in_r2_a2(IN_SUCCESSOR), 0, 40),
    "in_r2_a3": (recycling.in_r2_a3(), 0, 28),
    "in_r2_a4": (recycling.in_r2_a4(), 0, 28),
    "in_r2_a5": (recycling.in_r2_a5(IN_SUCCESSOR), 0, 40),
    "out_r1_a1": (recycling.out_r1_a1(), 0x0004, 28),
    "out_r1_a2": (recycling.out_r1_a2(), 0x0004, 28),
    "out_r1_a3": (recycling.out_r1_a3(VC, OUT, OUT_SUCCESSOR, WINDOW), 0x0004, 96),
    "out_r1_a4": (recycling.out_r1_a4(VC, OUT, OUT_SUCCESSOR, LIFETIME, WINDOW, TIMEOUT_MS), 0x0014, 112),
    "out_r1_a5": (recycling.out_r1_a5(TIMEOUT_MS), 0x0010, 44),
    "out_r1_a6": (recycling.out_r1_a6(TIMEOUT_MS), 0x0010, 44),
    "out_r1_a7": (recycling.out_r1_a7(OUT_SUCCESSOR), 0x0010, 48),
    "out_r1_a8": (recycling.out_r1_a8(OUT_SUCCESSOR), 0x0010, 48),
    "out_r1_a9": (recycling.out_r1_a9(), 0, 24),
    "out_r1_a10": (recycling.out_r1_a10(), 0, 24),
    "out_r1_a11": (recycling.out_r1_a11(), 0, 24),
    "out_r2_a1": (recycling.out_r2_a1(), 0x0004, 28),
    "out_r2_a2": (recycling.out_r2_a2(), 0x0004, 28),
    "out_r2_a3": (recycling.out_r2_a3(VC, OUT, OUT_SUCCESSOR, WINDOW), 0x0004, 96),
    "out_r2_a4": (recycling.out_r2_a4(OUT_SUCCESSOR), 0, 40),
    "out_r2_a5": (recycling.out_r2_a5(), 0, 32),
    "out_r2_a6": (recycling.out_r2_a6(), 0, 32),
    "out_r2_a7": (recycling.out_r2_a7(OUT_SUCCESSOR), 0x0010, 56),
    "out_r2_a8": (recycling.out_r2_a8(OUT_SUCCESSOR), 0x0010, 48),
    "out_r2_b1": (recycling.out_r2_b1(), 0, 24),
    "out_r2_b2": (recycling.out_r2_b2(), 0, 24),
    "out_r2_b3": (recycling.out_r2_b3(), 0x0020, 24),
    "out_r2_c1": (recycling.out_r2_c1(), 0x0001, 24),
}


@pytest.mark.parametrize("name", VECTORS)
def test_vectors_mean_what_they_say(name: str, vector: Callable[[str], bytes]) -> None:
    wire = vector(f"rts/{name}.hex")
    assert RtsPdu.decode(wire) == VECTORS[name]
    assert VECTORS[name].encode() == wire


@pytest.mark.parametrize("name", TABLE)
def test_each_pdu_has_its_name_its_flags_and_its_size(name: str) -> None:
    pdu, flags, size = TABLE[name]
    step, _, leg = name.upper().rpartition("_")
    assert f"{step}/{leg}" in pdu.names
    assert (pdu.flags, len(pdu.encode())) == (flags, size)
    assert RtsPdu.decode(pdu.encode()) == pdu


def test_every_recycling_pdu_of_the_table_can_be_built() -> None:
    recycled = {name for names in RTS_PDUS.values() for name in names if name.startswith(("IN_R", "OUT_R"))}
    assert recycled == {name for pdu, _, _ in TABLE.values() for name in pdu.names}
    assert len(recycled) == len(TABLE) == 36
