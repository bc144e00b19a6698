"""Samba's NDR engine as judge of our bytes: a PDU must come out of its codec as it went in.

It knows every PDU, RTS included, with the ranges of values; it knows no NSPI, RFR or EMSMDB. It lives in the
system's Python, so all PDUs of a test go through one subprocess.
"""

import json
import subprocess
from collections.abc import Iterable
from functools import cache
from pathlib import Path

import pytest

SYSTEM_PYTHON = Path("/usr/bin/python3")
_PROBE = "import samba.dcerpc.dcerpc, samba.dcerpc.mgmt"
_CODEC = """
import json, sys
from samba.dcerpc import dcerpc
from samba.ndr import ndr_pack, ndr_unpack
for line in sys.stdin:
    try:
        answer = {"pdu": ndr_pack(ndr_unpack(dcerpc.ncacn_packet, bytes.fromhex(line))).hex()}
    except Exception as error:
        answer = {"problem": f"{type(error).__name__} {error}"}
    print(json.dumps(answer))
"""
ASK_MANAGEMENT = """
import json, sys
from samba import credentials, param
from samba.dcerpc import mgmt
settings = param.LoadParm()
domain, user, password, *bindings = (line.strip() for line in sys.stdin)
for binding in bindings:
    who = credentials.Credentials()
    who.guess(settings)
    who.set_domain(domain)
    who.set_username(user)
    who.set_password(password)
    who.set_kerberos_state(credentials.DONT_USE_KERBEROS)
    client = mgmt.mgmt(binding, settings, who)
    uuids = [str(each.id.uuid) for each in client.inq_if_ids().if_id]
    print(json.dumps({"uuids": uuids, "listening": client.is_server_listening()}))
"""
"""Domain, user, password and bindings, a line each: of which interfaces the management of each tells."""
_PATIENCE_S = 60
_AUTH3, _FREE = 16, slice(16, 20)  # the body of an auth3 means nothing, and Samba writes zeros


@cache
def installed() -> bool:
    """Whether the system's Python has Samba's bindings."""
    if not SYSTEM_PYTHON.exists():
        return False
    return subprocess.run([SYSTEM_PYTHON, "-c", _PROBE], capture_output=True, check=False).returncode == 0


needs_samba = pytest.mark.skipif(
    not installed(), reason="no Samba bindings here: apt-get install python3-samba"
)


def run(script: str, lines: Iterable[str]) -> list[str]:
    """The lines that a script for the system's Python answers with; a script that fails is an error."""
    done = subprocess.run(
        [str(SYSTEM_PYTHON), "-c", script],
        input="\n".join(lines),
        check=False,
        capture_output=True,
        text=True,
        timeout=_PATIENCE_S,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def complaints(pdus: Iterable[bytes]) -> list[str]:
    """The PDUs that Samba refuses or writes otherwise, and why; nothing is well."""
    sent = list(pdus)
    answers = [json.loads(line) for line in run(_CODEC, (pdu.hex() for pdu in sent))]
    found = []
    for pdu, answer in zip(sent, answers, strict=True):
        problem = answer.get("problem")
        if problem is None and bytes.fromhex(answer["pdu"]) != _comparable(pdu):
            problem = f"comes back as {answer['pdu']}"
        if problem is not None:
            found.append(f"{pdu.hex()}: {problem}")
    return found


def _comparable(pdu: bytes) -> bytes:
    if pdu[2] != _AUTH3:
        return pdu
    return pdu[: _FREE.start] + bytes(4) + pdu[_FREE.stop :]
