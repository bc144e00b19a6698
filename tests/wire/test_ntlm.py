"""NTLM messages against the examples of [MS-NLMP] and recorded ones."""

import hmac

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadgen.errors import WireError
from loadgen.wire import ntlm
from loadgen.wire.buffer import Writer
from loadgen.wire.ntlm import (
    Authenticate,
    AvId,
    AvPair,
    Challenge,
    MessageSignature,
    Negotiate,
    NtlmV2Response,
    text_pair,
)

WINDOWS_SIGNED = 0xE28A8235
NTOWF_V2 = bytes.fromhex("0c868a403bfd7a93a3001ef22ef02e3f")  # [MS-NLMP] 4.2.4.1.1
DECODERS = {"negotiate": Negotiate, "challenge": Challenge, "authenticate": Authenticate}
VECTORS = [
    *("challenge_nlmp", "authenticate_nlmp", "negotiate_pyspnego", "challenge_pyspnego"),
    *("authenticate_pyspnego", "negotiate_http_recorded", "challenge_http_recorded"),
    *("authenticate_http_recorded", "negotiate_rpc_recorded", "challenge_rpc_recorded"),
    "authenticate_rpc_recorded",
]
AS_WINDOWS_WRITES = (
    *("challenge_nlmp", "authenticate_nlmp", "negotiate_pyspnego", "challenge_pyspnego"),
    *("challenge_http_recorded", "challenge_rpc_recorded"),
)


def decode(name, data):
    return DECODERS[name.partition("_")[0]].decode(data)


@pytest.mark.parametrize("name", VECTORS)
def test_values_survive_our_own_layout(vector, name):
    value = decode(name, vector(f"ntlm/{name}.hex"))
    assert decode(name, value.encode()) == value


@pytest.mark.parametrize("name", AS_WINDOWS_WRITES)
def test_what_is_laid_out_as_windows_does_comes_back_byte_for_byte(vector, name):
    wire = vector(f"ntlm/{name}.hex")
    assert decode(name, wire).encode() == wire


@pytest.mark.parametrize("name", VECTORS)
def test_every_truncation_is_noticed_or_leaves_nothing_out(vector, name):
    wire = vector(f"ntlm/{name}.hex")
    whole = decode(name, wire)
    for size in range(len(wire)):
        try:
            value = decode(name, wire[:size])
        except WireError:
            continue
        assert isinstance(whole, Negotiate)
        assert value.flags == whole.flags


def test_the_challenge_of_the_specification(vector):
    assert Challenge.decode(vector("ntlm/challenge_nlmp.hex")) == Challenge(
        0xE28A8233,
        bytes.fromhex("0123456789abcdef"),
        "Server",
        (text_pair(AvId.NB_DOMAIN_NAME, "Domain"), text_pair(AvId.NB_COMPUTER_NAME, "Server")),
        bytes.fromhex("060070170000000f"),
    )


def test_the_authenticate_of_the_specification(vector):
    message = Authenticate.decode(vector("ntlm/authenticate_nlmp.hex"))
    assert (message.domain, message.user, message.workstation) == ("Domain", "User", "COMPUTER")
    assert message.session_key.hex() == "c5dad2544fc9799094ce1ce90bc9d03e"
    assert (message.version.hex(), message.mic) == ("0501280a0000000f", b"")
    response = NtlmV2Response.decode(message.nt_response)
    assert response.proof.hex() == "68cd0ab851e51c96aabc927bebef6a1c"
    assert response.encode() == message.nt_response
    assert not response.has_mic
    challenge = bytes.fromhex("0123456789abcdef")
    assert hmac.digest(NTOWF_V2, challenge + message.nt_response[16:], "md5") == response.proof


def test_a_recorded_authenticate_with_mic(vector):
    wire = vector("ntlm/authenticate_pyspnego.hex")
    message = Authenticate.decode(wire)
    assert (message.flags, message.domain, message.user) == (WINDOWS_SIGNED, "EXAMPLE", "user0001")
    assert message.mic == wire[ntlm.MIC_SLICE] == bytes.fromhex("50c83420e8ffa89c79475d4a0b69d37c")
    response = NtlmV2Response.decode(message.nt_response)
    assert response.has_mic
    assert response.trailer == bytes(4)
    assert response.encode() == message.nt_response


def test_a_recorded_authenticate_without_version(vector):
    message = Authenticate.decode(vector("ntlm/authenticate_rpc_recorded.hex"))
    assert (message.user, message.domain, message.workstation) == ("u001@example.test", "", "")
    assert (message.version, message.mic) == (b"", b"")
    assert NtlmV2Response.decode(message.nt_response).trailer == b""


def test_oem_text_keeps_its_bytes():
    oem = Authenticate(ntlm.NEGOTIATE_OEM, "zoë", "CONTOSO", "PC")
    assert b"zo\xeb" in oem.encode()
    assert Authenticate.decode(oem.encode()) == oem


def test_a_negotiate_may_be_nothing_but_flags():
    assert Negotiate.decode(ntlm.SIGNATURE + b"\x01\0\0\0\x07\x82\x08\0") == Negotiate(0x00088207)


@pytest.mark.parametrize(
    ("kind", "data", "field"),
    [
        (Negotiate, b"NTLMSSP\0\x02\0\0\0\0\0\0\0", "MessageType"),
        (Negotiate, b"NTLMSSQ\0\x01\0\0\0\0\0\0\0", "Signature"),
        (Challenge, Challenge(1, bytes(8), target_info=(AvPair(1, b"x"),)).encode()[:-1], "TargetInfo"),
        (NtlmV2Response, bytes(44), "RespType"),
        (NtlmV2Response, bytes(15), "Response"),
        (NtlmV2Response, bytes(16) + b"\1\1" + bytes(26) + b"\0\0\1\0", "MsvAvEOL"),
        (MessageSignature, bytes(16), "Version"),
        (MessageSignature, b"\1" + bytes(16), "NTLMSSP_MESSAGE_SIGNATURE"),
        (MessageSignature, b"\1" + bytes(14), "NTLMSSP_MESSAGE_SIGNATURE"),
    ],
)
def test_what_is_refused(kind, data, field):
    with pytest.raises(WireError) as refusal:
        kind.decode(data)
    assert refusal.value.field == field


def test_text_that_is_no_utf_16():
    message = Authenticate(ntlm.NEGOTIATE_UNICODE, "abcd").encode().replace(b"a\0b\0", b"\0\xd8b\0")
    with pytest.raises(WireError, match="UserName"):
        Authenticate.decode(message)


def test_signature_of_the_specification():
    """[MS-NLMP] 4.2.4.4."""
    wire = bytes.fromhex("010000007fb38ec5c55d497600000000")
    assert MessageSignature.decode(wire) == MessageSignature(bytes.fromhex("7fb38ec5c55d4976"), 0)
    assert MessageSignature.decode(wire).encode() == wire


FLAGS = st.integers(0, 0xFFFFFFFF)
TEXT = st.text(st.characters(max_codepoint=255), max_size=20)
VERSION = st.sampled_from((b"", bytes(8)))
SHORT = st.binary(max_size=40)
PAIRS = st.lists(st.builds(AvPair, st.integers(1, 0xFFFF), SHORT), max_size=4).map(tuple)
BYTES8 = st.binary(min_size=8, max_size=8)


@given(
    st.one_of(
        st.builds(Negotiate, FLAGS, TEXT, TEXT, VERSION),
        st.builds(Challenge, FLAGS, BYTES8, TEXT, st.none() | PAIRS, VERSION),
        st.builds(Authenticate, FLAGS, TEXT, TEXT, TEXT, SHORT, SHORT, SHORT, VERSION),
        st.builds(Authenticate, FLAGS, TEXT, version=st.just(bytes(8)), mic=st.just(bytes(16))),
        st.builds(
            NtlmV2Response,
            st.binary(min_size=16, max_size=16),
            st.integers(0, 2**64 - 1),
            BYTES8,
            PAIRS,
            st.sampled_from((b"", bytes(4))),
        ),
        st.builds(MessageSignature, BYTES8, FLAGS),
    )
)
def test_round_trip(value):
    assert type(value).decode(value.encode()) == value


@given(PAIRS)
def test_av_pairs_end_with_eol(pairs):
    writer = Writer()
    ntlm.write_av_pairs(writer, pairs)
    assert writer.getvalue()[-4:] == bytes(4)
