"""``loadgen users``: makes, checks and shows the files that hold a run's accounts."""

import os
import secrets
from collections.abc import Iterable
from itertools import repeat
from pathlib import Path
from typing import Final

import click

from loadgen.cli.output import json_option, print_json
from loadgen.client import users_file
from loadgen.client.account import Account
from loadgen.client.users_file import PASSWORD_VARIABLE
from loadgen.errors import ProfileError

_GENERATED_OCTETS: Final = 15
"""Of chance in a generated password: 20 characters, of which domain policies want three kinds."""
_MASK: Final = "********"
_FILE: Final = click.Path(path_type=Path, dir_okay=False)


@click.group(epilog="\b\nExample:\n  loadgen users make 'user{index:05d}@example.org' 0-499 --out users.csv")
def users() -> None:
    """Make, check and show users files: CSV with a line per account (docs/accounts.md).

    Passwords are never given on the command line: they come from LOADGEN_PASSWORD or are asked for.
    """


@users.command(epilog="\b\nExample:\n  loadgen users make 'user{index:05d}@example.org' 0-499 --generate")
@click.argument("pattern")
@click.argument("numbers", metavar="FIRST-LAST")
@click.option("--out", type=_FILE, default=Path("users.csv"), show_default=True, help="File to write.")
@click.option("--generate", is_flag=True, help="Give each account a random password of its own.")
@click.option("--force", is_flag=True, help="Replace the file if it exists.")
def make(pattern: str, numbers: str, *, out: Path, generate: bool, force: bool) -> None:
    """Write a file, readable by you alone, with the accounts that PATTERN names over a range.

    Without --generate all have one password: that of the variable LOADGEN_PASSWORD, or the one you type.
    """
    mailboxes = users_file.expand(pattern, numbers)
    if out.exists() and not force:
        raise ProfileError(f"{out}: exists already; --force replaces it")
    passwords: Iterable[str] = (_generated() for _ in mailboxes) if generate else repeat(_one_password())
    _write(out, users_file.write(users_file.from_mailboxes(mailboxes, passwords)))
    click.echo(f"{out}: {len(mailboxes):,} accounts, {mailboxes[0]} to {mailboxes[-1]}; mode 0600")


@users.command(epilog="\b\nExample:\n  loadgen users check users.csv")
@click.argument("file", type=_FILE)
@json_option()
def check(file: Path, *, as_json: bool) -> None:
    """Check every line of FILE; exits with 2 if one is wrong. Nothing is connected to."""
    found = users_file.read(file, os.environ.get(PASSWORD_VARIABLE))
    problems = [{"line": problem.line, "text": problem.text} for problem in found.problems]
    if as_json:
        print_json({"accounts": len(found.accounts), "problems": problems, "warnings": list(found.warnings)})
    else:
        for warning in found.warnings:
            click.echo(f"Warning: {warning}", err=True)
        for problem in found.problems:
            click.echo(f"{file}: {problem}", err=True)
        if not problems:
            incomplete = sum(not account.is_complete for account in found.accounts)
            discovery = f"; discovery has to complete {incomplete:,}" if incomplete else ""
            click.echo(f"{file}: {len(found.accounts):,} accounts{discovery}")
    if problems:
        raise click.exceptions.Exit(2)


@users.command(epilog="\b\nExample:\n  loadgen users show users.csv --json")
@click.argument("file", type=_FILE)
@json_option()
def show(file: Path, *, as_json: bool) -> None:
    """Show what FILE says of each account, passwords and hashes masked."""
    found = users_file.load(file, os.environ.get(PASSWORD_VARIABLE, ""))
    rows = [_masked(account) for account in found.accounts]
    if as_json:
        print_json(rows)
    else:
        for row in rows:
            click.echo("  ".join(f"{name}={value}" for name, value in row.items() if value))


def _masked(account: Account) -> dict[str, str]:
    return {
        "user": account.user,
        "domain": account.domain,
        "secret": _MASK if account.password or account.nt_hash else "none",
        "mailbox": account.smtp,
        "server": account.home_server,
        "public_server": account.public_server,
        "dn": account.legacy_dn,
        "display_name": account.display_name,
    }


def _one_password() -> str:
    known = os.environ.get(PASSWORD_VARIABLE)
    if known is not None:
        return known
    typed: str = click.prompt("Password of all accounts", hide_input=True, confirmation_prompt=True, err=True)
    return typed


def _generated() -> str:
    """A lower-case letter, an upper-case letter and a digit stand in front, for the sake of policies."""
    return f"aA1{secrets.token_urlsafe(_GENERATED_OCTETS)}"


def _write(path: Path, text: str) -> None:
    """Nobody else can read the file at any moment, not even one that was there before."""
    draft = path.with_name(f".{path.name}.draft")
    try:
        draft.unlink(missing_ok=True)
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(text)
        draft.replace(path)
    except OSError as error:
        raise ProfileError(f"{path}: {error.strerror}") from None
