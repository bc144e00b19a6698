import pytest

from loadgen.client.client_type import ClientType
from loadgen.measure.columns import COLUMNS, with_totals
from loadgen.workload.connection_model import as_loadgen, expected, virtual_connections
from loadgen.workload.library import read

# White paper, tables 1 to 3, column by column: client to CAS, CAS to stores, CAS to DSProxy, CAS total,
# store, DSProxy, mailbox total, public folders, DSProxy to GC.
STEADY = {
    "outlook2003-online-anywhere": (6, 4, 2, 6, 2, 2, 4, 2, 2),
    "outlook2007-online-anywhere": (6, 4, 2, 6, 2, 2, 4, 2, 2),
    "outlook2003-cached-anywhere": (6, 4, 2, 6, 2, 2, 4, 2, 2),
    "outlook2007-cached-anywhere": (8, 6, 2, 8, 4, 2, 6, 2, 2),
    "loadgen-2003-online": (2, 2, 0, 2, 2, 0, 2, 0, 0),
    "loadgen-2003-cached": (2, 2, 0, 2, 2, 0, 2, 0, 0),
    "loadgen-2007-online": (2, 2, 0, 2, 2, 0, 2, 0, 0),
    "outlook2003-online": (0, 0, 0, 0, 1, 0, 1, 1, 1),
    "outlook2003-cached": (0, 0, 0, 0, 1, 0, 1, 1, 1),
    "outlook2007-online": (0, 0, 0, 0, 1, 0, 1, 1, 1),
    "outlook2007-cached": (0, 0, 0, 0, 2, 0, 2, 1, 1),
    "loadgen-2003-online-inside": (0, 0, 0, 0, 1, 0, 1, 0, 0),
    "loadgen-2003-cached-inside": (0, 0, 0, 0, 1, 0, 1, 0, 0),
    "loadgen-2007-online-inside": (0, 0, 0, 0, 1, 0, 1, 0, 0),
}
OTHER_COLUMNS = ("cas_to_referral", "cas_to_gc", "referral", "client_to_servers")
PAPER_COLUMNS = [column for column in COLUMNS if column not in OTHER_COLUMNS]


@pytest.mark.parametrize(("name", "row"), STEADY.items())
def test_steady_connections_are_the_white_papers(name, row):
    counts = expected([(read("client", name, ClientType), False, 1)])
    assert [counts[column] for column in PAPER_COLUMNS] == list(row)
    assert counts["cas_to_referral"] == counts["referral"] == counts["cas_to_gc"] == 0
    inside = 0 if counts["client_to_cas"] else counts["store"] + counts["public_store"] + counts["directory"]
    assert counts["client_to_servers"] == inside


def test_direct_referral_leads_past_dsproxy():
    client = read("client", "outlook2007-cached-anywhere", ClientType)
    through, past = (expected([(client, False, 1)], direct=direct) for direct in (False, True))
    differing = {
        column: (through[column], past[column]) for column in COLUMNS if through[column] != past[column]
    }
    assert differing == {
        "cas_to_dsproxy": (2, 0),
        "cas_to_gc": (0, 2),
        "dsproxy": (2, 0),
        "mailbox_total": (6, 4),
    }


@pytest.mark.parametrize(
    ("client", "share"),
    [
        (read("client", "outlook2007-online-anywhere", ClientType), 4 / 3),
        (read("client", "outlook2003-cached-anywhere", ClientType), 4 / 3),
        (read("client", "outlook2007-cached-anywhere", ClientType), 3 / 2),
        (read("client", "loadgen-2007-online", ClientType), 1),
    ],
)
def test_start_up_adds_what_the_design_says(client, share):
    steady, starting = (expected([(client, state, 1)]) for state in (False, True))
    assert starting["client_to_cas"] == starting["cas_total"] == steady["cas_total"] * share
    referral = virtual_connections(client, starting=True)["referral"]
    assert starting["referral"] == starting["cas_to_referral"] == 2 * referral
    assert starting["mailbox_total"] == starting["store"] + starting["dsproxy"] + starting["referral"]


@pytest.mark.parametrize(
    ("name", "steady", "starting"), [("outlook2003-cached", 3, 4), ("outlook2007-cached", 4, 6)]
)
def test_inside_the_firewall_start_up_adds_a_third_or_half(name, steady, starting):
    client = read("client", name, ClientType)
    counts = [expected([(client, state, 1)]) for state in (False, True)]
    assert [each["client_to_servers"] for each in counts] == [steady, starting]
    assert [each["referral"] for each in counts] == [0, 1]
    assert counts[1]["mailbox_total"] == counts[1]["store"] + counts[1]["referral"]


def test_populations_inside_and_outside_add_up():
    inside, outside = (read("client", f"outlook2007-cached{end}", ClientType) for end in ("", "-anywhere"))
    both = expected([(inside, True, 3), (outside, False, 2)])
    alone = [expected([(inside, True, 3)]), expected([(outside, False, 2)])]
    assert both == {column: sum(each[column] for each in alone) for column in COLUMNS}


def test_a_population_is_the_sum_of_its_users():
    online, loadgen = (
        read("client", f"{name}", ClientType)
        for name in ("outlook2007-online-anywhere", "loadgen-2007-online")
    )
    counts = expected([(online, True, 3), (online, False, 5), (loadgen, False, 2)])
    assert counts["client_to_cas"] == 3 * 8 + 5 * 6 + 2 * 2
    assert counts["directory"] == 2 * 8
    assert list(counts) == list(COLUMNS)


def test_loadgen_sees_two_connections_of_each_user():
    counts = as_loadgen(100)
    assert {column: count for column, count in counts.items() if count} == {
        "client_to_cas": 200,
        "cas_to_stores": 200,
        "cas_total": 200,
        "store": 200,
        "mailbox_total": 200,
    }
    assert {column: count for column, count in as_loadgen(100, inside=99).items() if count} == {
        "client_to_cas": 2,
        "client_to_servers": 99,
        "cas_to_stores": 2,
        "cas_total": 2,
        "store": 101,
        "mailbox_total": 101,
    }


def test_a_sum_is_unknown_when_a_part_of_it_is():
    counts = with_totals(
        {
            "store": 2,
            "dsproxy": 2,
            "cas_to_stores": 4,
            "cas_to_dsproxy": 2,
            "cas_to_referral": 0,
            "cas_to_gc": 0,
        }
    )
    assert counts["cas_total"] == 6
    assert counts["mailbox_total"] is None
    assert counts["client_to_cas"] is None
