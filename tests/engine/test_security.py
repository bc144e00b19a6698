"""What a campaign's keys of security mean for connections."""

import pytest

from loadgen.client.account import RpcProxy
from loadgen.client.tls_settings import TlsSettings
from loadgen.client.transport import ConnectionOptions
from loadgen.engine.security import connection_options, secured
from loadgen.workload.campaign import Campaign


@pytest.mark.parametrize(
    ("auth", "tried"),
    [
        ("basic", ("basic",)),
        ("anonymous", ("anonymous",)),
        ("auto", ("negotiate", "ntlm", "basic")),
        (("ntlm", "basic"), ("ntlm", "basic")),
    ],
)
def test_what_is_tried(auth, tried):
    assert connection_options(Campaign(auth=auth)).auth == tried


def test_the_calls_are_secured_as_the_campaign_says():
    assert connection_options(Campaign()) == ConnectionOptions()
    options = connection_options(Campaign(rpc_security="privacy", rpc_mechanism="negotiate"))
    assert (options.rpc_security, options.rpc_mechanism) == ("privacy", "negotiate")


def test_the_campaign_goes_before_what_the_target_says():
    """A mock brings its own authority; everything else is the campaign's to say."""
    proxy = RpcProxy("mail.contoso.test", 443, True, tls_settings=TlsSettings(ca_file="mock.pem"))
    assert secured(proxy, Campaign()) == proxy
    campaign = Campaign(
        ca_file="own.pem", client_certificate="me.pem", client_key="me.key", tls_minimum="1.3"
    )
    settings = TlsSettings(ca_file="own.pem", client_certificate="me.pem", client_key="me.key", minimum="1.3")
    assert secured(proxy, campaign).tls_settings == settings
    assert secured(proxy, Campaign(tls_insecure=True)).tls_settings.insecure
