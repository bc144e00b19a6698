"""What makes a real RPC proxy a target: address, permission, accounts, and what is discovered of them."""

import socket

import pytest
from msgspec.structs import replace

from loadgen.client.autodiscover import Discovery
from loadgen.client.client_type import ClientType
from loadgen.client.inside import Inside
from loadgen.engine import discovery, endpoint
from loadgen.engine.endpoint import (
    accounts_of,
    ask_beforehand,
    open_endpoint,
    require_permission,
    sharing_warnings,
)
from loadgen.errors import (
    PeerError,
    ProfileError,
    TimedOut,
    TlsFailed,
    TransportError,
    Unauthorized,
    WrongAnswer,
)
from loadgen.wire.autodiscover import MailboxSettings, WebServer
from loadgen.workload import library
from loadgen.workload.campaign import Campaign, Population, UserGroup
from loadgen.workload.profile import MessageProfile

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


@pytest.fixture(autouse=True)
def answers(monkeypatch):
    """All servers answer, but for what stands here of an address: what TCP meets, and what TLS meets."""
    tcp, tls = {}, {}

    async def connect(proxy, many, what, timeout_s):
        if proxy.addresses[0] in tcp:
            raise tcp[proxy.addresses[0]](f"{what}: no")
        return [socket.socket() for _ in range(many)]

    async def look_at_tls(proxy, timeout_s):
        if proxy.addresses[0] in tls:
            raise tls[proxy.addresses[0]]("no TLS handshake")

    monkeypatch.setattr(endpoint, "connect", connect)
    monkeypatch.setattr(endpoint, "look_at_tls", look_at_tls)
    return tcp, tls


@pytest.fixture
def users_file(tmp_path):
    def write(text=FULL):
        path = tmp_path / "users.csv"
        path.write_text(text)
        path.chmod(0o600)
        return str(path)

    return write


@pytest.fixture
def inside_population():
    client = library.read("client", "outlook2007-online", ClientType)
    profile = library.read("message", "light", MessageProfile)
    return Population((UserGroup(users=3, client=client, profile=profile),))


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

        monkeypatch.setattr(discovery, "Autodiscover", Scripted)
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
    assert said == ["dialect: unknown, since nothing says what server it is, so the most tolerant one"]


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
        (
            {"resolve": HERE["resolve"]},
            "users_file: u@x.org: dn, server not known, and Autodiscover does not say",
        ),
    ],
)
async def test_what_nobody_knows_is_named(users_file, population_of, finds, keys, problem):
    finds(replace(SETTINGS, legacy_dn="", server=""))
    campaign = Campaign(users_file=users_file("mailbox,password\nu@x.org,pw\n"), **keys)
    with pytest.raises(ProfileError) as caught:
        await open_endpoint(URL, campaign, population_of(1), print)
    assert str(caught.value).startswith(problem)


@pytest.fixture
def typed(monkeypatch):
    """What somebody at a terminal was asked for."""
    asked = []
    monkeypatch.delenv("LOADGEN_PASSWORD", raising=False)
    monkeypatch.setattr("sys.stdin.isatty", lambda: True)
    monkeypatch.setattr("getpass.getpass", lambda question: asked.append(question) or "typed")
    endpoint._typed.cache_clear()
    yield asked
    endpoint._typed.cache_clear()


def test_a_password_is_asked_for_once_and_beforehand(typed, population_of):
    campaign = Campaign(users_pattern="u{index}@x.org", users_range="0-4")
    ask_beforehand("HTTPS://mail.example.test", campaign)
    assert typed == ["Password of all accounts: "]
    accounts = accounts_of(campaign, population_of(5), print)
    assert [account.password for account in accounts] == ["typed"] * 5
    assert len(typed) == 1


@pytest.mark.parametrize(
    ("target", "keys"),
    [
        ("mock", {"users_pattern": "u{index}@x.org"}),
        ("https://mail.example.test", {"users_file": "users.csv"}),
        ("https://mail.example.test", {"users_file": "users.csv", "users_pattern": "u{index}@x.org"}),
    ],
)
def test_who_needs_no_password_is_not_asked(typed, target, keys):
    ask_beforehand(target, Campaign(**keys))
    assert typed == []


@pytest.mark.parametrize(
    ("keys", "problem"),
    [
        ({}, "users_file: a real target needs accounts"),
        ({"users_file": "a", "users_pattern": "b"}, "users_file, users_pattern: only one of them"),
        ({"users_pattern": "u{index}@x.org"}, "users_range: missing; users_pattern needs one, such as 0-499"),
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
    with pytest.raises(TransportError, match=r"mail\.example\.test: Name or service not known; if the DNS"):
        await open_endpoint(URL, Campaign(autodiscover="off"), population_of(1), print)


ONE, BOTH = ("127.37.2.1",), ("127.37.2.1", "127.37.2.2")


@pytest.mark.parametrize(
    ("url", "tcp", "tls", "step", "text"),
    [
        (URL, (TransportError, BOTH), None, "tcp", "TCP: mail.example.test:443: no. "),
        ("http://mail.example.test", (TimedOut, BOTH), None, "tcp", "TCP: mail.example.test:80: no. "),
        (URL, None, (TimedOut, BOTH), "tls", "TLS: no TLS handshake. "),
        (URL, None, (TlsFailed, ONE), "tls", "TLS: no TLS handshake. "),
    ],
)
async def test_a_target_that_does_not_answer_is_told_instead_of_what_comes_of_it(
    users_file, population_of, finds, answers, url, tcp, tls, step, text
):
    asked = finds(TransportError("no such service"))
    for failures, scripted in zip((tcp, tls), answers, strict=True):
        kind, addresses = failures or (None, ())
        scripted.update(dict.fromkeys(addresses, kind))
    campaign = Campaign(users_file=users_file(TWO), resolve=HERE["resolve"])
    with pytest.raises(PeerError) as caught:
        await open_endpoint(url, campaign, population_of(1), print)
    assert caught.value.step == step
    assert str(caught.value).startswith(text)
    assert asked == []


async def test_one_address_that_answers_is_enough(users_file, population_of, answers):
    answers[0]["127.37.2.1"] = TransportError
    opened = await open_endpoint(URL, Campaign(users_file=users_file(), **HERE), population_of(1), print)
    assert len(opened.proxies) == 2


async def test_inside_the_firewall_the_target_need_not_answer(users_file, inside_population, answers):
    answers[0].update(dict.fromkeys(BOTH, TransportError))
    campaign = Campaign(
        users_file=users_file(), public_folder_server="127.37.2.6", autodiscover="off", resolve=INSIDE
    )
    assert (await open_endpoint(URL, campaign, inside_population, print)).inside.addresses


def test_nothing_but_this_machine_is_loaded_without_permission():
    require_permission(Campaign(), URL, ["127.0.0.1", "::1"])
    require_permission(Campaign(authorised=True), URL, ["192.0.2.1"])
    with pytest.raises(ProfileError, match=r"authorised: .* is another machine \(192\.0\.2\.1\)"):
        require_permission(Campaign(), URL, ["127.0.0.1", "192.0.2.1"])


INSIDE = (*HERE["resolve"], "MBX1=127.37.2.3", "mbx1=127.37.2.4", "gc1.example.test=127.37.2.5")


async def test_inside_the_firewall_the_servers_of_the_accounts_are_found(users_file, inside_population):
    campaign = Campaign(
        users_file=users_file(), public_folder_server="127.37.2.6", autodiscover="off", resolve=INSIDE
    )
    opened = await open_endpoint(URL, campaign, inside_population, lambda _: None)
    assert opened.inside == Inside(
        opened.dialect.tcp,
        {
            "mail.example.test": ("127.37.2.1", "127.37.2.2"),
            "mbx1": ("127.37.2.3", "127.37.2.4"),
            "gc1.example.test": ("127.37.2.5",),
            "127.37.2.6": ("127.37.2.6",),
        },
    )


async def test_resolve_may_be_of_servers_alone_inside_the_firewall(
    users_file, inside_population, population_of
):
    campaign = Campaign(users_file=users_file(), autodiscover="off", resolve=("MBX1=127.37.2.3",))
    opened = await open_endpoint("http://127.37.2.9", campaign, inside_population, lambda _: None)
    assert opened.inside.addresses == {"mbx1": ("127.37.2.3",)}
    with pytest.raises(ProfileError, match=r"resolve: no address for 127\.37\.2\.9, which is the target"):
        await open_endpoint("http://127.37.2.9", campaign, population_of(1), lambda _: None)


@pytest.mark.parametrize("server", ["mailbox_server", "public_folder_server"])
async def test_servers_elsewhere_need_permission_too(users_file, inside_population, server):
    """But only those that are gone to."""
    keys = {"mailbox_server": "127.37.2.3", "public_folder_server": "127.37.2.6", server: "192.0.2.7"}
    text = FULL.replace(",MBX1,", ",,")
    campaign = Campaign(users_file=users_file(text), **HERE, **keys)
    with pytest.raises(ProfileError, match=r"authorised: 192\.0\.2\.7 is another machine"):
        await open_endpoint(URL, campaign, inside_population, lambda _: None)
    agreed = replace(campaign, authorised=True)
    opened = await open_endpoint(URL, agreed, inside_population, lambda _: None)
    assert opened.inside.addresses["192.0.2.7"] == ("192.0.2.7",)


async def test_a_server_without_an_address_is_named(users_file, inside_population):
    name = f"{'x' * 70}@example.test"
    campaign = Campaign(users_file=users_file(FULL.replace("MBX1", name)), **HERE)
    with pytest.raises(TransportError, match=r"x{70}@example.test: .*--resolve x{70}@example.test=ADDRESS$"):
        await open_endpoint(URL, campaign, inside_population, lambda _: None)


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


@pytest.fixture
def directory(monkeypatch):
    """Puts an answer, or an error, in the place of referral and directory; returns what was asked."""

    def put(answer):
        asked = []

        class Scripted:
            def __init__(self, proxy, server, ports, options):
                self.asked = (proxy.addresses, server, ports.referral)

            async def complete(self, account):
                asked.append((*self.asked, account.smtp))
                if isinstance(answer, Exception):
                    raise answer
                return replace(account, **({"home_server": "MBX7"} | answer))

        monkeypatch.setattr(discovery, "DirectoryDiscovery", Scripted)
        return asked

    return put


FOUND = {"legacy_dn": "/o=E/cn=found", "display_name": "Found"}
TWO = "mailbox,password\na@x.org,pw\nb@x.org,pw\n"


async def test_the_directory_completes_what_autodiscover_leaves_open(users_file, population_of, directory):
    asked = directory(FOUND)
    campaign = Campaign(users_file=users_file(TWO), rpc_server="RPC1", **HERE)
    opened = await open_endpoint(URL, campaign, population_of(2), print)
    assert asked == [(("127.37.2.1",), "RPC1", 6002, "a@x.org"), (("127.37.2.2",), "RPC1", 6002, "b@x.org")]
    assert [opened.accounts.account(index).home_server for index in (0, 1)] == ["MBX7", "MBX7"]


async def test_the_directory_is_asked_where_there_is_no_autodiscover(
    users_file, population_of, finds, directory
):
    finds(TransportError("no such service"))
    asked = directory(FOUND)
    campaign = Campaign(users_file=users_file(TWO), rpc_server="RPC1", resolve=HERE["resolve"])
    await open_endpoint(URL, campaign, population_of(2), print)
    assert len(asked) == 2


async def test_a_mailbox_server_that_is_known_can_be_asked_too(users_file, population_of, directory):
    asked = directory(FOUND)
    campaign = Campaign(users_file=users_file(TWO), mailbox_server="MBX1", dialect="exchange2013", **HERE)
    await open_endpoint(URL, campaign, population_of(1), print)
    assert asked == [(("127.37.2.1",), "MBX1", 6001, "a@x.org")]


async def test_refused_credentials_are_not_tried_at_the_next_door(
    users_file, population_of, finds, directory
):
    finds(Unauthorized("Unauthorized", ("Basic",)))
    asked = directory(FOUND)
    campaign = Campaign(users_file=users_file(TWO), rpc_server="RPC1", resolve=HERE["resolve"])
    with pytest.raises(Unauthorized):
        await open_endpoint(URL, campaign, population_of(1), print)
    assert asked == []


async def test_what_the_directory_does_not_know_is_told(users_file, population_of, directory):
    directory(WrongAnswer("the directory does not know a@x.org"))
    campaign = Campaign(users_file=users_file(TWO), rpc_server="RPC1", **HERE)
    with pytest.raises(WrongAnswer, match=r"directory for a@x.org, asked by way of RPC1: the directory does"):
        await open_endpoint(URL, campaign, population_of(1), print)


@pytest.mark.parametrize(
    ("changes", "name", "reason"),
    [
        ({}, "exchange2013", "Autodiscover tells version 15.0.847"),
        (
            {"legacy_dn": "/o=G/ou=E/cn=Recipients/cn=0100000001000000-u001"},
            "gromox",
            "mailboxes have names as Gromox makes them",
        ),
        ({"server_version": (0, 0, 0)}, "exchange2013", "its servers are called GUID@domain"),
        ({"server_version": (14, 1, 2)}, "exchange2010", "Autodiscover tells version 14.1.2"),
        (
            {"server_version": (8, 1, 2), "public_folder_server": ""},
            "exchange2007",
            "Autodiscover tells version 8.1.2; without public folders, since no server of theirs is known",
        ),
        (
            {"store_port": 6011, "directory_port": 70_000},
            "exchange2013",
            "Autodiscover tells version 15.0.847; with the ports that Autodiscover names",
        ),
    ],
)
async def test_what_tells_the_dialect(users_file, population_of, finds, changes, name, reason):
    finds(replace(SETTINGS, **changes))
    campaign = Campaign(users_file=users_file(TWO), resolve=HERE["resolve"])
    opened = await open_endpoint(URL, campaign, population_of(1), print)
    assert (opened.dialect.name, opened.dialect_reason) == (name, reason)
    assert opened.dialect.public_folders == (name == "exchange2010")
    assert opened.dialect.ports.store == changes.get("store_port", 6001)


@pytest.mark.parametrize(("auth", "scheme"), [("auto", "basic"), ("ntlm", None), (("ntlm", "basic"), None)])
async def test_auto_begins_with_what_is_published(users_file, population_of, finds, auth, scheme):
    """As Outlook does; what the user has chosen stays in the order that he gave."""
    finds(replace(SETTINGS, web_servers=(WebServer("EXPR", "mail.example.test", True, "basic", ""),)))
    campaign = Campaign(users_file=users_file(TWO), resolve=HERE["resolve"], auth=auth)
    opened = await open_endpoint(URL, campaign, population_of(1), print)
    assert [proxy.scheme for proxy in opened.proxies] == [scheme, scheme]
