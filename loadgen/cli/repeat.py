"""The command line as it was given, in a form that a user can paste and a report can show."""

import re
import shlex
from collections.abc import Sequence
from typing import Final

_USER_IN_ADDRESS: Final = re.compile(r"(?<=://)[^/\s@]+@")


def repeat_command(arguments: Sequence[str]) -> str:
    """``loadgen`` with its arguments, quoted for a shell; users and passwords in addresses are left out."""
    return shlex.join(["loadgen", *(_USER_IN_ADDRESS.sub("", argument) for argument in arguments)])
