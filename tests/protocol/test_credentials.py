"""What a user is called, by whom."""

import pytest

from loadgen.protocol.credentials import Credentials


@pytest.mark.parametrize(
    ("user", "domain", "principal"),
    [
        ("alice", "", "alice"),
        ("alice@contoso.test", "", "alice@CONTOSO.TEST"),
        ("alice", "CONTOSO", "alice"),
        ("CONTOSO\\alice", "", "alice"),
        ("alice", "contoso.test", "alice@CONTOSO.TEST"),
        ("alice@fabrikam.test", "contoso.test", "alice@FABRIKAM.TEST"),
    ],
)
def test_principals(user, domain, principal):
    assert Credentials(user, "secret", domain).principal == principal
