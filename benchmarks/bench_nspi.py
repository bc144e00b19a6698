"""CPU of a page of the address book (NspiQueryRows, 50 rows of 5 columns): ours, impacket's, and the floor.

The response is one that a real server sent; all subjects read the same bytes, in turns, so that a change of
the machine's speed meets them all. The floor does what no decoder in Python can leave out: it unpacks the
fixed words at once, cuts and decodes the strings and binaries, whose places it is told, and makes the values.
"""

import gc
from codecs import utf_16_le_decode
from collections.abc import Callable
from pathlib import Path
from statistics import median
from struct import Struct
from time import process_time_ns

from impacket.dcerpc.v5 import nspi as judge

from loadgen.wire import nspi
from loadgen.wire.properties import PropertyValue

PAGE = Path(__file__).parents[1] / "tests" / "vectors" / "nspi" / "gromox_query_rows_response.hex"
COLUMNS = (0x3001001F, 0x39FE001F, 0x3003001F, 0x0FF60102, 0x39000003)
HANDLE = bytes(range(20))
ROUNDS = 60


def read_page() -> bytes:
    lines = PAGE.read_text(encoding="ascii").splitlines()
    return bytes.fromhex("".join(line.partition("#")[0] for line in lines))


def ours(page: bytes) -> None:
    nspi.NspiQueryRowsRequest(HANDLE, nspi.Stat(), 50, COLUMNS).encode()
    nspi.NspiQueryRowsResponse.decode(page)


def judges(page: bytes) -> None:
    request = judge.NspiQueryRows()
    request["hRpc"]["context_handle_attributes"] = 0
    request["hRpc"]["context_handle_uuid"] = HANDLE[4:]
    request["lpETable"] = judge.NULL
    request["Count"] = 50
    for tag in COLUMNS:
        element = judge.DWORD()
        element["Data"] = tag
        request["pPropTags"]["aulPropTag"].append(element)
    request["pPropTags"]["cValues"] = len(COLUMNS)
    request.getData()
    judge.simplifyPropertyRowSet(judge.NspiQueryRowsResponse(page)["ppRows"])


def floor(page: bytes) -> Callable[[], object]:
    """The least work that leads from the bytes to the values, given where each of them stands."""
    rows = nspi.NspiQueryRowsResponse.decode(page).rows or ()
    strings, binaries, at = [], [], 0
    for value in (value for row in rows for value in row):
        if isinstance(value.value, str):
            raw = value.value.encode("utf-16-le")
            at = page.index(raw, at)
            strings.append((at, at + len(raw)))
            at += len(raw)
        elif isinstance(value.value, bytes):
            at = page.index(value.value, at)
            binaries.append((at, at + len(value.value)))
    words = Struct(f"<{sum(16 + 4 * (value.tag & 0xFFFF == 0x102) for value in rows[0]) // 4 * len(rows)}I")

    def decode() -> object:
        words.unpack_from(page, 48)
        texts = [utf_16_le_decode(page[start:stop])[0] for start, stop in strings]
        blobs = [page[start:stop] for start, stop in binaries]
        return [PropertyValue(0, text) for text in texts + blobs + blobs]

    return decode


def measure(subjects: dict[str, tuple[Callable[[], object], int]]) -> dict[str, list[float]]:
    """CPU of each subject in µs, round by round; each comes with how many calls one round makes of it."""
    rounds: dict[str, list[float]] = {name: [] for name in subjects}
    gc.freeze()
    for _ in range(ROUNDS):
        for name, (subject, calls) in subjects.items():
            gc.collect()  # nobody pays for what another left behind
            start = process_time_ns()
            for _ in range(calls):
                subject()
            rounds[name].append((process_time_ns() - start) / calls / 1000)
    return rounds


def ratio(dividends: list[float], divisors: list[float]) -> float:
    """How many times one subject's CPU is another's: within each round, then the median of all rounds."""
    return median([dividend / divisor for dividend, divisor in zip(dividends, divisors, strict=True)])


def main() -> None:
    page = read_page()
    copied = bytearray(page)
    response = nspi.NspiQueryRowsResponse.decode(page)
    rounds = measure(
        {
            "floor: copy the bytes": (lambda: bytes(copied), 200),
            "floor: unpack words, decode strings": (floor(page), 20),
            "ours: decode the response": (lambda: nspi.NspiQueryRowsResponse.decode(page), 10),
            "ours: encode the response": (response.encode, 10),
            "ours: request and response": (lambda: ours(page), 10),
            "impacket: decode the response": (lambda: judge.NspiQueryRowsResponse(page), 1),
            "impacket: request and response": (lambda: judges(page), 1),
        }
    )
    decode, call = rounds["ours: decode the response"], rounds["ours: request and response"]
    print(f"NspiQueryRows, {len(response.rows or ())} rows of {len(COLUMNS)} columns, {len(page)} bytes")
    print(f"{'':38}{'least µs':>10}{'x our decode':>15}")
    for name, figures in rounds.items():
        print(f"{name:38}{min(figures):10.1f}{ratio(figures, decode):15.2f}")
    of_decode = ratio(rounds["impacket: decode the response"], decode)
    of_call = ratio(rounds["impacket: request and response"], call)
    print(f"impacket / ours: {of_decode:.0f} (decode), {of_call:.0f} (request and response)")


if __name__ == "__main__":
    main()
