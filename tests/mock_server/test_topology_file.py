"""Topologies: what the built-in ones hold, and how every mistake is answered."""

import pytest

from loadgen.errors import ProfileError
from mock_server.organisation import describe
from mock_server.topology_file import TopologySource, built_in_names, parse_change, read_topology


def write(tmp_path, text, name="mine.toml"):
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    return str(path)


def test_built_in_topologies():
    assert {"default", "gromox", "hosting", "small", "white-paper"} <= set(built_in_names())
    servers = {name: [server.name for server in read_topology(name).servers] for name in ("default", "small")}
    assert servers == {
        "default": ["CAS1", "MBX1", "MBX2", "PF1", "GC1"],
        "small": ["CAS1", "MBX1", "PF1", "GC1"],
    }
    assert read_topology("small").accounts.count == 5
    assert read_topology("small").http == read_topology("default").http


def test_keys_left_out_have_the_values_of_the_default_topology(tmp_path):
    """So the file is all comment for who wants only servers of their own."""
    default = read_topology("default")
    servers = "".join(
        f'[[{role}]]\nname = "{name}"\naddress = "127.0.10.{number}"\n'
        for number, (role, name) in enumerate(
            (("client_access", "A"), ("mailbox", "B"), ("global_catalog", "C"))
        )
    )
    mine = read_topology(write(tmp_path, servers))
    for key in (
        "organisation",
        "accounts",
        "http",
        "rpc",
        "store",
        "ports",
        "counters",
        "base_address",
    ):
        assert getattr(mine, key) == getattr(default, key)
    assert mine.public_folders == ()


def test_a_file_extends_another_by_path(tmp_path):
    write(tmp_path, 'extends = "small"\n[accounts]\ncount = 7\n', "base.toml")
    topology = read_topology(write(tmp_path, 'extends = "./base.toml"\n[http]\nframing = "chunked"\n'))
    assert (topology.accounts.count, topology.http.framing, len(topology.mailbox)) == (7, "chunked", 1)


def test_a_file_is_to_blame_for_what_no_change_touches(tmp_path):
    mine = write(tmp_path, 'extends = "small"\n[limits]\nprots = 1\n')
    with pytest.raises(ProfileError, match=r"mine\.toml: limits\.prots: unknown key"):
        read_topology(mine, changes={"limits.ports": 10, "limits.prot": "off"})


def test_a_source_reads_its_file_again(tmp_path):
    source = TopologySource(
        write(tmp_path, 'extends = "small"\n'),
        "127.0.40.0",
        {"client_access.0.source_addresses": ["127.0.10.2"]},
    )
    first = source.read()
    assert first.client_access[0].sources == ("127.0.40.2",)
    assert first.mailbox[0].sources == ("127.0.40.11",)
    write(tmp_path, 'extends = "small"\n[http]\nvalid_ports = ["default", "GC1:6004"]\n')
    again = source.read()
    assert again.valid_ports_of(again.client_access[0]) == ("default", "GC1:6004")
    assert again.client_access == first.client_access


def test_the_base_address_moves_all_addresses():
    topology = read_topology("default", base_address="127.0.40.0")
    assert [server.address for server in topology.servers] == [
        f"127.0.40.{last}" for last in (1, 11, 12, 21, 31)
    ]
    assert (topology.base_address, topology.counters.address) == ("127.0.40.0", "127.0.40.250")


@pytest.mark.parametrize(
    ("text", "key", "value"),
    [
        ("accounts.count=7", "accounts.count", 7),
        ("http.framing=chunked", "http.framing", "chunked"),
        ('store.version="8.0.0.0"', "store.version", "8.0.0.0"),
        ("rpc.banner=false", "rpc.banner", False),
        ("a=b=c", "a", "b=c"),
    ],
)
def test_changes_of_a_command_line(text, key, value):
    assert parse_change(text) == (key, value)


def test_changes_reach_into_tables_and_arrays():
    changes = {"http.framing": "chunked", "mailbox.1.name": "MBX9", "client_access.0.processes": 2}
    topology = read_topology("default", changes=changes)
    assert topology.http.framing == "chunked"
    assert [server.name for server in topology.mailbox] == ["MBX1", "MBX9"]
    assert topology.client_access[0].processes == 2


@pytest.mark.parametrize("text", ["accounts.count", "=7", ""])
def test_a_change_is_a_key_and_a_value(text):
    with pytest.raises(ProfileError, match="not of the form key=value"):
        parse_change(text)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"http.prt": 80}, "^--set http.prt: unknown key; allowed: port, framing, "),
        ({"limits.prots": "off"}, "^--set limits.prots: unknown key; allowed: scale, ports, "),
        ({"limits": 1}, "^--set limits: expected a table, got a whole number$"),
        ({"limits.ports": 1.5}, "^--set limits.ports: expected a whole number or text, got a number$"),
        (
            {"limits.ports": "all"},
            "^--set limits.ports: 'all' is not allowed; allowed: off, white-paper, port-scalability, "
            "server-2008, server-2003, a whole number$",
        ),
        ({"http.valid_ports": "GC1:6004"}, "'GC1:6004' is not allowed; allowed: default, a list$"),
        (
            {"http.valid_ports": ["GC1"]},
            "^--set http.valid_ports.0: expected default, or a server and its ports, such as GC1:6004 or "
            "MBX1:6001-6002$",
        ),
        ({"new.table": 1}, "^--set new: unknown key; allowed: title, dialect, base_address, "),
        ({"accounts.count": 0}, "^--set accounts.count: expected a whole number >= 1$"),
        ({"accounts.count": "many"}, "^--set accounts.count: expected a whole number, got text$"),
        ({"http.framing": "gzip"}, "'gzip' is not allowed; allowed: plain, chunked$"),
        ({"store.version": "8.1"}, "^--set store.version: expected four numbers, such as 8.1.240.6$"),
        (
            {"mailbox.0.name": "a b"},
            "^--set mailbox.0.name: expected up to 15 letters, digits and hyphens, such as MBX1$",
        ),
        ({"mailbox": [{"name": "X"}]}, "^--set mailbox.0.address: missing$"),
        ({"mailbox.5.name": "X"}, "--set mailbox.5.name: there is no such key"),
        ({"mailbox.x.name": "X"}, "--set mailbox.x.name: there is no such key"),
        ({"mailbox.0": "X"}, "--set mailbox.0: there is no such key"),
        ({"title.x": 1}, "--set title.x: there is no such key"),
        ({"mailbox": []}, "^--set mailbox: missing$"),
        ({"dialect": "exim"}, "^--set dialect: 'exim' is not allowed; allowed: exchange2007, gromox$"),
        (
            {"dialect": "gromox"},
            "mailbox: gromox is one client access server of one process, and nothing else$",
        ),
        (
            {"mailbox.1.source_addresses": ["127.0.10.12", "127.0.10.1"]},
            r"sses\.1: two servers have the address",
        ),
        ({"mailbox.0.name": "cas1"}, "^--set mailbox.0.name: two servers have the name cas1"),
        ({"mailbox.0.address": "127.0.10.1"}, "two servers have the address 127.0.10.1"),
        (
            {
                "faults.planned": [
                    {"server": "gc1", "at_s": 0, "for_s": 1},
                    {"server": "x", "at_s": 0, "for_s": 1},
                ]
            },
            r"^--set faults.planned.1.server: there is no server x",
        ),
        ({"mailbox.0.address": "127.0.10.256"}, "'127.0.10.256' is not an IPv4 address"),
        ({"base_address": "here"}, "^--set base_address: 'here' is not an IPv4 address"),
        ({"accounts.alias": "user{number}"}, "accounts.alias: not a format string of index"),
        ({"accounts.display_name": "{index:q}"}, "accounts.display_name: not a format string of index"),
    ],
)
def test_mistakes_name_the_key(changes, message):
    with pytest.raises(ProfileError, match=message):
        read_topology("default", changes=changes)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a = ", "not TOML"),
        ("extends = 1", "extends: expected a name or a path"),
        ('extends = "nothing"', "'nothing' is no built-in topology; known: default, "),
        ('extends = "mine.toml"', "goes round in a circle"),
        ('extends = "other.toml"', "No such file"),
        ('title = "no servers"', "mine.toml: client_access: missing"),
        ('extends = "small"\n[limits]\nprots = 1', "mine.toml: limits.prots: unknown key"),
    ],
)
def test_mistakes_of_a_file_name_the_file(tmp_path, text, message):
    with pytest.raises(ProfileError, match=message):
        read_topology(write(tmp_path, text))


def test_wrong_names_of_a_command_line():
    with pytest.raises(ProfileError, match="known: default, "):
        read_topology("huge")
    with pytest.raises(ProfileError, match="--base-address: 'x' is not an IPv4 address"):
        read_topology("small", base_address="x")


def test_directory_and_description_say_the_same():
    topology = read_topology("default")
    directory, organisation = topology.directory(), describe(topology)
    accounts = organisation.accounts
    for index in (0, 1, 99):
        user = directory.by_alias(accounts.alias.format(index=index))
        assert user.smtp == f"{user.alias}@{accounts.domain}"
        assert user.dn == (
            f"/o={accounts.organisation}/ou={accounts.administrative_group}/cn=Recipients/cn={user.alias}"
        )
        assert user.display_name == accounts.display_name.format(index=index)
        assert user.home_server == accounts.servers[index % 2]
        assert user.public_server == "PF1"
    assert organisation.counters_url == "http://127.0.10.250:18090"
    assert [(cas.name, cas.address, cas.port) for cas in organisation.cas] == [("CAS1", "127.0.10.1", 18080)]
    store = {"store": 6001, "store_tcp": 6101, "endpoint_mapper": 6135}
    mailbox = store | {"referral": 6002, "referral_tcp": 6102, "directory": 6004}
    catalog = {"directory": 6004, "directory_tcp": 6104, "endpoint_mapper": 6135}
    assert {name: (s.role, s.address, s.ports) for name, s in organisation.servers.items()} == {
        "MBX1": ("mailbox", "127.0.10.11", mailbox),
        "MBX2": ("mailbox", "127.0.10.12", mailbox),
        "PF1": ("public_folders", "127.0.10.21", store),
        "GC1": ("global_catalog", "127.0.10.31", catalog),
    }
