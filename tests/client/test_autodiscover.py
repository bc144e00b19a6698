"""Every way to a mailbox's settings and off it, with a scripted web in place of the real one."""

from types import SimpleNamespace

import pytest

from loadgen.client import autodiscover
from loadgen.client.account import Credentials, RpcProxy
from loadgen.client.autodiscover import MOST_REDIRECTS, PATH, Autodiscover, scheme_to_begin_with, url_of
from loadgen.client.http_fetch import HttpAnswer
from loadgen.errors import RemoteProtocolError, TransportError, Unauthorized
from loadgen.wire.autodiscover import AutodiscoverRequest, WebServer
from tests.conftest import read_vector

USER = "u001@example.test"
FOUND = HttpAnswer(200, "OK", body=read_vector("autodiscover/gromox-answer.hex"))
DOMAIN = f"https://example.test{PATH}"
PREFIXED = f"https://autodiscover.example.test{PATH}"
PLAIN = f"http://autodiscover.example.test{PATH}"
REFUSED = HttpAnswer(401, "Unauthorized", challenges=('Basic realm="x"', "NTLM"))


def moved(location):
    return HttpAnswer(302, "Found", location)


def says(inner):
    return HttpAnswer(200, "OK", body=f"<Autodiscover><Response>{inner}</Response></Autodiscover>".encode())


class Web:
    """Answers by URL, or by (URL, address asked for); anything else is unreachable."""

    def __init__(self, answers):
        self.answers = answers
        self.asked = []

    async def get(self, url):
        return self._answer(f"GET {url}", url)

    async def post(self, url, body):
        address = AutodiscoverRequest.decode(body).address
        return self._answer(f"POST {url}", (url, address) if (url, address) in self.answers else url)

    def _answer(self, asked, key):
        self.asked.append(asked)
        if key not in self.answers:
            raise TransportError("Connection refused")
        return self.answers[key]


async def nothing_in_dns(domain):
    return ()


async def find(answers, url="", services=nothing_in_dns):
    web = Web(answers)
    return await Autodiscover(web, services).find(USER, url), web.asked


async def test_the_domain_itself_is_asked_first():
    found, asked = await find({DOMAIN: FOUND, PREFIXED: FOUND})
    assert asked == [f"POST {DOMAIN}"]
    assert (found.url, found.attempts, found.settings.address) == (DOMAIN, (), USER)


async def test_each_step_that_fails_leads_to_the_next():
    elsewhere = f"https://mail.example.org{PATH}"
    found, asked = await find(
        {DOMAIN: HttpAnswer(404, "Not Found"), PREFIXED: REFUSED, PLAIN: moved(elsewhere), elsewhere: FOUND}
    )
    assert asked == [f"POST {DOMAIN}", f"POST {PREFIXED}", f"GET {PLAIN}", f"POST {elsewhere}"]
    assert found.url == elsewhere
    assert found.attempts == (
        f"{DOMAIN}: HTTP 404 Not Found",
        f"{PREFIXED}: HTTP 401 Unauthorized: the credentials are not taken; offered: Basic, NTLM",
    )


async def test_the_dns_is_asked_last():
    named = f"https://mail.example.org:444{PATH}"

    async def services(domain):
        assert domain == "example.test"
        return (f"https://down.example.org{PATH}", named)

    found, asked = await find({named: FOUND}, services=services)
    assert found.url == named
    assert [each.split()[0] for each in asked] == ["POST", "POST", "GET", "POST", "POST"]
    assert len(found.attempts) == 4


async def test_a_given_address_is_the_only_one_asked():
    _, asked = await find({f"https://mail.example.org{PATH}": FOUND}, "https://mail.example.org")
    assert asked == [f"POST https://mail.example.org{PATH}"]
    with pytest.raises(TransportError, match=r"mail\.example\.org.*Connection refused"):
        await find({DOMAIN: FOUND}, "https://mail.example.org/here")


@pytest.mark.parametrize(
    ("base", "url"),
    [
        ("https://mail.example.org", f"https://mail.example.org{PATH}"),
        ("http://127.0.0.1:8880/", f"http://127.0.0.1:8880{PATH}"),
        ("https://mail.example.org/Autodiscover/x.xml", "https://mail.example.org/Autodiscover/x.xml"),
    ],
)
def test_a_base_gets_the_well_known_path(base, url):
    assert url_of(base) == url


async def test_redirects_of_all_three_kinds_are_followed():
    second = "https://two.example.org/a.xml"
    found, asked = await find(
        {
            (DOMAIN, USER): moved("/other.xml"),
            "https://example.test/other.xml": says(f"<Account><RedirectUrl>{second}</RedirectUrl></Account>"),
            second: says("<Account><RedirectAddr>new@example.test</RedirectAddr></Account>"),
            (DOMAIN, "new@example.test"): FOUND,
        }
    )
    assert asked == [
        f"POST {DOMAIN}",
        "POST https://example.test/other.xml",
        f"POST {second}",
        f"POST {DOMAIN}",
    ]
    assert found.attempts == (f"{USER} is new@example.test",)


@pytest.mark.parametrize(
    ("answers", "problem"),
    [
        ({DOMAIN: moved(DOMAIN)}, "more than|in a circle"),
        ({DOMAIN: moved(PREFIXED), PREFIXED: moved(DOMAIN)}, f"in a circle: {DOMAIN} redirects to"),
        (
            {DOMAIN: says(f"<Account><RedirectAddr>{USER.upper()}</RedirectAddr></Account>")},
            "in a circle: .* is redirected to",
        ),
        (
            {DOMAIN: moved("/0")} | {f"https://example.test/{n}": moved(f"/{n + 1}") for n in range(20)},
            f"more than {MOST_REDIRECTS} times",
        ),
    ],
)
async def test_a_search_without_end_is_ended(answers, problem):
    web = Web(answers)
    with pytest.raises(RemoteProtocolError, match=problem):
        await Autodiscover(web, nothing_in_dns).find(USER)
    assert len(web.asked) <= MOST_REDIRECTS + 1


async def test_a_password_is_not_sent_where_a_redirect_is_not_protected():
    with pytest.raises(TransportError, match=r"redirected to http://example\.test/x, which is not https"):
        await find({DOMAIN: moved("http://example.test/x")})
    with pytest.raises(TransportError, match="which is not https"):
        await find({DOMAIN: moved("http://example.test/x")}, "https://example.test")


async def test_who_asks_without_protection_may_be_redirected_without():
    start = f"http://127.0.0.1:1{PATH}"
    found, _ = await find({start: moved("/next"), "http://127.0.0.1:1/next": FOUND}, "http://127.0.0.1:1")
    assert found.url == "http://127.0.0.1:1/next"


async def test_that_a_password_was_refused_says_most():
    with pytest.raises(Unauthorized) as caught:
        await find({PREFIXED: REFUSED})
    assert caught.value.schemes == ("Basic", "NTLM")
    text = str(caught.value)
    assert text.startswith(f"Autodiscover for {USER}: {DOMAIN}: Connection refused; {PREFIXED}: HTTP 401")


@pytest.mark.parametrize(
    ("answer", "problem"),
    [
        (says("<Error><ErrorCode>500</ErrorCode><Message>no such</Message></Error>"), "error 500: no such"),
        (says("<Error/>"), "error 0: no reason given"),
        (HttpAnswer(200, "OK", body=b"<html>"), "not XML"),
        (HttpAnswer(503, "Busy"), "HTTP 503 Busy"),
        (HttpAnswer(302, "Found"), "HTTP 302 Found, and no redirect"),
    ],
)
async def test_an_answer_that_says_nothing_is_told_with_its_reason(answer, problem):
    with pytest.raises(TransportError) as caught:
        await find({DOMAIN: answer}, DOMAIN)
    assert problem in str(caught.value)


class Record:
    def __init__(self, priority, weight, target, port):
        self.priority, self.weight, self.port = priority, weight, port
        self.target = type("Name", (), {"to_text": lambda self, omit_final_dot: target})()


async def test_services_of_the_dns_come_in_the_order_of_preference(monkeypatch):
    async def resolve(name, kind, lifetime):
        assert (name, kind) == ("_autodiscover._tcp.example.test", "SRV")
        return [Record(1, 5, "b.x", 443), Record(0, 1, "c.x", 444), Record(0, 9, "a.x", 443)]

    monkeypatch.setattr(autodiscover.dns.asyncresolver, "resolve", resolve)
    assert await autodiscover.named_in_dns("example.test") == (
        f"https://a.x{PATH}",
        f"https://c.x:444{PATH}",
        f"https://b.x{PATH}",
    )


async def test_a_domain_without_services_has_none(monkeypatch):
    async def resolve(name, kind, lifetime):
        raise autodiscover.dns.exception.Timeout

    monkeypatch.setattr(autodiscover.dns.asyncresolver, "resolve", resolve)
    assert await autodiscover.named_in_dns("example.test") == ()


@pytest.mark.parametrize(
    ("package", "tls", "passwords", "scheme"),
    [
        ("ntlm", False, ("", "secret"), "ntlm"),
        ("kerb", True, ("secret",), "negotiate"),
        ("basic", True, ("secret", "other"), "basic"),
        ("basic", True, ("secret", ""), None),
        ("basic", False, ("secret",), None),
        ("certificate", True, ("secret",), None),
    ],
)
def test_the_scheme_that_is_published(package, tls, passwords, scheme):
    """Basic never without TLS, nor where an account has but an NT hash."""
    settings = SimpleNamespace(web_server=WebServer("EXPR", "mail", tls, package, ""))
    accounts = [SimpleNamespace(credentials=Credentials("a", password)) for password in passwords]
    assert scheme_to_begin_with(settings, RpcProxy("mail", 443, tls), accounts) == scheme


@pytest.mark.parametrize("settings", [None, SimpleNamespace(web_server=None)])
def test_no_scheme_is_published(settings):
    assert scheme_to_begin_with(settings, RpcProxy("mail", 443, True), ()) is None
