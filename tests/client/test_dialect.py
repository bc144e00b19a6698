import msgspec
import pytest

from loadgen.client.client_type import ClientType, PublicFolderWork
from loadgen.client.dialect import Dialect
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
