"""The names of servers that hold a public folder; the vector is in test_oxcstor."""

import pytest

from loadgen.errors import WireError
from loadgen.wire.buffer import Reader, Writer
from loadgen.wire.rop.replicas import GhostedReplicasForm, ReplicaServers, ReplicasForm

SERVERS = ReplicaServers(1, ("A", "B"))
WIRE = bytes.fromhex("0200 0100 4100 4200")


@pytest.mark.parametrize(
    ("form", "data", "value"),
    [
        (ReplicasForm(), WIRE, SERVERS),
        (GhostedReplicasForm(), b"\1" + WIRE, SERVERS),
        (GhostedReplicasForm(), b"\0", None),
    ],
)
def test_servers_are_read_and_written(form, data, value):
    assert form.read(Reader(data), "Servers") == value
    writer = Writer()
    form.write(writer, value)
    assert writer.getvalue() == data
    for size in range(len(data)):
        with pytest.raises(WireError):
            form.read(Reader(data[:size]), "Servers")


def test_there_are_no_more_cheap_servers_than_servers():
    with pytest.raises(WireError, match="3 of 2"):
        ReplicaServers.read(Reader(bytes.fromhex("0200 0300 4100 4200")), "Servers")
