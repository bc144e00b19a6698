"""SPNEGO tokens against those of pyspnego and of Windows."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadgen.errors import WireError
from loadgen.wire import spnego
from loadgen.wire.ntlm import message_type
from loadgen.wire.spnego import NegTokenInit, NegTokenResp

LEGS = ("leg_1", "leg_2", "leg_3", "leg_4")


@pytest.mark.parametrize("name", LEGS)
def test_both_directions(vector, name):
    wire = vector(f"spnego/{name}.hex")
    assert spnego.decode(wire).encode() == wire


@pytest.mark.parametrize("name", [*LEGS, "hints"])
def test_every_truncation_is_noticed(vector, name):
    wire = vector(f"spnego/{name}.hex")
    for size in range(len(wire)):
        with pytest.raises(WireError):
            spnego.decode(wire[:size])


def test_a_negotiation_with_ntlm_inside(vector):
    first, second, third, fourth = (spnego.decode(vector(f"spnego/{name}.hex")) for name in LEGS)
    assert first.mech_types == (spnego.NTLMSSP,)
    assert [message_type(token) for token in (first.mech_token, second.response_token)] == [1, 2]
    assert (second.neg_state, second.supported_mech) == (spnego.REQUEST_MIC, spnego.NTLMSSP)
    assert message_type(third.response_token) == 3
    assert len(third.mech_list_mic) == 16
    assert (fourth.neg_state, fourth.response_token) == (spnego.ACCEPT_COMPLETED, None)
    assert first.mech_list in vector("spnego/leg_1.hex")


def test_hints_are_skipped(vector):
    token = spnego.decode(vector("spnego/hints.hex"))
    assert token == NegTokenInit((spnego.MS_KERBEROS, spnego.KERBEROS, spnego.NTLMSSP))


def test_the_frame_may_be_missing():
    token = NegTokenInit((spnego.NTLMSSP,), b"token")
    inner = token.encode()[2 + 2 + len(spnego.SPNEGO) :]
    assert spnego.decode(inner) == token


@pytest.mark.parametrize(
    ("token", "field"),
    [
        ("", "NegotiationToken"),
        ("a000", "NegotiationToken"),
        ("a00430020500ff", "NegotiationToken"),
        ("a1023080", "length of NegotiationToken"),
        ("a107308500000000", "NegotiationToken"),
        ("a1073085000000000000", "NegotiationToken"),
        ("a10730850000000000", "length of NegotiationToken"),
        ("a2023000", "NegotiationToken"),
        ("60080605010203040500", "thisMech"),
        ("60020500", "thisMech"),
        ("a1073005a0030a0200", "negState"),
        ("a1083006a0040a020000", "negState"),
        ("a1073005a003040100", "negState"),
        ("a0093007a0053003040100", "MechType"),
        ("a1093007a0050a01000500", "negState"),
    ],
)
def test_what_is_refused(token, field):
    with pytest.raises(WireError) as refusal:
        spnego.decode(bytes.fromhex(token))
    assert refusal.value.field == field


def test_an_empty_list_of_mechanisms():
    assert spnego.decode(bytes.fromhex("a0023000")) == NegTokenInit(())


BLOB = st.none() | st.binary(max_size=300)


@given(
    st.one_of(
        st.builds(
            NegTokenInit, st.lists(st.binary(min_size=1, max_size=12), max_size=4).map(tuple), BLOB, BLOB
        ),
        st.builds(NegTokenResp, st.none() | st.integers(0, 3), BLOB, BLOB, BLOB),
    )
)
def test_round_trip(value):
    assert spnego.decode(value.encode()) == value
