"""What Autodiscover publishes and a campaign does not do."""

from types import SimpleNamespace

import pytest

from loadgen.client.account import RpcProxy
from loadgen.client.dialect import Ports
from loadgen.engine import published
from loadgen.engine.published import look_at_settings, ports_of
from loadgen.errors import TlsFailed
from loadgen.wire.autodiscover import WebServer
from loadgen.workload.campaign import Campaign

PROXY = RpcProxy("mail.example.test", 443, tls=True)
FITTING = {
    "kind": "EXPR",
    "host": "mail.example.test",
    "tls": True,
    "auth_package": "basic",
    "certificate_name": "mail.example.test",
}


@pytest.fixture(autouse=True)
def certificate(monkeypatch):
    """Puts names of a certificate, or an error, in the place of the server's."""

    def put(names):
        async def look(proxy, timeout_s):
            if isinstance(names, Exception):
                raise names
            return SimpleNamespace(names=names)

        monkeypatch.setattr(published, "look_at_tls", look)

    put("other.example.test, Mail.example.test")
    return put


def publishing(**changes):
    return SimpleNamespace(web_server=WebServer(**(FITTING | changes)))


@pytest.mark.parametrize("settings", [None, SimpleNamespace(web_server=None), publishing()])
async def test_what_fits_or_is_not_said(settings):
    assert await look_at_settings(settings, Campaign(), PROXY) == []


@pytest.mark.parametrize(
    ("changes", "auth", "warning"),
    [
        (
            {"host": "outside.example.test"},
            "basic",
            "Autodiscover names outside.example.test for RPC over HTTP; the load goes to mail.example.test",
        ),
        ({"tls": False}, "basic", "Autodiscover wants http for RPC over HTTP, and the target is https"),
        (
            {"auth_package": "ntlm"},
            "basic",
            "Autodiscover wants ntlm as HTTP authentication, and auth allows basic; "
            "if the server refuses that, say --auth ntlm",
        ),
        (
            {"auth_package": "nego2"},
            ("basic", "anonymous"),
            "Autodiscover wants negotiate as HTTP authentication, and auth allows basic, anonymous; "
            "if the server refuses that, say --auth negotiate",
        ),
        (
            {"certificate_name": "*.example.test"},
            "basic",
            "Autodiscover publishes the certificate name *.example.test, and the certificate is for "
            "other.example.test, Mail.example.test: Outlook would refuse it",
        ),
    ],
)
async def test_what_does_not_fit_is_a_warning(changes, auth, warning):
    assert await look_at_settings(publishing(**changes), Campaign(auth=auth), PROXY) == [warning]


@pytest.mark.parametrize("package", ["ntlm", "negotiate", "kerb", "basic"])
async def test_auto_is_everything(package):
    assert await look_at_settings(publishing(auth_package=package), Campaign(auth="auto"), PROXY) == []


@pytest.mark.parametrize("package", ["", "certificate"])
async def test_what_nobody_can_choose_is_not_asked_for(package):
    assert await look_at_settings(publishing(auth_package=package), Campaign(), PROXY) == []


async def test_no_certificate_is_found_by_the_first_user(certificate):
    certificate(TlsFailed("TLS: no"))
    assert await look_at_settings(publishing(), Campaign(), PROXY) == []


def test_ports_that_are_published():
    settings = SimpleNamespace(store_port=7001, referral_port=0, directory_port=65_536)
    assert ports_of(settings, Ports()) == Ports(store=7001, referral=6002, directory=6004)
