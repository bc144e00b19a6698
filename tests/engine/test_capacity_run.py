"""How far a search may go, with whom, and what it is planned with; and which searches make up the gap."""

import asyncio
import signal
from pathlib import Path

import msgspec
import pytest

from loadgen.capacity.found import Capacity
from loadgen.capacity.gap import is_loadgens
from loadgen.client.client_type import ClientType
from loadgen.engine import capacity_run, gap_run
from loadgen.engine.capacity_run import Found, find_capacity, planned_topology, with_users
from loadgen.engine.climb import Aim
from loadgen.engine.gap_run import LOADGENS_CLIENT, measure_gap, one_of_each
from loadgen.errors import LoadgenError, ProfileError, TransportError
from loadgen.measure.store import ResultsError
from loadgen.measure.totals import Totals
from loadgen.report.summary import summarise
from loadgen.workload import library
from loadgen.workload.campaign import Campaign, Group, load_campaign, populate

CACHED, ONLINE = "outlook2007-cached-anywhere", "outlook2007-online-anywhere"


def campaign_of(*sizes, client=ONLINE, **keys):
    groups = tuple(Group(users=size, client=client, profile="light") for size in sizes)
    return Campaign(name="x", groups=groups, **keys)


@pytest.fixture
def found_40():
    return Capacity(
        campaign="x",
        target="mock",
        verdict="PASS",
        reasons=(),
        exit_code=0,
        users=40,
        stopped_by="limit",
        ceiling=50,
        startup=False,
        hold_only=True,
        plateau_s=1.0,
        generator=summarise(campaign_of(5), populate(campaign_of(5)), Totals(), measured_s=1.0).generator,
    )


@pytest.mark.parametrize(
    ("sizes", "users", "found"),
    [
        ((60, 30, 10), 10, [6, 3, 1]),
        ((60, 30, 10), 1000, [600, 300, 100]),
        ((1, 1, 1), 7, [3, 2, 2]),
        ((90, 5, 5), 4, [4]),
        ((2, 1), 8, [5, 3]),
        ((), 8, []),
    ],
)
def test_a_mix_keeps_its_shares_and_exactly_so_many_users(sizes, users, found):
    assert [group.users for group in with_users(campaign_of(*sizes), users).groups] == found


@pytest.mark.parametrize(
    ("target", "keys", "budget"),
    [
        ("mock", {}, 0),
        ("mock", {"topology": "white-paper", "limit_scale": 0.002}, 131),
        ("mock", {"topology": "small", "set": ("limits.ports=50",)}, 50),
        ("mock=http://127.0.0.1:1", {}, None),
        ("https://mail.example.org", {}, None),
        ("https://mail.example.org", {"topology": "white-paper"}, 65_535),
    ],
)
def test_what_is_known_of_the_target_is_planned_with(target, keys, budget):
    topology = planned_topology(campaign_of(5, **keys), target)
    assert (None if topology is None else topology.limits.port_budget) == budget


@pytest.mark.parametrize(
    ("asked", "keys", "accounts", "ceiling"),
    [
        (33, {}, None, 33),
        (33, {}, 33, 33),
        (None, {}, None, 60),
        (None, {}, 25, 25),
        (None, {"topology": "white-paper", "limit_scale": 0.002, "startup": "off"}, None, 27),
        (None, {"topology": "white-paper", "limit_scale": 0.002, "startup": "off"}, 20, 20),
        (None, {"topology": "white-paper", "limit_scale": 0.002, "startup": "on"}, None, 21),
        (None, {"topology": "small", "set": ("limits.ports=6",), "startup": "off"}, None, 5),
        (1, {"topology": "small", "set": ("limits.ports=6",), "startup": "off"}, None, 1),
    ],
)
def test_the_ceiling_is_as_asked_or_a_little_above_the_plan_or_all_accounts(
    monkeypatch, asked, keys, accounts, ceiling
):
    async def at_hand(target, campaign):
        return accounts

    monkeypatch.setattr(capacity_run, "accounts_at_hand", at_hand)
    campaign = campaign_of(60, **keys)
    topology = planned_topology(campaign, "mock")
    found = asyncio.run(capacity_run._ceiling(campaign, Aim(ceiling=asked), "mock", topology))
    assert found == ceiling


def test_a_ceiling_below_the_fewest_of_a_campaign_is_the_searchs_alone(monkeypatch):
    said = []

    async def run(campaign, population, *_, **__):
        raise TransportError(f"{population.users} users")

    monkeypatch.setattr(capacity_run, "run", run)
    search = find_capacity(campaign_of(60), Aim(ceiling=3), "mock", say=said.append, on_progress=print)
    with pytest.raises(TransportError, match=r"^5 users$"):
        asyncio.run(search)
    assert said == ["looking for the capacity, up to 3 users"]


def test_a_ceiling_above_the_accounts_is_refused(monkeypatch):
    async def at_hand(target, campaign):
        return 32

    monkeypatch.setattr(capacity_run, "accounts_at_hand", at_hand)
    with pytest.raises(ProfileError, match="mock=x has 32 accounts, not enough for 33 users"):
        asyncio.run(capacity_run._ceiling(campaign_of(60), Aim(ceiling=33), "mock=x", None))


def test_a_threshold_that_no_plateau_can_meet_ends_the_search_before_it_begins(tmp_path):
    (tmp_path / "own.toml").write_text('threshold = ["connections.steady.store.client > 0"]')
    fast = ("operations.send_message.response_ms.p95 < 1000",)
    for aim, keys, problem in (
        (Aim(), {"threshold": ("connections.peak.store.client > 0",)}, "counted at the barriers"),
        (Aim(), {"limit_set": str(tmp_path / "own.toml")}, "counted at the barriers"),
        (Aim(hold_only=True), {"threshold": fast}, "only hold their connections"),
        (Aim(hold_only=True), {"limit_set": "client-side"}, "only hold their connections"),
    ):
        search = find_capacity(campaign_of(5, **keys), aim, "mock", say=print, on_progress=print)
        with pytest.raises(ProfileError, match=problem):
            asyncio.run(search)
    gap = measure_gap(campaign_of(5, threshold=fast), Aim(), "mock", say=print, on_progress=print)
    with pytest.raises(ProfileError, match="only hold their connections"):
        asyncio.run(gap)


def test_both_views_are_measured_once_each():
    campaign = load_campaign("quickstart")
    kinds = [kind.client.name for _, kind in one_of_each(campaign)]
    assert kinds == [
        "loadgen-2007-online",
        CACHED,
        ONLINE,
        "outlook2003-online-anywhere",
        "outlook2003-cached-anywhere",
    ]
    assert [kind.client.name for _, kind in one_of_each(campaign_of(9))] == [LOADGENS_CLIENT, ONLINE]
    assert all(group.users == 5 for group, _ in one_of_each(campaign_of(9)))


class Searches:
    """All find 40 users, but for what happens in the one whose number it is, from 1."""

    def __init__(self, found, special, happens):
        self.found, self.special, self.happens = found, special, happens
        self.asked = []

    async def __call__(self, campaign, aim, target, **_):
        self.asked.append(campaign.name)
        found = Found(msgspec.structs.replace(self.found, startup=campaign.startup == "on"), Path("x"))
        return await self.happens(found) if len(self.asked) == self.special else found


async def cut_within(found):
    capacity = msgspec.structs.replace(found.capacity, users=3, exit_code=130, stopped_by="nothing")
    return Found(capacity, found.folder, is_interrupted=True)


async def cut_at_its_end(found):
    return Found(found.capacity, found.folder, is_interrupted=True)


async def cut_before_its_run(found):
    signal.raise_signal(signal.SIGINT)
    await asyncio.sleep(10)


async def end_without_an_answer(found):
    return Found(msgspec.structs.replace(found.capacity, users=0, exit_code=99), found.folder)


async def end_out_of_reach(found):
    return Found(msgspec.structs.replace(found.capacity, users=0, exit_code=3), found.folder)


@pytest.mark.parametrize(
    ("happens", "users", "factors", "exit_code"),
    [
        (cut_within, [40, 40, 3], [1.0, 1.0, None], 130),
        (cut_at_its_end, [40, 40, 40], [1.0, 1.0, 1.0], 130),
        (cut_before_its_run, [40, 40], [1.0, 1.0], 130),
        (end_without_an_answer, [40, 40, 0, 40], [1.0, 1.0, None, None], 99),
        (end_out_of_reach, [40, 40, 0], [1.0, 1.0, None], 3),
    ],
)
def test_a_gap_keeps_the_searches_that_have_ended(monkeypatch, found_40, happens, users, factors, exit_code):
    monkeypatch.setattr(gap_run, "find_capacity", searches := Searches(found_40, 3, happens))
    campaign = campaign_of(9, startup="on")
    gap = asyncio.run(measure_gap(campaign, Aim(), "mock", say=print, on_progress=print))
    names = [f"x-{client}-{how}" for how in ("steady", "starting") for client in (LOADGENS_CLIENT, ONLINE)]
    assert searches.asked == names[: 4 if exit_code == 99 else 3]
    assert [row.users for row in gap.rows] == users
    assert [row.overstatement for row in gap.rows] == factors
    assert gap.exit_code == exit_code


@pytest.mark.parametrize(
    ("error", "exit_code"),
    [
        (TransportError("no mock"), 3),
        (ProfileError("wrong"), 2),
        (ResultsError("full"), 98),
        (LoadgenError("?"), 1),
    ],
)
def test_an_error_between_searches_keeps_those_that_have_ended(monkeypatch, found_40, error, exit_code):
    async def fail(found):
        raise error

    monkeypatch.setattr(gap_run, "find_capacity", Searches(found_40, 2, fail))
    gap = asyncio.run(measure_gap(campaign_of(9), Aim(), "mock", say=print, on_progress=print))
    assert [row.users for row in gap.rows] == [40]
    assert (gap.error, gap.exit_code) == (str(error), exit_code)
    monkeypatch.setattr(gap_run, "find_capacity", Searches(found_40, 1, fail))
    with pytest.raises(type(error)):
        asyncio.run(measure_gap(campaign_of(9), Aim(), "mock", say=print, on_progress=print))


def test_a_cancellation_from_elsewhere_is_no_interrupt(monkeypatch, found_40):
    async def cancelled(found):
        raise asyncio.CancelledError

    monkeypatch.setattr(gap_run, "find_capacity", Searches(found_40, 1, cancelled))
    with pytest.raises(asyncio.CancelledError):
        asyncio.run(measure_gap(campaign_of(9), Aim(), "mock", say=print, on_progress=print))


def test_loadgens_types_are_known_by_what_they_open():
    names = [name for name in library.built_in_names("client") if name.startswith(("loadgen", "outlook"))]
    for name in names:
        assert is_loadgens(library.read("client", name, ClientType)) == name.startswith("loadgen")


@pytest.mark.parametrize("name", ["gap", "port-exhaustion"])
def test_campaigns_for_searches_can_be_run_too(name):
    assert populate(load_campaign(name)).users >= 5
