import pytest

from loadgen.wire.autodiscover import AutodiscoverRequest, MailboxSettings, Refusal, decode_answer
from mock_server.autodiscover import Autodiscover
from mock_server.topology_file import read_topology


@pytest.fixture
def service():
    topology = read_topology("small")
    return Autodiscover(topology, topology.directory())


def test_a_mailbox_is_described(service):
    settings = decode_answer(
        service.answer(AutodiscoverRequest("USER00002@contoso.test").encode(), "mail.x:8080")
    )
    assert isinstance(settings, MailboxSettings)
    assert (settings.display_name, settings.address) == ("User 00002", "user00002@contoso.test")
    assert settings.legacy_dn == "/o=Contoso/ou=First Administrative Group/cn=Recipients/cn=user00002"
    assert (settings.server, settings.public_folder_server) == ("mbx1.contoso.test", "PF1")
    assert settings.server_version == (8, 1, 240)
    server = settings.web_server
    assert server is not None
    assert (server.host, server.tls, server.auth_package) == ("mail.x", False, "basic")


@pytest.mark.parametrize(
    ("body", "code"), [(AutodiscoverRequest("nobody@contoso.test").encode(), 500), (b"", 600), (b"<x/>", 600)]
)
def test_what_cannot_be_answered_is_an_error_within_the_answer(service, body, code):
    answer = decode_answer(service.answer(body, "mail.x"))
    assert isinstance(answer, Refusal)
    assert answer.code == code
