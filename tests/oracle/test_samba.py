"""What Samba's codec says to our PDUs and to our MGMT stubs."""

import json

import pytest

from loadgen.wire import mgmt, rts
from loadgen.wire.pdu import NDR, NDR64
from tests.oracle import built, samba

pytestmark = [pytest.mark.judge, samba.needs_samba]

_UNPACK_MGMT = """
import json, sys
from samba.dcerpc import mgmt
from samba.ndr import ndr_unpack_out
methods = "inq_if_ids", "inq_stats", "is_server_listening", "stop_server_listening", "inq_princ_name"
calls = [getattr(mgmt, method)() for method in methods]
calls[4].in_princ_name_size = 32
for call, line in zip(calls, sys.stdin):
    ndr_unpack_out(call, bytes.fromhex(line))
ids, stats, listening, stop, name = calls
print(json.dumps({
    "if_ids": [[str(id.id.uuid), id.id.if_version] for id in ids.out_if_id_vector.if_id],
    "statistics": stats.out_statistics.statistics,
    "listening": [listening.result, listening.out_status],
    "stop": stop.result[0],
    "princ_name": name.out_princ_name,
}))
"""


def test_every_pdu_that_we_build_comes_back_from_samba() -> None:
    assert samba.complaints(value.encode() for value in (*built.RTS_PDUS, *built.RPC_PDUS)) == []


def test_samba_does_complain() -> None:
    short_window, wrong_count = rts.conn_b3(4096).encode(), bytearray(rts.conn_b3(65536).encode())
    wrong_count[18] += 1
    complaints = samba.complaints([short_window, built.RTS_PDUS[0].encode(), bytes(wrong_count)])
    assert ["Range Error" in complaints[0], "Buffer Size Error" in complaints[1]] == [True, True]
    assert len(complaints) == 2


def test_our_mgmt_answers_are_read_by_samba() -> None:
    stubs = (
        mgmt.InqIfIdsResponse((NDR, NDR64)).encode(),
        mgmt.InqStatsResponse((1, 2, 3, 4)).encode(),
        mgmt.IsServerListeningResponse(listening=True).encode(),
        mgmt.StopServerListeningResponse(5).encode(),
        mgmt.InqPrincNameResponse("exchangeMDB/mbx1", 32).encode(),
    )
    (answer,) = samba.run(_UNPACK_MGMT, (stub.hex() for stub in stubs))
    assert json.loads(answer) == {
        "if_ids": [
            ["8a885d04-1ceb-11c9-9fe8-08002b104860", 2],
            ["71710533-beba-4937-8319-b5dbef9ccc36", 1],
        ],
        "statistics": [1, 2, 3, 4],
        "listening": [1, 0],
        "stop": 5,
        "princ_name": "exchangeMDB/mbx1",
    }
