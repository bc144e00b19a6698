"""Users files: a line of CSV per account, and patterns that stand for many of them (docs/accounts.md)."""

import csv
import io
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Final, NamedTuple

import msgspec

from loadgen.client.account import Account
from loadgen.errors import ProfileError

COLUMNS: Final = (
    "user",
    "domain",
    "password",
    "nt_hash",
    "mailbox",
    "server",
    "public_server",
    "dn",
    "display_name",
)
"""All columns of a users file; only ``user`` or ``mailbox`` has to be there."""

PASSWORD_VARIABLE: Final = "LOADGEN_PASSWORD"  # noqa: S105 - the name of a variable
MOST_ACCOUNTS: Final = 1_000_000

_NT_HASH: Final = re.compile(r"[0-9A-Fa-f]{32}")
_ADDRESS: Final = re.compile(r"[^@\s]+@[^@\s]+")
_INDEX: Final = re.compile(r"\{index(?::0(\d)d)?\}")
_RANGE: Final = re.compile(r"(\d{1,7})-(\d{1,7})")
_OTHERS_MAY_READ: Final = 0o077


class Problem(NamedTuple):
    """What is wrong with one line of a users file; lines count from 1."""

    line: int
    text: str

    def __str__(self) -> str:
        return f"line {self.line}: {self.text}"


class UsersFile(msgspec.Struct, frozen=True):
    """A users file that has been read: its accounts, what is wrong with it, and what may be."""

    accounts: tuple[Account, ...]
    problems: tuple[Problem, ...]
    warnings: tuple[str, ...] = ()

    def __repr__(self) -> str:
        return f"UsersFile({len(self.accounts)} accounts, {len(self.problems)} problems)"


def read(path: Path, password: str | None = None) -> UsersFile:
    """Reads a users file; ``password`` is that of accounts without one of their own.

    Raises :class:`~loadgen.errors.ProfileError` for a file that cannot be read or is no table at all.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
        mode = path.stat().st_mode
    except OSError as error:
        raise ProfileError(f"{path}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise ProfileError(f"{path}: not UTF-8 text") from None
    found = parse(text, str(path), password)
    if mode & _OTHERS_MAY_READ:
        warning = f"{path}: others may read it (mode {mode & 0o777:04o}); chmod 600 {path}"
        found = msgspec.structs.replace(found, warnings=(*found.warnings, warning))
    return found


def load(path: Path, password: str | None = None) -> UsersFile:
    """Reads a users file that must be right; raises :class:`~loadgen.errors.ProfileError` if it is not."""
    found = read(path, password)
    if found.problems:
        others = len(found.problems) - 1
        more = f" (and {others} more: loadgen users check {path})" if others else ""
        raise ProfileError(f"{path}: {found.problems[0]}{more}")
    return found


def parse(text: str, source: str, password: str | None = None) -> UsersFile:
    """Accounts and problems of a users file's text, which came from ``source``."""
    reader = csv.DictReader(io.StringIO(text), strict=True)
    try:
        columns = tuple(name.strip() for name in reader.fieldnames or ())
        _check_columns(columns, source)
        reader.fieldnames = columns
        rows = [(reader.line_num, row) for row in reader]
    except csv.Error as error:
        raise ProfileError(f"{source}: line {reader.line_num + 1}: not CSV: {error}") from None
    accounts: list[Account] = []
    problems: list[Problem] = []
    known: dict[str, int] = {}
    for line, row in rows:
        found, account = _read_row(row, len(accounts), password)
        problems += (Problem(line, problem) for problem in found)
        if account is None:
            continue
        for name in sorted({account.credentials.name.lower(), account.smtp.lower()}):
            first = known.setdefault(name, line)
            if first != line:
                problems.append(Problem(line, f"{name} stands in line {first} already"))
        accounts.append(account)
    if not rows:
        problems.append(Problem(1, "there is no account"))
    return UsersFile(tuple(accounts), tuple(dict.fromkeys(problems)))


def expand(pattern: str, text: str) -> tuple[str, ...]:
    """Mailboxes that ``pattern``, such as ``user{index:05d}@example.org``, names over a range, ``0-499``.

    Raises :class:`~loadgen.errors.ProfileError`.
    """
    if not text.strip():
        raise ProfileError("users_range: missing; users_pattern needs one, such as 0-499")
    bounds = _RANGE.fullmatch(text.strip())
    if bounds is None or int(bounds[1]) > int(bounds[2]):
        raise ProfileError(f"users_range: {text!r} is no range such as 0-499")
    first, last = int(bounds[1]), int(bounds[2])
    if last - first >= MOST_ACCOUNTS:
        raise ProfileError(f"users_range: {text!r} is more than {MOST_ACCOUNTS:,} accounts")
    rest = _INDEX.sub("", pattern)
    if rest == pattern or "{" in rest or "}" in rest or not _ADDRESS.fullmatch(_INDEX.sub("0", pattern)):
        raise ProfileError(
            f"users_pattern: {pattern!r} is no address with {{index}} or {{index:05d}} in it, "
            "such as user{index:05d}@example.org"
        )
    return tuple(_number(pattern, index) for index in range(first, last + 1))


def _number(pattern: str, index: int) -> str:
    return _INDEX.sub(lambda place: f"{index:0{place[1] or 0}d}", pattern)


def from_mailboxes(mailboxes: Iterable[str], passwords: Iterable[str]) -> tuple[Account, ...]:
    """Accounts that log on by their addresses, each with the password at its place."""
    unknown = dict.fromkeys(COLUMNS, "")
    pairs = zip(mailboxes, passwords, strict=False)
    return tuple(
        _account(unknown | {"mailbox": mailbox, "password": password}, index, None)
        for index, (mailbox, password) in enumerate(pairs)
    )


def write(accounts: Sequence[Account]) -> str:
    """The text of a users file, secrets included; columns that nobody needs are left out."""
    rows = [_row(account) for account in accounts]
    columns = [name for name in COLUMNS if name in ("user", "mailbox") or any(row[name] for row in rows)]
    text = io.StringIO()
    table = csv.DictWriter(text, columns, extrasaction="ignore", lineterminator="\n")
    table.writeheader()
    table.writerows(rows)
    return text.getvalue()


def _row(account: Account) -> dict[str, str]:
    return {
        "user": account.user,
        "domain": account.domain,
        "password": account.password,
        "nt_hash": account.nt_hash.hex() if not account.password else "",
        "mailbox": account.smtp,
        "server": account.home_server,
        "public_server": account.public_server,
        "dn": account.legacy_dn,
        "display_name": account.display_name,
    }


def _check_columns(columns: Sequence[str], source: str) -> None:
    """A file without a header would have us print a password, so unknown columns are counted, not shown."""
    unknown = [str(place) for place, name in enumerate(columns, 1) if name not in COLUMNS]
    if unknown:
        places = ", ".join(unknown)
        raise ProfileError(
            f"{source}: line 1 is the header: column {places} is not known; allowed: {', '.join(COLUMNS)}"
        )
    if len(set(columns)) != len(columns):
        raise ProfileError(f"{source}: line 1: a column stands there twice")
    if not {"user", "mailbox"} & set(columns):
        raise ProfileError(f"{source}: line 1: there has to be a column 'user' or 'mailbox'")


def _read_row(
    row: Mapping[str | None, str | None], index: int, password: str | None
) -> tuple[list[str], Account | None]:
    """What is wrong with a line, and its account if nothing is."""
    if None in row or None in row.values():
        return ["not as many fields as the header has"], None
    cells = dict.fromkeys(COLUMNS, "") | {str(name): value or "" for name, value in row.items()}
    cells |= {name: value.strip() for name, value in cells.items() if name != "password"}
    problems = list(_problems(cells, password))
    return problems, None if problems else _account(cells, index, password)


def _problems(cells: Mapping[str, str], password: str | None) -> Iterable[str]:
    user, mailbox, dn = cells["user"], cells["mailbox"], cells["dn"]
    if not user and not mailbox:
        yield "neither user nor mailbox"
    elif mailbox and not _ADDRESS.fullmatch(mailbox):
        yield f"mailbox: {mailbox!r} is no address"
    elif not mailbox and not _ADDRESS.fullmatch(user):
        yield f"user: {user!r} is no address, so mailbox has to be given"
    if cells["domain"] and ("\\" in user or "@" in user):
        yield f"domain: user {user!r} names a domain already"
    if cells["password"] and cells["nt_hash"]:
        yield "password and nt_hash: only one of them"
    if cells["nt_hash"] and not _NT_HASH.fullmatch(cells["nt_hash"]):
        yield "nt_hash: not 32 hexadecimal digits"
    if not cells["password"] and not cells["nt_hash"] and password is None:
        yield f"no password, no nt_hash, and {PASSWORD_VARIABLE} is not set"
    if dn and not dn.lower().startswith("/o="):
        yield f"dn: {dn!r} does not begin with /o="


def _account(cells: Mapping[str, str], index: int, password: str | None) -> Account:
    mailbox = cells["mailbox"] or cells["user"]
    own = cells["password"] or cells["nt_hash"]
    return Account(
        index=index,
        user=cells["user"] or mailbox,
        password=cells["password"] if own else password or "",
        alias=mailbox.partition("@")[0],
        display_name=cells["display_name"],
        legacy_dn=cells["dn"],
        smtp=mailbox,
        home_server=cells["server"],
        public_server=cells["public_server"],
        domain=cells["domain"],
        nt_hash=bytes.fromhex(cells["nt_hash"]),
    )
