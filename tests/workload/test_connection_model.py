import pytest

from loadgen.client.client_type import ClientType
from loadgen.measure.columns import COLUMNS, with_totals
from loadgen.workload.connection_model import as_loadgen, expected, virtual_connections
from loadgen.workload.library import read

# Design section 3 and facts D1, column by column: client to CAS, CAS to stores, CAS to DSProxy, CAS total,
# store, DSProxy, mailbox total, public folders, DSProxy to GC.
STEADY = {
    "outlook2003-online-anywhere": (6, 4, 2, 6, 2, 2, 4, 2, 2),
    "outlook2007-online-anywhere": (6, 4, 2, 6, 2, 2, 4, 2, 2),
    "outlook2003-cached-anywhere": (6, 4, 2, 6, 2, 2, 4, 2, 2),
    "outlook2007-cached-anywhere": (8, 6, 2, 8, 4, 2, 6, 2, 2),
    "loadgen-2003-online": (2, 2, 0, 2, 2, 0, 2, 0, 0),
    "loadgen-2003-cached": (2, 2, 0, 2, 2, 0, 2, 0, 0),
    "loadgen-2007-online": (2, 2, 0, 2, 2, 0, 2, 0, 0),
}
PAPER_COLUMNS = [column for column in COLUMNS if "referral" not in column and column != "cas_to_gc"]


@pytest.mark.parametrize(("name", "row"), STEADY.items())
def test_steady_connections_are_the_white_papers(name, row):
    counts = expected([(read("client", name, ClientType), False, 1)])
    assert [counts[column] for column in PAPER_COLUMNS] == list(row)
    assert counts["cas_to_referral"] == counts["referral"] == counts["cas_to_gc"] == 0


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
