import math
import pickle
from itertools import product

import msgspec
import pytest

from loadgen.errors import ProfileError
from loadgen.workload import library
from loadgen.workload.campaign import Campaign, Group, Population, load_campaign, populate, with_options

OUTSIDE = frozenset(
    """outlook2003-online-anywhere outlook2003-cached-anywhere outlook2007-online-anywhere
    outlook2007-cached-anywhere loadgen-2003-online loadgen-2003-cached loadgen-2007-online""".split()  # noqa: SIM905
)
"""The client types of the white paper's tables 2 and 3."""
DESIGN_KEYS = frozenset(
    """duration warmup day speed shape ramp startup startup_hold hold seed workers source_ip threshold
    limit_set abort_on out limit_scale users_file auth rpc_security ca_file tls_insecure resolve authorised
    counters_url""".split()  # noqa: SIM905  (reads as a list)
)


def test_every_key_of_the_design_is_a_key():
    assert set(Campaign.__struct_fields__) >= DESIGN_KEYS


def test_quickstart_is_a_whole_day_in_45_seconds():
    campaign = load_campaign("quickstart")
    population = populate(campaign)
    assert (campaign.users, campaign.duration_s, campaign.days) == (100, 45.0, 1.0)
    assert campaign.startup_hold > campaign.ramp
    assert {group.client.name for group in population.groups} == OUTSIDE
    moderate = sum(group.users for group in population.groups if group.profile.name in {"light", "medium"})
    assert moderate > 90


def test_day_in_ten_minutes_has_every_client_type_with_every_profile():
    campaign = load_campaign("day-in-ten-minutes")
    population = populate(campaign)
    assert (campaign.users, campaign.duration_s, campaign.days) == (300, 600.0, 1.0)
    assert campaign.startup_hold > campaign.ramp
    kinds = {(group.client.name, group.profile.name) for group in population.groups}
    assert kinds == set(product(OUTSIDE, library.built_in_names("message")))


def test_smoke_has_ten_users():
    assert populate(load_campaign("smoke")).users == 10


def test_users_stand_in_the_order_of_their_groups():
    population = populate(load_campaign("smoke"))
    names = [population.group_of(user).profile.name for user in range(10)]
    assert names == ["light"] * 3 + ["medium"] * 2 + ["light", "medium"] * 2 + ["medium"]
    for user in (-1, 10):
        with pytest.raises(IndexError):
            population.group_of(user)
    assert pickle.loads(pickle.dumps(population)).group_of(9) == population.group_of(9)


@pytest.mark.parametrize(
    ("options", "field", "value"),
    [
        ({"speed": "10"}, "speed", 10.0),
        ({"duration": "1m30s"}, "duration_s", 90.0),
        ({"workers": "3"}, "workers", 3),
        ({"threshold": ["users.refused == 0"]}, "threshold", ("users.refused == 0",)),
        ({"tls_insecure": "true"}, "tls_insecure", True),
        ({"auth": "auto"}, "auth", "auto"),
        ({"auth": ["ntlm", "basic"]}, "auth", ("ntlm", "basic")),
        (
            {"group": [{"users": "7", "client": "loadgen-2007-online", "profile": "light"}]},
            "groups",
            (Group(users=7, client="loadgen-2007-online", profile="light"),),
        ),
    ],
)
def test_options_replace_keys_of_the_same_name(options, field, value):
    campaign = with_options(load_campaign("smoke"), options)
    assert getattr(campaign, field) == value
    assert campaign.name == "smoke"


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"shape": "steep"}, "option: shape: 'steep' is not allowed; allowed: uniform, peak, closed"),
        ({"speed": "0"}, "option: speed: expected a number > 0"),
        ({"workers": "many"}, "option: workers: expected a whole number, got text"),
        ({"authorised": "yes"}, "option: authorised: expected true or false, got text"),
        ({"threshold": 5}, "option: threshold: expected a list, got a whole number"),
        ({"hurry": 1}, "option: hurry: unknown key; allowed: name, title, group, duration"),
        ({"group": [{"users": 5, "client": "x"}]}, "option: group[0].profile: missing"),
        (
            {"group": [{"users": 5, "clients": "x"}]},
            "option: group[0].clients: unknown key (did you mean client?); allowed: users,",
        ),
        ({"startup": "maybe"}, "option: startup: 'maybe' is not allowed; allowed: on, off"),
    ],
)
def test_a_wrong_option_is_named(options, problem):
    with pytest.raises(ProfileError) as caught:
        with_options(load_campaign("smoke"), options)
    assert str(caught.value).startswith(problem)


def few(users: int) -> dict[str, object]:
    return {"group": [{"users": users, "client": "loadgen-2007-online", "profile": "light"}]}


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        (
            few(4),
            "4 users are too few, at least 5 are needed: each message goes to 4 users other than",
        ),
        ({"group": []}, "group: there are no users"),
        ({"shape": "peak", "day": "90m"}, "day: shape 'peak' needs a day of at least 2h"),
        ({"day": "0s"}, "day: must be longer than 0s"),
        ({"duration": "0s"}, "duration: must be longer than 0s"),
        ({"speed": math.inf}, "speed: must be finite"),
        ({"counters_url": "http://me:secret@host:9182/metrics"}, "counters_url: no user or password"),
        ({"autodiscover": "https://me:secret@host"}, "autodiscover: no user or password"),
        ({"unfinished_per_user": math.inf}, "unfinished_per_user: must be finite"),
        ({"auth": []}, "auth: the list is empty"),
        ({"limit_set": "white-paper"}, "limit_set: 'white-paper' is no built-in limits profile"),
        (
            {"threshold": ["users.lost", "users.los == 0"]},
            "threshold: 'users.lost' is not 'path op number', where op is one of < <= > >= == !=; "
            "'users.los == 0': users has no 'los'; allowed: planned, ",
        ),
        ({"abort_on": ["x == 0"]}, "abort_on: 'x == 0': the summary has no 'x'"),
    ],
)
def test_a_campaign_that_cannot_be_run_says_why(options, problem):
    with pytest.raises(ProfileError) as caught:
        populate(with_options(load_campaign("smoke"), options))
    assert str(caught.value).startswith("campaign smoke: ")
    assert problem in str(caught.value)


def test_five_users_are_enough():
    assert populate(with_options(load_campaign("smoke"), few(5))).users == 5


def test_paths_in_a_campaign_count_from_its_folder(tmp_path, monkeypatch):
    monkeypatch.chdir("/")
    (tmp_path / "mine.toml").write_text("extends = 'light'\ntitle = 'mine'\nsent_per_day = 4\n")
    (tmp_path / "my-campaign.toml").write_text(
        "extends = 'smoke'\n[[group]]\nusers = 9\nclient = 'loadgen-2007-online'\nprofile = './mine.toml'\n"
    )
    campaign = load_campaign(str(tmp_path / "my-campaign.toml"))
    with pytest.raises(ProfileError, match="180 messages to receive a day do not fit 36 to send"):
        populate(campaign)
    (tmp_path / "mine.toml").write_text("extends = 'light'\ntitle = 'mine'\n")
    assert populate(campaign).group_of(8).profile.title == "mine"


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (
            "[[group]]\nusers = 9\nclient = 'loadgen-2007-online'\nprofile = 'light'\n"
            "[[group]]\nusers = 9\nclient = 'loadgen-2007-onlin'\nprofile = 'light'\n",
            "group[1].client: 'loadgen-2007-onlin' is no built-in client profile (did you mean ",
        ),
        (
            "[[group]]\nusers = 9\nclient = 'loadgen-2007-online'\nprofile = 'lihgt'\n",
            "group[0].profile: 'lihgt' is no built-in message profile (did you mean light?); known: ",
        ),
        ("threshold = ['users.refusd == 0']\n", "threshold: 'users.refusd == 0': users has no 'refusd'; "),
        ("abort_on = ['x == 0']\n", "abort_on: 'x == 0': the summary has no 'x'; allowed: users, "),
    ],
)
def test_a_name_or_threshold_that_is_none_is_told_with_file_and_key(tmp_path, text, problem):
    path = tmp_path / "mine.toml"
    path.write_text(f"extends = 'smoke'\n{text}")
    with pytest.raises(ProfileError) as caught:
        load_campaign(str(path))
    assert str(caught.value).startswith(f"{path}: {problem}")


def groups_of(*sizes):
    groups = populate(Campaign(groups=(Group(users=9, client="loadgen-2007-online", profile="light"),)))
    return tuple(msgspec.structs.replace(groups.groups[0], users=size) for size in sizes)


@pytest.mark.parametrize("sizes", [(40, 20, 20, 20), (1, 99), (7, 7, 7), (5,), (1, 2, 3, 4, 50)])
def test_any_first_users_of_a_mixed_population_have_the_mix(sizes):
    population = Population(groups_of(*sizes), mixed=True)
    whole = range(len(sizes))
    for below in range(population.users + 1):
        counts = [len(population.members(number, below)) for number in whole]
        assert sum(counts) == below
        assert all(
            abs(count - below * size / population.users) < 1
            for count, size in zip(counts, sizes, strict=True)
        )
    assert [len(population.members(number, population.users)) for number in whole] == list(sizes)


def test_a_mixed_population_stays_mixed_when_it_travels():
    population = Population(groups_of(3, 3), mixed=True)
    copy = pickle.loads(pickle.dumps(population))
    assert [list(copy.members(number, 6)) for number in (0, 1)] == [
        [user for user in range(6) if population.group_of(user) is population.groups[number]]
        for number in (0, 1)
    ]
    assert copy.mixed


def test_groups_of_one_size_do_not_fall_into_step_with_servers():
    """Two groups over two servers, dealt out by number: each server gets users of both."""
    population = Population(groups_of(10, 10), mixed=True)
    first = population.members(0, 20)
    assert sum(user % 2 for user in first) == 5


def test_the_members_of_a_group_stand_together_if_nothing_else_is_asked():
    population = Population(groups_of(3, 4))
    assert list(population.members(1, 5)) == [3, 4]
    assert list(population.members(1, 2)) == []


def test_the_topology_of_a_campaign_counts_from_its_folder(tmp_path):
    (tmp_path / "mine.toml").write_text('extends = "smoke"\ntopology = "servers.toml"\n')
    assert load_campaign(str(tmp_path / "mine.toml")).topology == str(tmp_path / "servers.toml")
    assert load_campaign("smoke").topology == "default"
