import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from loadgen.cli.main import main

DATA = Path(__file__).parent.parent / "imports" / "data"


def run(*arguments):
    done = CliRunner().invoke(main, ["import", *map(str, arguments)], catch_exceptions=False)
    return done.exit_code, done.stdout, done.stderr


def test_a_log_that_breaks_a_limit_is_exit_code_99(tmp_path):
    code, out, _ = run("perfmon", DATA / "relog.csv", "--limit_set", "exchange2007", "--out", tmp_path)
    assert code == 0
    limits = tmp_path / "own.toml"
    limits.write_text(
        "[[limit]]\ncounter = '\\MSExchangeIS\\RPC Averaged Latency'\nagg = 'max'\nop = '<'\nvalue = 30\n"
        "unit = 'ms'\nsource = 'us'\n[[limit]]\ncounter = '\\NTDS\\AB ANR/sec'\nagg = 'max'\nop = '<'\n"
        "value = 30\nsource = 'us'\n"
    )
    code, out, _ = run("perfmon", DATA / "relog.csv", "--limit_set", limits, "--out", tmp_path)
    assert code == 99
    assert "broken  MBX1" in out
    assert "1 not measured, so not passed: \\NTDS\\AB ANR/sec" in out


def test_an_import_is_printed_as_json_and_lies_in_its_folder(tmp_path):
    code, out, _ = run(
        "connections", DATA / "ss-mailbox.txt", "--role", "mailbox", "--out", tmp_path, "--json"
    )
    (folder,) = tmp_path.iterdir()
    assert code == 0
    assert json.loads(out) == json.loads((folder / "import.json").read_text())
    assert folder.name.endswith("-import-connections")
    options = ("--role", "gc", "--address", "127.0.10.3", "--gc-port", "6004", "--into", folder)
    code, out, _ = run("connections", DATA / "netstat-linux-gc.txt", *options)
    assert code == 0
    assert json.loads((folder / "import.json").read_text())["connections"]["directory"] == 3


def test_a_table_has_a_template(tmp_path):
    code, out, _ = run("table", "--template")
    assert code == 0
    assert "task,count,avg_ms,p95_ms,exceptions" in out
    code, out, _ = run("table", DATA / "tasks.csv", "--out", tmp_path)
    assert code == 0
    assert "SendMail" in out
    assert "DSProxy" in out


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (("perfmon", DATA / "tasks.csv"), "tasks.csv: line 1: is no PDH-CSV 4.0 log"),
        (("perfmon", DATA / "relog.csv", "--limit_set", "client-side"), "has thresholds over runs alone"),
        (("connections", DATA / "tasks.csv", "--role", "cas"), "tasks.csv: no TCP connection in it"),
        (("connections", DATA / "tasks.csv", "--role", "cas", "--address", "x"), "option: address: 'x'"),
        (("table",), "give a FILE, or --template"),
    ],
)
def test_what_is_wrong_is_one_line_and_leaves_no_folder(tmp_path, arguments, problem):
    out = () if arguments == ("table",) else ("--out", tmp_path / "out")
    code, _, err = run(*arguments, *out)
    assert code == 2
    assert problem in err
    assert not list(tmp_path.rglob("*"))[1:]
