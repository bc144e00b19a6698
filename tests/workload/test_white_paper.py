"""The white paper's traffic table (table 5), and which of its rows a client type stands beside."""

import msgspec
import pytest

from loadgen.client.client_type import ClientType
from loadgen.workload import library
from loadgen.workload.profile import MessageProfile
from loadgen.workload.white_paper import ANYWHERE, CACHED_INSIDE, ONLINE_INSIDE, TRAFFIC, row_of

PROFILES = [
    library.read("message", name, MessageProfile) for name in ("light", "medium", "heavy", "very-heavy")
]
TOTALS = {
    "Outlook Anywhere": [1_540, 3_090, 6_170, 9_250],
    "Outlook 2007 cached, inside": [1_300, 2_600, 5_200, 7_800],
    "Outlook 2007 online, inside": [2_700, 5_410, 10_810, 16_210],
    "Outlook Web Access 2007": [6_190, 12_220, 24_270, 36_330],
}


@pytest.mark.parametrize("row", TRAFFIC, ids=lambda row: row.name)
def test_rows_sum_up_to_the_tables_own_totals(row):
    assert [row.kb_per_day(profile) for profile in PROFILES] == TOTALS[row.name]
    assert [sum(row.printed(profile)) for profile in PROFILES] == TOTALS[row.name]


def test_other_profiles_have_no_figures_of_its_own_but_cost_what_their_messages_cost():
    larger = msgspec.structs.replace(PROFILES[0], message_size=100_000)
    busier = msgspec.structs.replace(PROFILES[0], sent_per_day=7)
    assert [CACHED_INSIDE.printed(profile) for profile in (larger, busier)] == [None, None]
    assert CACHED_INSIDE.kb_per_day(larger) == 2 * 1_300
    assert CACHED_INSIDE.kb_per_day(busier) == 1_300 + 2 * 52


@pytest.mark.parametrize(
    ("client", "row"),
    [
        ("outlook2007-cached-anywhere", ANYWHERE),
        ("outlook2003-online-anywhere", ANYWHERE),
        ("loadgen-2007-online", ANYWHERE),
        ("outlook2007-cached", CACHED_INSIDE),
        ("outlook2003-cached", CACHED_INSIDE),
        ("outlook2007-online", ONLINE_INSIDE),
        ("loadgen-2007-online-inside", ONLINE_INSIDE),
    ],
)
def test_a_client_type_stands_beside_those_that_connect_and_cache_alike(client, row):
    assert row_of(library.read("client", client, ClientType)) is row
