"""What is said to the web server about the user."""

import pytest

from loadgen.protocol.http_authentication import BasicAuthentication, schemes


def test_basic_is_said_once_and_at_once():
    """The value is the example of RFC 7617 section 2."""
    basic = BasicAuthentication("Aladdin", "open sesame")
    leg = basic.first_leg()
    assert leg.final
    assert leg.authorization == "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=="
    assert basic.answer(("Basic",)) is None


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
