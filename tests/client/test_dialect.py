import msgspec
import pytest

from loadgen.client.client_type import ClientType, PublicFolderWork
from loadgen.client.dialect import Dialect, Evidence, tell_dialect
from loadgen.errors import ProfileError
from loadgen.workload import library

CLIENT = library.read("client", "outlook2007-online-anywhere", ClientType)


@pytest.mark.parametrize(
    ("name", "ports", "public_folders"),
    [
        ("mock", (6001, 6002, 6004), True),
        ("exchange2007", (6001, 6002, 6004), True),
        ("exchange2010", (6001, 6002, 6004), True),
        ("exchange2013", (6001, 6001, 6001), False),
        ("gromox", (6001, 6001, 6001), False),
        ("unknown", (6001, 6002, 6004), False),
    ],
)
def test_each_kind_of_server_has_its_endpoints(name, ports, public_folders):
    dialect = library.read("dialect", name, Dialect)
    assert msgspec.structs.astuple(dialect.ports) == ports
    assert dialect.public_folders is public_folders
    assert dialect.recipients == ("alias" if name == "mock" else "address")


def test_a_client_type_goes_without_public_folders_where_there_are_none():
    adapted = Dialect(public_folders=False).adapt(CLIENT)
    assert (adapted.connections.public_folder, adapted.public_folder) == (0, PublicFolderWork())
    assert (adapted.connections.mail, adapted.directory) == (CLIENT.connections.mail, CLIENT.directory)
    assert Dialect().adapt(CLIENT) is CLIENT
    assert Dialect(public_folders=False).adapt(adapted) is adapted


@pytest.mark.parametrize("text", ["path = 'rpc'", "path = '/a?b'", "ports = {store = 0}", "chunked = true"])
def test_what_no_client_uses_or_could_is_refused(tmp_path, text):
    (tmp_path / "mine.toml").write_text(text)
    with pytest.raises(ProfileError):
        library.read("dialect", str(tmp_path / "mine.toml"), Dialect)


GROMOX_DN = "/o=x/ou=y/cn=recipients/cn=00000001000000a2-u001"


@pytest.mark.parametrize(
    ("seen", "name", "why"),
    [
        (Evidence(), "unknown", "nothing says what server it is, so the most tolerant one"),
        (Evidence((8, 1, 240)), "exchange2007", "Autodiscover tells version 8.1.240"),
        (
            Evidence(store_version=(14, 3, 123, 4)),
            "exchange2010",
            "its mailbox store tells version 14.3.123.4",
        ),
        (
            Evidence((14, 3, 123), store_version=(15, 0, 1, 2)),
            "exchange2010",
            "Autodiscover tells version 14.3.123",
        ),
        (
            Evidence((9, 0, 1), store_version=(6, 5, 7638, 1)),
            "exchange2007",
            "its mailbox store tells version 6.5.7638.1",
        ),
        (Evidence((15, 0, 1), GROMOX_DN), "gromox", "mailboxes have names as Gromox makes them"),
        (
            Evidence(store_version=(15, 0, 847, 4040)),
            "gromox",
            "its mailbox store has the version that Gromox tells",
        ),
        (Evidence(server="guid@contoso.test"), "exchange2013", "its servers are called GUID@domain"),
        (
            Evidence(store_version=(9, 0, 1, 0)),
            "unknown",
            "nobody knows version 9.0.1.0, so the most tolerant one",
        ),
    ],
)
def test_by_what_a_server_is_told(seen, name, why):
    assert tell_dialect(seen) == (name, why)
