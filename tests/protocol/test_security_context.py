"""Tokens and signatures against the example of [MS-NLMP] 4.2.4, and tokens that nobody would send."""

from types import SimpleNamespace
from unittest.mock import Mock

import pytest
import spnego
from hypothesis import given
from hypothesis import strategies as st
from spnego.exceptions import NoCredentialError

from loadgen.errors import PeerError
from loadgen.protocol.credentials import Credentials
from loadgen.protocol.security_context import SecurityContext, missing_ticket
from tests.conftest import read_vector

from . import acceptor

# [MS-NLMP] 4.2.4.3: CHALLENGE_MESSAGE of the NTLM v2 example.
CHALLENGE = bytes.fromhex(
    "4e544c4d53535000 02000000 0c000c00 38000000 33828ae2 0123456789abcdef 0000000000000000"
    "24002400 44000000 06007017 0000000f 530065007200760065007200"
    "02000c0044006f006d00610069006e00 01000c00530065007200760065007200 00000000"
)
USER = Credentials("User", "Password", "Domain")


def test_sealing_as_in_the_specification(monkeypatch):
    """4.2.4.4: the session key is 16 times 0x55, the text "Plaintext", the sequence number 0."""
    drawn = {8: b"\xaa" * 8, 16: b"\x55" * 16}
    monkeypatch.setattr("spnego._ntlm.os", SimpleNamespace(urandom=drawn.get, environ={}))
    context = SecurityContext("ntlm", USER, "host", "Server")
    context.first_token()
    context.answer(CHALLENGE)
    body, token = context.seal(b"", "Plaintext".encode("utf-16-le"), b"")
    assert body.hex() == "54e50165bf1936dc996020c1811b0f06fb5f"
    assert token.hex() == "010000007fb38ec5c55d497600000000"


@given(
    st.sampled_from(["ntlm", "negotiate"]),
    st.lists(st.tuples(st.integers(0, 400), st.integers(0, 255)), max_size=4),
    st.integers(0, 400),
    st.binary(max_size=8),
)
def test_rubbish_is_the_servers_fault(mechanism, changes, size, more):
    context = SecurityContext(mechanism, USER, "host", "Server", dce=True)
    context.first_token()
    token = bytearray(read_vector("pdu/bind_ack_ntlm.hex")[-0xCA:])
    for place, value in changes:
        token[place % len(token)] = value
    try:
        answer = context.answer(bytes(token[:size]) + more)
    except PeerError:
        return
    assert b"NTLMSSP\0" in answer


@pytest.mark.parametrize("error", [ImportError("no gssapi"), NoCredentialError()])
def test_why_there_is_no_ticket(monkeypatch, error):
    monkeypatch.setattr("spnego.client", Mock(side_effect=error))
    assert missing_ticket(USER, "HTTP", "mail") == str(error)


def test_a_ticket_is_there(monkeypatch):
    client = Mock()
    monkeypatch.setattr("spnego.client", client)
    assert missing_ticket(Credentials("alice@contoso.test", ""), "HTTP", "mail") == ""
    (tickets,), named = client.call_args
    assert [ticket.username for ticket in tickets] == ["alice@CONTOSO.TEST"]
    assert named == {"hostname": "mail", "service": "HTTP", "protocol": "kerberos"}


@pytest.mark.parametrize("mechanism", ["ntlm", "negotiate"])
def test_ntlm_has_signatures_of_one_size(tmp_path, monkeypatch, mechanism):
    acceptor.add_account(tmp_path / "accounts", monkeypatch)
    known = Credentials(acceptor.USER, acceptor.PASSWORD)
    context = SecurityContext(mechanism, known, "host", "Server", dce=True)
    server = spnego.server(protocol=mechanism, options=acceptor.OPTIONS[mechanism])
    said = context.first_token()
    while not context.complete:
        answer = server.step(said)
        said = context.answer(answer) if answer else b""
    assert [context.token_size(sealed=sealed) for sealed in (False, True)] == [16, 16]
