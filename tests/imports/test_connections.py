from pathlib import Path

import pytest

from loadgen.errors import ProfileError
from loadgen.imports.connections import Ports, Server, addresses, count, import_connections
from loadgen.imports.listing import ListingError, read_listing

DATA = Path(__file__).parent / "data"


def counted(name, role, *, own=(), catalogs=(), **ports):
    server = Server(
        role=role,
        addresses=addresses(own, "address"),
        catalogs=addresses(catalogs, "gc_address"),
        ports=Ports(**ports),
    )
    return count(read_listing(DATA / name), server)


def test_a_client_access_server_by_windows_netstat():
    """One leg stands twice, and counts once; what waits or has another port does not count."""
    assert counted("netstat-windows-cas.txt", "cas") == {
        "client_to_cas": 3,
        "cas_to_stores": 2,
        "cas_to_referral": 1,
        "cas_to_dsproxy": 2,
    }
    with_catalog = counted("netstat-windows-cas.txt", "cas", catalogs=["10.0.0.9"], own=["10.0.0.1"])
    assert (with_catalog["cas_to_dsproxy"], with_catalog["cas_to_gc"]) == (1, 1)
    assert with_catalog["client_to_cas"] == 2


def test_a_mailbox_server_by_ss():
    assert counted("ss-mailbox.txt", "mailbox", own=["127.0.20.1"]) == {
        "store": 3,
        "referral": 1,
        "dsproxy": 1,
        "directory": 1,
    }
    assert counted("ss-mailbox.txt", "mailbox")["store"] == 4
    assert counted("ss-mailbox.txt", "mailbox", catalogs=["10.9.9.9"])["directory"] == 0
    assert counted("ss-mailbox.txt", "public-folders", own=["127.0.99.9"]) == {"public_store": 1}
    assert counted("ss-established.txt", "mailbox")["store"] == 2


def test_a_global_catalog_by_linux_netstat():
    assert counted("netstat-linux-gc.txt", "gc", own=["127.0.10.3"]) == {"directory": 3}
    assert counted("netstat-linux-gc.txt", "gc", gc=(6005,)) == {"directory": 0}


@pytest.mark.parametrize(
    ("name", "role", "column", "number"),
    [
        ("powershell.txt", "mailbox", "store", 2),
        ("powershell.txt", "mailbox", "dsproxy", 1),
        ("powershell.txt", "mailbox", "directory", 0),
        ("powershell.csv", "mailbox", "store", 2),
        ("powershell-culture.csv", "mailbox", "store", 2),
        ("tcpview-old.txt", "cas", "client_to_cas", 1),
        ("tcpview-old.txt", "cas", "cas_to_stores", 1),
        ("tcpview-new.txt", "cas", "client_to_cas", 2),
        ("tcpvcon.csv", "cas", "client_to_cas", 1),
    ],
)
def test_other_tools(name, role, column, number):
    assert counted(name, role)[column] == number


def test_powershell_redirects_in_utf_16(tmp_path):
    path = tmp_path / "list.txt"
    path.write_bytes((DATA / "powershell.txt").read_text().encode("utf-16"))
    assert len(list(read_listing(path))) == 3


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "no TCP connection in it"),
        (
            "  TCP  10.0.0.1:443  10.0.0.2:50  HERGESTELLT",
            "line 1: state 'HERGESTELLT' is in no list of states",
        ),
        ("  TCP  cas1:443  10.0.0.2:50  ESTABLISHED", "line 1: 'cas1' is no address; list numbers"),
        ("  TCP  10.0.0.1:imap  10.0.0.2:50  ESTABLISHED", "line 1: 'imap' is no port"),
        ("  TCP  10.0.0.1:70000  10.0.0.2:50  ESTABLISHED", "line 1: '70000' is no port"),
        (
            "2001:db8::1:2...  443  10.0.0.2  50  Established",
            "and was cut off: print it wider, or use Export-Csv",
        ),
        ("ESTAB 0 0 10.0.0.1:1 10.0.0.2:2\n+++ what +++", "line 2: '+++ what +++' is no connection"),
    ],
)
def test_what_is_wrong_is_told_with_file_and_line(tmp_path, text, problem):
    path = tmp_path / "list.txt"
    path.write_text(text + "\n")
    with pytest.raises(ListingError) as caught:
        list(read_listing(path))
    assert str(caught.value).startswith(f"{path}: ")
    assert problem in str(caught.value)


def test_lists_of_all_roles_make_one_table():
    cas = import_connections([DATA / "netstat-windows-cas.txt"], Server(role="cas"))
    assert (cas.connections["cas_total"], cas.connections["store"]) == (5, None)
    own = addresses(["127.0.20.1"], "address")
    mailbox = import_connections([DATA / "ss-mailbox.txt"], Server(role="mailbox", addresses=own), cas)
    assert (mailbox.connections["mailbox_total"], mailbox.connections["directory"]) == (5, 1)
    both = import_connections([DATA / "netstat-linux-gc.txt"], Server(role="gc"), mailbox)
    assert both.connections["directory"] == 3
    assert both.connections["client_to_cas"] == 3
    assert both.connections["public_store"] is None
    assert both.notes == ("directory: mailbox servers list 1, global catalogs 3; these count",)
    assert len(both.sources) == 3


def test_several_servers_of_a_role_add_up_and_a_wrong_role_is_told():
    twice = import_connections([DATA / "ss-mailbox.txt"] * 2, Server(role="mailbox"))
    assert twice.counted["mailbox"]["store"] == 8
    wrong = import_connections([DATA / "powershell.txt"], Server(role="cas"))
    assert "no connection of a cas server; are role, address and ports right?" in wrong.notes[0]


@pytest.mark.parametrize(
    ("catalogs", "through_dsproxy", "to_gc"), [((), 2, None), (("10.9.9.9",), 2, 0), (("10.0.0.9",), 1, 1)]
)
def test_catalogs_that_nobody_names_are_not_counted_as_none(catalogs, through_dsproxy, to_gc):
    listing = [DATA / "netstat-windows-cas.txt"]
    server = Server(role="cas", catalogs=addresses(catalogs, "gc_address"))
    other_server = Server(role="cas")
    one, other = import_connections(listing, server), import_connections(listing, other_server)
    columns = [one.connections[column] for column in ("cas_to_dsproxy", "cas_to_gc", "cas_total")]
    assert columns == [through_dsproxy, to_gc, 5]
    for both in (import_connections(listing, server, other), import_connections(listing, other_server, one)):
        assert both.connections["client_to_cas"] == 6
        assert both.connections["cas_to_gc"] is None, "one of the lists does not say"


def test_addresses_are_addresses():
    with pytest.raises(ProfileError, match="option: address: 'cas1' does not"):
        addresses(["cas1"], "address")
