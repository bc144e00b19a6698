import pytest

from loadgen.client import users_file
from loadgen.client.account import Account
from loadgen.client.users_file import Problem
from loadgen.errors import ProfileError

HASH = "8846f7eaee8fb117ad06bdd830b7586c"
FULL = f"""\
user,domain,password,nt_hash,mailbox,server,public_server,dn,display_name
ann@example.org,,secret one,,,,,,
EXAMPLE\\bob,,"with, comma",,bob@example.org,MBX1,PF1,/o=Example/cn=Recipients/cn=bob,Bob Brown
carl,EXAMPLE,,{HASH},carl@example.org,,,,
"""


def test_each_column_has_its_place_in_the_account():
    found = users_file.parse(FULL, "users.csv")
    assert found.problems == ()
    assert found.accounts == (
        Account(0, "ann@example.org", "secret one", "ann", "", "", "ann@example.org", ""),
        Account(
            1,
            "EXAMPLE\\bob",
            "with, comma",
            "bob",
            "Bob Brown",
            "/o=Example/cn=Recipients/cn=bob",
            "bob@example.org",
            "MBX1",
            "PF1",
        ),
        Account(2, "carl", "", "carl", "", "", "carl@example.org", "", "", "EXAMPLE", bytes.fromhex(HASH)),
    )
    assert [account.is_complete for account in found.accounts] == [False, True, False]


def test_what_is_written_reads_back_the_same():
    accounts = users_file.parse(FULL, "users.csv").accounts
    text = users_file.write(accounts)
    assert users_file.parse(text, "again").accounts == accounts
    assert text.splitlines()[0] == FULL.splitlines()[0]
    assert users_file.write(accounts[:1]).splitlines()[0] == "user,password,mailbox"


def test_a_password_for_all_is_that_of_accounts_without_a_secret():
    text = f"mailbox,password,nt_hash\na@x.org,,\nb@x.org,own,\nc@x.org,,{HASH}\n"
    accounts = users_file.parse(text, "users.csv", "common").accounts
    assert [account.password for account in accounts] == ["common", "own", ""]
    assert [account.user for account in accounts] == ["a@x.org", "b@x.org", "c@x.org"]


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        (",,", "neither user nor mailbox"),
        ("ann,pw,", "user: 'ann' is no address, so mailbox has to be given"),
        ("ann,pw,here", "mailbox: 'here' is no address"),
        ("ann,,ann@x.org", "no password, no nt_hash, and LOADGEN_PASSWORD is not set"),
        ("ann,pw", "not as many fields as the header has"),
        ("ann,pw,ann@x.org,more", "not as many fields as the header has"),
        ("first@x.org,pw,", "first@x.org stands in line 2 already"),
        ("other,pw,FIRST@x.org", "first@x.org stands in line 2 already"),
    ],
)
def test_a_wrong_line_is_told_with_its_number(line, problem):
    found = users_file.parse(f"user,password,mailbox\nfirst@x.org,pw,\n{line}\n", "users.csv")
    assert found.problems[0] == Problem(3, problem)


@pytest.mark.parametrize(
    ("cells", "problem"),
    [
        ("a@x.org,EXAMPLE,,,", "domain: user 'a@x.org' names a domain already"),
        (f",,pw,{HASH},", "password and nt_hash: only one of them"),
        (",,,abc,", "nt_hash: not 32 hexadecimal digits"),
        (",,pw,,cn=a", "dn: 'cn=a' does not begin with /o="),
    ],
)
def test_what_does_not_go_together_is_told(cells, problem):
    text = f"mailbox,user,domain,password,nt_hash,dn\na@x.org,{cells}\n"
    assert Problem(2, problem) in users_file.parse(text, "users.csv").problems


def test_two_domains_may_have_a_user_of_one_name():
    text = "user,domain,password,mailbox\nann,A,pw,ann@a.org\nann,B,pw,ann@b.org\n"
    assert users_file.parse(text, "users.csv").problems == ()


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("user,pasword\na,b\n", "users.csv: line 1 is the header: column 2 is not known; allowed: user, dom"),
        ("ann@x.org,Secret1\n", "users.csv: line 1 is the header: column 1, 2 is not known"),
        ("user,user\n", "users.csv: line 1: a column stands there twice"),
        ("password\nx\n", "users.csv: line 1: there has to be a column 'user' or 'mailbox'"),
        ("", "users.csv: line 1: there has to be a column"),
        ('user,mailbox\n"a,b\n', "users.csv: line 2: not CSV: unexpected end of data"),
    ],
)
def test_what_is_no_table_is_refused_without_showing_any_of_it(text, problem):
    with pytest.raises(ProfileError) as caught:
        users_file.parse(text, "users.csv")
    assert str(caught.value).startswith(problem)
    assert "Secret1" not in str(caught.value)


def test_a_file_without_accounts_is_wrong():
    assert users_file.parse("user\n", "users.csv").problems == (Problem(1, "there is no account"),)


def test_secrets_are_in_no_representation():
    found = users_file.parse(FULL, "users.csv")
    for shown in (repr(found), repr(found.accounts), repr(found.accounts[2].credentials)):
        assert "secret one" not in shown
        assert HASH not in shown
        assert repr(bytes.fromhex(HASH)) not in shown


def test_a_file_that_others_may_read_is_warned_of(tmp_path):
    path = tmp_path / "users.csv"
    path.write_text(FULL)
    path.chmod(0o640)
    assert users_file.load(path).warnings == (f"{path}: others may read it (mode 0640); chmod 600 {path}",)
    path.chmod(0o600)
    assert users_file.load(path).warnings == ()


def test_a_file_that_cannot_be_used_is_refused_by_name(tmp_path):
    with pytest.raises(ProfileError, match=r"none\.csv: No such file"):
        users_file.load(tmp_path / "none.csv")
    (path := tmp_path / "users.csv").write_bytes(b"user\n\xff\n")
    with pytest.raises(ProfileError, match="not UTF-8 text"):
        users_file.load(path)
    path.write_text("user\na@x.org\nb\n")
    with pytest.raises(
        ProfileError, match=r"users\.csv: line 2: no password.*and 2 more: loadgen users chec"
    ):
        users_file.load(path)


@pytest.mark.parametrize(
    ("pattern", "numbers", "first", "last"),
    [
        ("user{index:05d}@example.org", "0-499", "user00000@example.org", "user00499@example.org"),
        ("u{index}@x.org", " 9-10 ", "u9@x.org", "u10@x.org"),
        ("u{index:02d}@d{index}.org", "7-7", "u07@d7.org", "u07@d7.org"),
    ],
)
def test_a_pattern_names_mailboxes(pattern, numbers, first, last):
    names = users_file.expand(pattern, numbers)
    assert (names[0], names[-1]) == (first, last)
    accounts = users_file.from_mailboxes(names, iter(["x"] * len(names)))
    assert (accounts[-1].index, accounts[-1].user, accounts[-1].smtp) == (len(names) - 1, last, last)


@pytest.mark.parametrize("numbers", ["5", "9-1", "0-1000000", "a-b", "-5"])
def test_what_is_no_range_is_refused(numbers):
    with pytest.raises(ProfileError, match="users_range: "):
        users_file.expand("u{index}@x.org", numbers)


@pytest.mark.parametrize(
    "pattern", ["user@x.org", "u{index}", "u{index.__class__}@x.org", "u{index:5}@x.org", "{index}@{x}.org"]
)
def test_what_is_no_pattern_is_refused(pattern):
    with pytest.raises(ProfileError, match="users_pattern: "):
        users_file.expand(pattern, "0-1")
