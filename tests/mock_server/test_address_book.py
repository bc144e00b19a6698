"""Lists and names of the address book."""

import pytest

from loadgen.wire.nspi.constants import BEGINNING_OF_TABLE, CURRENT, END_OF_TABLE
from loadgen.wire.nspi.stat import Stat
from mock_server.address_book import AddressBook, Names, Table
from mock_server.directory import Directory, Entry, Organisation

BOOK = AddressBook(Directory(Organisation(), 120))
USERS = BOOK.directory.users
GAL = BOOK.table(0)
TABLE = Table([("Zoe", 0x1003), ("alice", 0x1001), ("Bob", 0x1002), ("Älf", 0x1004)])


def test_tables_are_sorted_without_case():
    assert TABLE.mids == [0x1001, 0x1002, 0x1003, 0x1004]
    assert len(TABLE) == 4


@pytest.mark.parametrize(
    ("stat", "position"),
    [
        (Stat(current_rec=BEGINNING_OF_TABLE, num_pos=3, total_recs=4), 0),
        (Stat(current_rec=END_OF_TABLE), 4),
        (Stat(current_rec=0x1003), 2),
        (Stat(current_rec=0x1005), None),
        (Stat(current_rec=CURRENT, num_pos=1, total_recs=2), 2),
        (Stat(current_rec=CURRENT, num_pos=999, total_recs=1000), 3),
        (Stat(current_rec=CURRENT, num_pos=5, total_recs=2), 4),
        (Stat(current_rec=CURRENT, num_pos=5, total_recs=0), 0),
    ],
)
def test_positions(stat: Stat, position: int | None):
    assert TABLE.position(stat) == position


def test_stat_at_a_position():
    stat = Stat(container_id=16, delta=2, code_page=1251)
    assert TABLE.stat_at(stat, 1) == Stat(
        container_id=16, current_rec=0x1002, num_pos=1, total_recs=4, code_page=1251
    )
    assert TABLE.stat_at(stat, 4) == Stat(
        container_id=16, current_rec=END_OF_TABLE, num_pos=4, total_recs=4, code_page=1251
    )


def test_names_by_their_beginning():
    names = Names([("Anna", 1), ("anne", 2), ("Annette", 3), ("Bea", 4)])
    assert [names.mids[index] for index in names.beginning_with("ANNE")] == [2, 3]
    assert list(names.beginning_with("c")) == []
    assert len(names.beginning_with("")) == 4


def test_containers():
    gal, lists, everybody, groups = BOOK.containers
    assert (gal.mid, gal.dn, gal.depth) == (0, "/", 0)
    assert len(gal.table) == len(everybody.table) == 120
    assert len(lists.table) == len(groups.table) == 0
    assert (everybody.parent, everybody.depth) == (lists, 1)
    assert BOOK.table(everybody.mid) is everybody.table
    assert BOOK.table(1) is None
    assert BOOK.by_mid(0) is None
    assert BOOK.by_mid(groups.mid) is groups
    assert BOOK.by_dn(groups.dn) is groups


@pytest.mark.parametrize("prefix", ["/guid=", "/GUID=", "/o=NT5/ou=00000000000000000000000000000000/cn="])
def test_objects_by_guid(prefix: str):
    user = USERS[17]
    assert BOOK.by_dn(prefix + BOOK.object_guid(user.mid).hex()) is user
    assert BOOK.by_dn(prefix + bytes(16).hex()) is None
    assert BOOK.by_dn(prefix + BOOK.object_guid(1).hex()) is None
    assert BOOK.by_dn(prefix + BOOK.object_guid(user.mid).hex()[2:]) is None
    assert BOOK.by_dn(prefix + "no hexadecimal digits") is None


@pytest.mark.parametrize(
    "text",
    [
        "User 00017",
        "user 00017",
        "00017",
        "user00017",
        "user00017@contoso.test",
        "SMTP:user00017@contoso.test",
        "00017 us",
        "us 00017",
        "=user00017",
        "=User 00017",
        USERS[17].dn.upper(),
    ],
)
def test_names_that_mean_one_user(text: str):
    assert BOOK.resolve(text, GAL, 2) == [USERS[17]]


@pytest.mark.parametrize(
    "text", ["", "nobody", "=User 0001", "=user0001", "User 00017x", "17 User", "smtp:x", "User x"]
)
def test_names_that_mean_nobody(text: str):
    assert BOOK.resolve(text, GAL, 2) == []


@pytest.mark.parametrize(
    ("text", "count"), [("user", 120), ("User 0001", 10), ("us 0001", 10), ("0000 User", 10)]
)
def test_names_that_mean_several_users(text: str, count: int):
    assert len(BOOK.resolve(text, GAL, 2)) == 2
    assert len(BOOK.resolve(text, GAL, 500)) == count


def test_names_are_looked_for_in_one_list():
    nobody = BOOK.containers[-1].table
    assert BOOK.resolve("User 00017", nobody, 2) == []
    assert BOOK.resolve(USERS[17].dn, nobody, 2) == [USERS[17]]


def test_two_words_are_looked_for_where_fewer_match():
    families = ("Ann Smith", "Bob Smith", "Bob Jones", "Cy Smith", "Smith Bo")
    directory = Directory(Organisation(), len(families))
    directory.users = tuple(
        Entry(user.mid, user.index, user.alias, name, user.dn, user.smtp, user.home_server, "")
        for user, name in zip(directory.users, families, strict=True)
    )
    book = AddressBook(directory)

    def names(text: str) -> list[str]:
        return sorted(user.display_name for user in book.resolve(text, book.table(0), 9))

    assert names("B Sm") == ["Bob Smith", "Smith Bo"]
    assert names("Jo Bo") == ["Bob Jones"]
    assert names("Smith") == ["Ann Smith", "Bob Smith", "Cy Smith", "Smith Bo"]
