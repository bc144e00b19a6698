"""What makes a real RPC proxy a target: address, permission, accounts, and what is discovered of them."""

import socket

import pytest

from loadgen.client.autodiscover import Discovery
from loadgen.engine import endpoint
from loadgen.engine.endpoint import open_endpoint, require_permission, sharing_warnings
from loadgen.errors import ProfileError, TransportError, Unauthorized
from loadgen.wire.autodiscover import MailboxSettings
from loadgen.workload.campaign import Campaign

SETTINGS = MailboxSettings(
    display_name="Ann",
    legacy_dn="/o=E/cn=ann",
    address="",
    server="guid@example.test",
    server_dn="",
    server_version=(15, 0, 847),
    database_dn="",
    rpc_auth_package="",
    public_folder_server="pf.example.test",
    store_port=0,
    referral_port=0,
    directory_port=0,
    web_servers=(),
)
FULL = "mailbox,password,server,dn,display_name\n" + "".join(
    f"u{n}@example.test,secret,MBX1,/o=E/cn=u{n},User {n}\n" for n in range(12)
)
HERE = {"resolve": ("mail.example.test=127.37.2.1", "mail.example.test=127.37.2.2"), "autodiscover": "off"}
URL = "https://mail.example.test"


@pytest.fixture
def users_file(tmp_path):
    def write(text=FULL):
        path = tmp_path / "users.csv"
        path.write_text(text)
        path.chmod(0o600)
        return str(path)

    return write


@pytest.fixture
def finds(monkeypatch):
    """Puts an answer, or an error, in the place of Autodiscover; returns what was asked."""

    def put(answer):
        asked = []

        class Scripted:
            def __init__(self, fetch):
                pass

            async def find(self, address, url):
                asked.append((address, url))
                if isinstance(answer, Exception):
                    raise answer
                return Discovery(answer, URL)

        monkeypatch.setattr(endpoint, "Autodiscover", Scripted)
        return asked

    return put


async def test_an_endpoint_has_a_proxy_for_each_address(users_file, population_of):
    said = []
    campaign = Campaign(users_file=users_file(), **HERE)
    opened = await open_endpoint(f"{URL}:8443/", campaign, population_of(10), said.append)
    assert [(proxy.host, proxy.port, proxy.tls, proxy.addresses) for proxy in opened.proxies] == [
        ("mail.example.test", 8443, True, ("127.37.2.1",)),
        ("mail.example.test", 8443, True, ("127.37.2.2",)),
    ]
    assert opened.accounts.count == 10
    assert opened.accounts.account(3).legacy_dn == "/o=E/cn=u3"
    assert list(opened.counters) == ["kernel"]
    assert said == ["dialect: unknown, since nothing says what server it is"]


async def test_discovery_completes_accounts_and_tells_the_dialect(users_file, population_of, finds):
    asked = finds(SETTINGS)
    campaign = Campaign(
        users_file=users_file("user,password,mailbox,display_name\nD\\ann,pw,ann@x.org,Own\n")
    )
    campaign = Campaign(users_file=campaign.users_file, resolve=HERE["resolve"])
    opened = await open_endpoint(URL, campaign, population_of(1), print)
    account = opened.accounts.account(0)
    assert asked == [("ann@x.org", URL)]
    assert (account.display_name, account.legacy_dn, account.home_server, account.public_server) == (
        "Own",
        "/o=E/cn=ann",
        "guid@example.test",
        "pf.example.test",
    )
    assert (account.smtp, account.user) == ("ann@x.org", "D\\ann")
    assert opened.dialect.name == "exchange2013"


async def test_accounts_that_are_complete_do_without_discovery(users_file, population_of, finds):
    finds(TransportError("no such service"))
    campaign = Campaign(users_file=users_file(), resolve=HERE["resolve"], dialect="gromox")
    opened = await open_endpoint(URL, campaign, population_of(3), print)
    assert (opened.accounts.count, opened.dialect.name) == (3, "gromox")


async def test_accounts_that_are_not_need_it(users_file, population_of, finds):
    finds(Unauthorized("Unauthorized", ("Basic",)))
    campaign = Campaign(users_file=users_file("mailbox,password\na@x.org,pw\n"), resolve=HERE["resolve"])
    with pytest.raises(Unauthorized):
        await open_endpoint(URL, campaign, population_of(1), print)


@pytest.mark.parametrize(
    ("keys", "problem"),
    [
        (HERE, "users_file: u@x.org: dn, display_name, server not known, and autodiscover is off"),
        (HERE | {"mailbox_server": "MBX1"}, "users_file: u@x.org: dn, display_name not known"),
    ],
)
async def test_what_nobody_knows_is_named(users_file, population_of, keys, problem):
    campaign = Campaign(users_file=users_file("mailbox,password\nu@x.org,pw\n"), **keys)
    with pytest.raises(ProfileError) as caught:
        await open_endpoint(URL, campaign, population_of(1), print)
    assert str(caught.value).startswith(problem)


@pytest.mark.parametrize(
    ("keys", "problem"),
    [
        ({}, "users_file: a real target needs accounts"),
        ({"users_file": "a", "users_pattern": "b"}, "users_file, users_pattern: only one of them"),
        ({"users_pattern": "u{index}@x.org"}, "users_range: '' is no range"),
        (
            {"users_pattern": "u{index}@x.org", "users_range": "0-3"},
            "users_pattern: there is no password: set LOADGEN_PASSWORD",
        ),
        ({"resolve": ("mail.example.test",)}, "resolve: 'mail.example.test' is not name=address"),
        ({"resolve": ("mail.example.test=here",)}, "resolve: 'mail.example.test=here' is not name=address"),
        ({"resolve": ("other=127.0.0.1",)}, "resolve: no address for mail.example.test"),
    ],
)
async def test_what_the_user_has_to_put_right_is_told_before_anything_connects(
    population_of, monkeypatch, keys, problem
):
    monkeypatch.delenv("LOADGEN_PASSWORD", raising=False)
    with pytest.raises(ProfileError) as caught:
        await open_endpoint(URL, Campaign(**(HERE | keys)), population_of(1), print)
    assert str(caught.value).startswith(problem)


@pytest.mark.parametrize(
    ("url", "problem"),
    [
        ("https://ann:secret@mail.example.test", "no user or password in an address"),
        ("https://mail.example.test/rpc", "is not https://HOST"),
        ("https://mail.example.test:x", "Port could not be cast"),
        ("https://", "is not https://HOST"),
    ],
)
async def test_an_address_is_a_host_and_nothing_else(population_of, url, problem):
    with pytest.raises(ProfileError, match=problem) as caught:
        await open_endpoint(url, Campaign(**HERE), population_of(1), print)
    assert "secret" not in str(caught.value)


async def test_a_name_that_nobody_knows_is_told(population_of, monkeypatch):
    def unknown(*_, **__):
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    with pytest.raises(TransportError, match=r"mail\.example\.test: Name or service not known; if it has no"):
        await open_endpoint(URL, Campaign(autodiscover="off"), population_of(1), print)


def test_nothing_but_this_machine_is_loaded_without_permission():
    require_permission(Campaign(), URL, ["127.0.0.1", "::1"])
    require_permission(Campaign(authorised=True), URL, ["192.0.2.1"])
    with pytest.raises(ProfileError, match=r"authorised: .* is another machine \(192\.0\.2\.1\)"):
        require_permission(Campaign(), URL, ["127.0.0.1", "192.0.2.1"])


async def test_one_account_for_each_user_unless_said_otherwise(users_file, population_of):
    said = []
    campaign = Campaign(users_file=users_file(), **HERE)
    with pytest.raises(ProfileError, match=r"12 accounts are too few for 13 users.*32 mailbox sessions"):
        await open_endpoint(URL, campaign, population_of(13), said.append)
    campaign = Campaign(users_file=users_file(), share_accounts=True, **HERE)
    opened = await open_endpoint(URL, campaign, population_of(13), said.append)
    shared = opened.accounts.account(12)
    assert (shared.index, shared.user) == (12, "u0@example.test")
    assert not any("Warning" in line for line in said)


def test_sharing_beyond_the_known_limits_is_warned_of(population_of):
    (warning,) = sharing_warnings(population_of(330), 10)
    assert warning == (
        "share_accounts: 330 users on 10 accounts make up to 33 mailbox sessions of one identity, "
        "and servers are known to allow 32"
    )
    assert len(sharing_warnings(population_of(510), 10)) == 2
    assert sharing_warnings(population_of(320), 10) == []
