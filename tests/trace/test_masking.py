"""Secrets go, all else stays, and nothing changes its place."""

from base64 import b64decode, b64encode

import pytest

from loadgen.trace.masking import carries_ticket, masked
from tests.conftest import read_vector

AUTHENTICATE = ("authenticate_nlmp", "authenticate_pyspnego", "authenticate_http_recorded")
NT_RESPONSE, SESSION_KEY, USER_NAME = 20, 52, 36
TICKET = bytes.fromhex("2a864886f7120102020100")
"""How the token of a Kerberos client begins, from its mechanism on."""


def head(authorization: bytes) -> bytes:
    return (
        b"RPC_IN_DATA /rpc HTTP/1.1\r\nHost: x\r\nAuthorization: " + authorization + b"\r\nAccept: y\r\n\r\n"
    )


def value_of(data: bytes) -> bytes:
    return data.split(b"Authorization: ")[1].split(b"\r\n")[0]


def field(token: bytes, place: int) -> bytes:
    length = int.from_bytes(token[place : place + 2], "little")
    offset = int.from_bytes(token[place + 4 : place + 8], "little")
    return token[offset : offset + length]


def test_of_basic_the_password_goes():
    plain = head(b"Basic " + b64encode(b"alice@example.test:Pass:word"))
    assert len(masked(plain)) == len(plain)
    assert b64decode(value_of(masked(plain))[6:]) == b"alice@example.test:*********"


@pytest.mark.parametrize("name", AUTHENTICATE)
@pytest.mark.parametrize("scheme", [b"NTLM", b"Negotiate"])
def test_of_ntlm_all_goes_that_proves(name, scheme):
    token = read_vector(f"ntlm/{name}.hex")
    plain = head(scheme + b" " + b64encode(token))
    found = masked(plain)
    assert len(found) == len(plain)
    blotted = b64decode(value_of(found)[len(scheme) + 1 :])
    assert field(token, NT_RESPONSE).strip(b"\0")
    for place in (NT_RESPONSE, SESSION_KEY):
        assert not field(blotted, place).strip(b"\0")
    assert field(blotted, USER_NAME) == field(token, USER_NAME)
    assert found.replace(value_of(found), b"") == plain.replace(value_of(plain), b"")


def test_within_pdus_too():
    token = read_vector("ntlm/authenticate_rpc_recorded.hex")
    pdu = b"\5\0\x10\3" + bytes(20) + token
    assert len(masked(pdu)) == len(pdu)
    assert not field(masked(pdu)[24:], NT_RESPONSE).strip(b"\0")


@pytest.mark.parametrize("name", ["negotiate_http_recorded", "challenge_http_recorded"])
def test_what_proves_nothing_stays(name):
    data = head(b"NTLM " + b64encode(read_vector(f"ntlm/{name}.hex")))
    assert masked(data) == data


@pytest.mark.parametrize("cut", [12, 40, 63, 70, 90, 200])
def test_a_broken_token_is_no_accident(cut):
    token = read_vector("ntlm/authenticate_nlmp.hex")[:cut]
    data = head(b"NTLM " + b64encode(token))
    assert len(masked(data)) == len(data)


def test_a_ticket_goes():
    ticket = TICKET + b"\x6e" + b"ticket" * 20
    found = b64decode(value_of(masked(head(b"Negotiate " + b64encode(b"\x60\x82" + ticket))))[10:])
    assert b"ticket" not in found
    assert len(found) == len(ticket) + 2


@pytest.mark.parametrize(
    ("token", "carries"),
    [(b64encode(b"\x60\x82" + TICKET).decode(), True), (b64encode(b"NTLMSSP").decode(), False), ("*", False)],
)
def test_what_is_a_ticket(token, carries):
    assert carries_ticket(token) is carries


@pytest.mark.parametrize("value", [b"Bearer secret-of-some-kind", b"Basic not*base64"])
def test_what_is_not_known_goes_whole(value):
    scheme, _, secret = value.partition(b" ")
    assert value_of(masked(head(value))) == scheme + b" " + b"*" * len(secret)
