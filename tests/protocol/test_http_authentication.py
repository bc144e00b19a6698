"""What is said to the web server about the user, and heard by pyspnego's acceptor."""

from base64 import b64decode, b64encode
from unittest.mock import Mock

import pytest
import spnego
from spnego.channel_bindings import GssChannelBindings

from loadgen.errors import RemoteProtocolError, Unauthorized
from loadgen.protocol.credentials import Credentials
from loadgen.protocol.http_authentication import (
    STRONGEST_FIRST,
    AnonymousAuthentication,
    BasicAuthentication,
    Candidate,
    candidates,
    schemes,
    still_possible,
)
from loadgen.protocol.security_context import SecurityContext
from loadgen.wire.spnego import NEGOEX, REJECT, NegTokenInit, NegTokenResp

from .acceptor import OPTIONS, PASSWORD, USER, add_account

TOKENS = [("ntlm", "NTLM"), ("ntlm", "Negotiate"), ("negotiate", "Negotiate")]
TYPE_2 = (
    "TlRMTVNTUAACAAAADgAOADgAAAAFAoqi9BHH9DquGYAAAAAAAAAAAEAAQABGAAAABgEAAAAAAA9FAFgAQQBNAFAATABFAAIADgBFAFgA"
    "QQBNAFAATABFAAEADgBFAFgAQQBNAFAATABFAAQAAAADAAQAdgBtAAcACADCWQFc7HndAQAAAAA="
)
"""Recorded from Gromox 3.10, which says it as Negotiate."""


@pytest.fixture
def account(tmp_path, monkeypatch):
    add_account(tmp_path / "accounts", monkeypatch)


def token(leg):
    return b64decode(leg.authorization.partition(" ")[2])


def challenge(name, data):
    return (f"{name} {b64encode(data).decode()}",)


def user(password=PASSWORD):
    return Credentials(USER, password)


def test_basic_is_said_once_and_at_once():
    """The value is the example of RFC 7617 section 2."""
    basic = BasicAuthentication("Aladdin", "open sesame")
    basic.bind(b"makes no difference")
    leg = basic.first_leg()
    assert leg.final
    assert leg.authorization == "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=="
    assert basic.answer(("Basic",)) is None


def test_basic_names_the_domain():
    (candidate,) = candidates(("basic",))
    leg = candidate.authentication(Credentials("alice", "secret", "CONTOSO"), "mail").first_leg()
    assert token(leg) == b"CONTOSO\\alice:secret"


def test_nobody_says_nothing():
    (candidate,) = candidates(("anonymous",))
    anonymous = candidate.authentication(user(), "mail")
    assert isinstance(anonymous, AnonymousAuthentication)
    leg = anonymous.first_leg()
    assert (leg.authorization, leg.final) == (None, True)


@pytest.mark.parametrize(("scheme", "name"), TOKENS)
@pytest.mark.parametrize("said_as", ["NTLM", "Negotiate"])
def test_legs(account, scheme, name, said_as):
    """Whatever the server calls its challenge, the client keeps to the name that it began with."""
    client = Candidate(scheme, name).authentication(user(), "mail")
    server = spnego.server(protocol=scheme, options=OPTIONS[scheme])
    first = client.first_leg()
    assert not first.final
    answer = client.answer(("Basic realm=x", *challenge(said_as, server.step(token(first)))))
    assert answer.final
    assert {leg.authorization.partition(" ")[0] for leg in (first, answer)} == {name}
    server.step(token(answer))
    assert server.complete
    assert server.client_principal == USER


def test_negotiate_understands_raw_ntlm():
    client = Candidate("negotiate", "Negotiate").authentication(user(), "mail")
    client.first_leg()
    leg = client.answer((f"Negotiate {TYPE_2}",))
    assert leg.final
    assert token(leg).startswith(b"NTLMSSP\0\3")


@pytest.mark.parametrize("scheme", ["ntlm", "negotiate"])
def test_the_server_knows_a_wrong_password(account, scheme):
    client = Candidate(scheme, "NTLM").authentication(user("wrong"), "mail")
    server = spnego.server(protocol=scheme, options=OPTIONS[scheme])
    answer = client.answer(challenge("NTLM", server.step(token(client.first_leg()))))
    with pytest.raises(spnego.exceptions.InvalidTokenError):
        server.step(token(answer))


@pytest.mark.parametrize(("scheme", "name"), TOKENS)
def test_channel_bindings(account, scheme, name):
    """A server with Extended Protection takes whom it has a TLS connection with, and nobody else."""
    end_point = b"tls-server-end-point:" + bytes(32)
    for bound, said in ((end_point, end_point), (b"tls-server-end-point:other", None)):
        client = Candidate(scheme, name).authentication(user(), "mail")
        client.bind(bound)
        bindings = GssChannelBindings(application_data=end_point)
        server = spnego.server(protocol=scheme, options=OPTIONS[scheme], channel_bindings=bindings)
        answer = client.answer(challenge(name, server.step(token(client.first_leg()))))
        if said is None:
            with pytest.raises(spnego.exceptions.BadBindingsError):
                server.step(token(answer))
        else:
            server.step(token(answer))
            assert server.complete


@pytest.mark.parametrize(("scheme", "name"), TOKENS)
def test_without_a_challenge_there_is_no_answer(scheme, name):
    client = Candidate(scheme, name).authentication(user(), "mail")
    client.first_leg()
    for challenges in ((), ("NTLM",), ("Negotiate", 'Basic realm="NTLM abc, Negotiate abc"')):
        assert client.answer(challenges) is None


def test_a_second_challenge_is_not_answered():
    client = Candidate("ntlm", "NTLM").authentication(user(), "mail")
    client.first_leg()
    assert client.answer((f"Negotiate {TYPE_2}",)).final
    assert client.answer((f"Negotiate {TYPE_2}",)) is None


@pytest.mark.parametrize(
    ("said", "text"),
    [
        ("NTLM abcde", "the challenge of NTLM is not base64"),
        ("NTLM abcd", "the server's ntlm token is wrong"),
        (f"NTLM {TYPE_2[:60]}", "the server's ntlm token is wrong"),
    ],
)
def test_challenges_that_make_no_sense(said, text):
    client = Candidate("ntlm", "NTLM").authentication(user(), "mail")
    client.first_leg()
    with pytest.raises(RemoteProtocolError, match=text):
        client.answer((said,))


def test_a_ticket_is_final_at_once(monkeypatch):
    monkeypatch.setattr(SecurityContext, "has_ticket", True)
    assert Candidate("negotiate", "Negotiate").authentication(user(), "mail").first_leg().final


REJECTED = challenge("Negotiate", NegTokenResp(REJECT).encode())
"""[RFC 4178] 4.2.2, as Apache's mod_auth_gssapi has it."""


@pytest.mark.parametrize("scheme", ["negotiate", "ntlm"])
def test_a_server_that_knows_kerberos_alone(monkeypatch, scheme):
    """It ends with the first token of NTLM; what else it offers may still do."""
    why = Mock(return_value="no ticket for alice")
    monkeypatch.setattr("loadgen.protocol.http_authentication.missing_ticket", why)
    alice = Credentials("alice", "secret")
    client = Candidate(scheme, "Negotiate").authentication(alice, "mail")
    client.first_leg()
    with pytest.raises(Unauthorized, match="no Kerberos: no ticket for alice; offered: Basic"):
        client.answer((*REJECTED, "Basic realm=x"))
    why.assert_called_once_with(alice, "HTTP", "mail")


def test_a_first_token_of_spnego_is_no_rejection():
    client = Candidate("negotiate", "Negotiate").authentication(user(), "mail")
    client.first_leg()
    with pytest.raises(RemoteProtocolError, match="negotiate token is wrong"):
        client.answer(challenge("Negotiate", NegTokenInit((NEGOEX,)).encode()))


def test_a_ticket_that_is_not_taken(monkeypatch):
    monkeypatch.setattr(SecurityContext, "has_ticket", True)
    client = Candidate("negotiate", "Negotiate").authentication(user(), "mail")
    client.first_leg()
    assert client.answer(REJECTED) is None


@pytest.mark.parametrize(
    ("wanted", "order"),
    [
        (None, "negotiate Negotiate, ntlm NTLM, ntlm Negotiate, basic Basic"),
        ("ntlm", "ntlm NTLM, ntlm Negotiate, negotiate Negotiate, basic Basic"),
        ("basic", "basic Basic, negotiate Negotiate, ntlm NTLM, ntlm Negotiate"),
        ("anonymous", "negotiate Negotiate, ntlm NTLM, ntlm Negotiate, basic Basic"),
    ],
)
def test_what_is_tried(wanted, order):
    tried = candidates(STRONGEST_FIRST, wanted)
    assert ", ".join(f"{candidate.scheme} {candidate.name}" for candidate in tried) == order


@pytest.mark.parametrize(
    ("offered", "left"),
    [
        (("negotiate", "NTLM", "Basic"), ["NTLM", "Negotiate", "Basic"]),
        (("Basic", "Negotiate"), ["Negotiate", "Basic"]),
        (("Basic",), ["Basic"]),
        (("Digest",), []),
    ],
)
def test_what_is_still_possible(offered, left):
    tried = candidates(STRONGEST_FIRST)[1:]
    assert [candidate.name for candidate in still_possible(tried, offered)] == left


@pytest.mark.parametrize(
    ("challenges", "names"),
    [
        ((), ()),
        (("Negotiate", "NTLM", 'Basic realm="mail.example.com"'), ("Negotiate", "NTLM", "Basic")),
        (('Basic realm="msrpc realm", charset="utf-8"', "Negotiate"), ("Basic", "Negotiate")),
        (("NTLM TlRMTVNTUAACAAAA==",), ("NTLM",)),
        (('Negotiate, NTLM, Basic realm="a, b c", charset="utf-8"',), ("Negotiate", "NTLM", "Basic")),
        (('Digest qop="auth", nonce=abc, Bearer',), ("Digest", "Bearer")),
    ],
)
def test_schemes(challenges, names):
    assert schemes(challenges) == names
