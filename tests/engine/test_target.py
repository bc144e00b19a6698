"""How a mock is started, asked and found gone, with small programs in its place."""

import asyncio
import json
import sys
from types import SimpleNamespace

import pytest
from aiohttp import web

from loadgen.engine import target
from loadgen.engine.target import accounts_at_hand, open_target
from loadgen.errors import ProfileError, TransportError
from loadgen.workload.campaign import Campaign

CAMPAIGN = Campaign()


def users(count):
    """As much of a population as a mock has to know."""
    return SimpleNamespace(users=count)


DESCRIPTION = {
    "cas": [{"name": "CAS1", "address": "127.0.10.1", "port": 18080}],
    "servers": {"MBX1": {"role": "mailbox", "address": "127.0.10.11", "ports": {"store": 6001}}},
    "counters_url": "http://127.0.10.250:18090",
    "accounts": {
        "count": 10,
        "domain": "contoso.test",
        "organisation": "Contoso",
        "administrative_group": "AG",
        "alias": "user{index:05d}",
        "display_name": "User {index:05d}",
        "password": "x",
        "servers": ["MBX1"],
        "public_servers": [],
    },
}


@pytest.fixture
def mock_program(monkeypatch):
    """Puts a Python program in the mock's place; it gets the mock's arguments."""

    def put(program):
        real = asyncio.create_subprocess_exec

        async def start(*arguments, **options):
            assert arguments[:4] == (sys.executable, "-m", "mock_server", "--json")
            return await real(sys.executable, "-c", program, *arguments[4:], **options)

        monkeypatch.setattr(target.asyncio, "create_subprocess_exec", start)

    return put


async def test_a_mock_of_its_own_runs_as_long_as_it_is_needed(mock_program):
    mock_program(f"import sys; print({json.dumps(DESCRIPTION)!r}, flush=True); sys.stdin.read()")
    async with open_target("mock", CAMPAIGN, users(10), print) as opened:
        account = opened.organisation.account(3)
        assert (account.user, account.home_server, account.public_server) == (
            "user00003@contoso.test",
            "MBX1",
            "",
        )
        assert account.legacy_dn == "/o=Contoso/ou=AG/cn=Recipients/cn=user00003"
        assert opened.gone() == ""
    assert opened.gone() == "the mock organisation ended by itself (killed by signal 15)"


async def test_what_a_mock_says_is_passed_on_line_by_line(mock_program):
    words = "print('starting: 5 processes', '', 'caf\\xe9', sep='\\n', file=sys.stderr, flush=True)"
    mock_program(f"import sys; {words}; print({json.dumps(DESCRIPTION)!r}, flush=True); sys.stdin.read()")
    said = []
    async with open_target("mock", CAMPAIGN, users(10), said.append):
        pass
    assert said == ["starting: 5 processes", "", "café"]


async def test_the_reason_why_a_mock_does_not_start_is_the_errors(mock_program):
    mock_program("raise SystemExit('starting\\nmock_server: CAS1: address in use')")
    said = []
    with pytest.raises(TransportError, match="did not start: CAS1: address in use"):
        async with open_target("mock", CAMPAIGN, users(10), said.append):
            pass
    assert said == ["starting"]


async def test_what_is_wrong_with_a_topology_is_a_wrong_profile(mock_program):
    mock_program("import sys; print('mock_server: no such key', file=sys.stderr); sys.exit(2)")
    with pytest.raises(ProfileError, match=r"^topology: no such key$"):
        async with open_target("mock", CAMPAIGN, users(10), print):
            pass


async def test_a_mock_is_of_the_campaigns_topology(mock_program):
    echo = "import json, sys; print(json.dumps({**json.loads(%r), 'counters_url': ' '.join(sys.argv[5:])}))"
    mock_program(echo % json.dumps(DESCRIPTION))
    campaign = Campaign(topology="small", limit_scale=0.05, set=("http.framing=chunked",))
    async with open_target("mock", campaign, users(7), print) as opened:
        words = opened.organisation.counters_url.split()
    assert words == ["--verbose", "--set=http.framing=chunked", "--set=limits.scale=0.05", "--", "small"]


async def test_a_running_mock_keeps_its_topology_and_the_user_is_told(running_mock):
    said = []
    async with open_target(f"mock={running_mock}", Campaign(topology="small"), users(10), said.append):
        pass
    assert said == [
        f"Warning: topology, limit_scale and set change no server here: {running_mock} runs already"
    ]


@pytest.mark.parametrize(
    ("asked_for", "warnings"),
    [
        ({}, 0),
        ({"topology": "small"}, 1),
        ({"limit_scale": 0.5}, 1),
        ({"set": ("http.framing=chunked",)}, 1),
    ],
)
async def test_a_real_target_keeps_its_servers_and_the_user_is_told(monkeypatch, asked_for, warnings):
    async def open_endpoint(*_):
        raise TransportError("nobody is there")

    monkeypatch.setattr(target, "open_endpoint", open_endpoint)
    said, url = [], "https://mail.example.test"
    with pytest.raises(TransportError):
        async with open_target(url, Campaign(**asked_for), users(10), said.append):
            pass
    warning = f"Warning: topology, limit_scale and set change no server here: {url} runs already"
    assert said == [warning] * warnings


@pytest.mark.parametrize("name", ["https://ann:secret@host", "mock=http://ann:secret@host"])
async def test_an_address_with_a_password_is_never_shown(name):
    said = []
    with pytest.raises(ProfileError, match="no user or password in an address"):
        async with open_target(name, Campaign(topology="small"), users(10), said.append):
            pass
    assert said == []


async def test_a_mock_that_will_not_go_is_killed(mock_program, monkeypatch):
    monkeypatch.setattr(target, "STOP_PATIENCE_S", 0.05)
    ignore = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); "
    mock_program(f"{ignore}print({json.dumps(DESCRIPTION)!r}, flush=True)\nwhile True: signal.pause()")
    async with open_target("mock", CAMPAIGN, users(10), print) as opened:
        pass
    assert opened.gone() == "the mock organisation ended by itself (killed by signal 9)"


async def test_a_mock_gets_its_users_and_addresses_of_its_own(mock_program):
    echo = "import json, sys; print(json.dumps({**json.loads(%r), 'counters_url': ' '.join(sys.argv[1:])}))"
    mock_program(echo % json.dumps(DESCRIPTION))
    async with open_target("mock", CAMPAIGN, users(7), print) as opened:
        words = opened.organisation.counters_url.split()
    assert words[:3] == ["--users", "7", "--base-address"]
    assert words[3].startswith("127.")
    assert words[3].endswith(".0")


async def test_a_mock_that_does_not_start_is_said_in_one_line(mock_program):
    mock_program("raise SystemExit(2)")
    with pytest.raises(TransportError, match="did not start: exit status 2;"):
        async with open_target("mock", CAMPAIGN, users(10), print):
            pass


async def test_a_mock_that_says_nothing_is_not_waited_for_for_ever(mock_program, monkeypatch):
    monkeypatch.setattr(target, "START_PATIENCE_S", 0.05)
    mock_program("import sys; sys.stdin.read()")
    with pytest.raises(TransportError, match="not ready after"):
        async with open_target("mock", CAMPAIGN, users(10), print):
            pass


async def test_a_mock_that_talks_nonsense_is_named(mock_program):
    mock_program("print('{}')")
    with pytest.raises(ProfileError, match="the mock's first line does not describe a mock organisation"):
        async with open_target("mock", CAMPAIGN, users(10), print):
            pass


@pytest.mark.parametrize("text", ["exchange", "ftp://mail.contoso.com", "mock=127.0.0.1:18090", "mock="])
async def test_other_targets_are_refused_with_what_is_allowed(text):
    with pytest.raises(ProfileError, match=r"option: target: .* is not known; allowed: mock"):
        async with open_target(text, CAMPAIGN, users(10), print):
            pass


@pytest.mark.parametrize("text", ["mock=http://ann:secret@127.0.77.2:9", "mock=https://ann@127.0.77.2:9"])
async def test_a_mocks_address_with_a_password_is_refused_and_not_repeated(text):
    said = "no user or password in an address"
    with pytest.raises(ProfileError, match=said) as refused:
        async with open_target(text, CAMPAIGN, users(10), print):
            pass
    assert "ann" not in str(refused.value)
    with pytest.raises(ProfileError, match=said):
        await accounts_at_hand(text, CAMPAIGN)


@pytest.fixture
async def running_mock():
    """The counters' page of a mock that runs already."""

    async def organisation(request):
        return web.json_response(DESCRIPTION)

    app = web.Application()
    app.router.add_get("/organisation", organisation)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.77.1", 0)
    await site.start()
    yield f"http://127.0.77.1:{runner.addresses[0][1]}"
    await runner.cleanup()


async def test_a_running_mock_describes_itself(running_mock):
    async with open_target(f"mock={running_mock}/", CAMPAIGN, users(10), print) as opened:
        assert opened.organisation.cas[0].address == "127.0.10.1"
        assert opened.gone() == ""


async def test_a_running_mock_must_have_enough_accounts(running_mock):
    with pytest.raises(
        ProfileError, match="has 10 accounts, and this campaign needs 11; start it with --users 11"
    ):
        async with open_target(f"mock={running_mock}", CAMPAIGN, users(11), print):
            pass


async def test_a_page_that_is_not_a_mocks_is_refused(running_mock):
    with pytest.raises(TransportError, match="answered 404; give the counters_url"):
        async with open_target(f"mock={running_mock}/elsewhere", CAMPAIGN, users(10), print):
            pass


async def test_a_mock_that_does_not_run_is_said_with_its_address():
    with pytest.raises(
        TransportError, match=r"http://127\.0\.77\.2:9/organisation: Connection refused; is the mock running"
    ):
        async with open_target("mock=http://127.0.77.2:9", CAMPAIGN, users(10), print):
            pass
