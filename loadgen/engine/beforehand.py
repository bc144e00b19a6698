"""What can be known to be missing on this machine before anything is started for a run."""

import socket
from collections.abc import Iterable
from pathlib import Path
from tempfile import TemporaryFile

from loadgen.errors import ProfileError


def require_own(addresses: Iterable[str]) -> None:
    """Raises :class:`~loadgen.errors.ProfileError` unless these are IPv4 addresses of this machine."""
    for address in addresses:
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as trial:
            try:
                trial.bind((address, 0))
            except OSError as error:
                raise ProfileError(
                    f"source_ip: {address} is not an address of this machine: {error.strerror}; "
                    "give it to a network interface first (ip address add), or give another"
                ) from None


def require_writable(folder: Path) -> None:
    """Raises :class:`~loadgen.errors.ProfileError` unless ``folder``, which may be made, takes results."""
    try:
        nearest = next(each for each in (folder, *folder.absolute().parents) if each.exists())
        with TemporaryFile(dir=nearest):
            pass
    except OSError as error:
        raise ProfileError(f"out: {folder}: {error.strerror}; give another --out") from None
