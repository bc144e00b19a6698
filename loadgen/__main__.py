"""``python -m loadgen``, and what the installed command ``loadgen`` calls."""

import sys
from typing import Final

_EXIT_INTERRUPTED: Final = 130  # measure.threshold has it too, and is not loaded yet


def main() -> None:
    """Runs the command line; an interrupt while it still loads ends it without a traceback."""
    try:
        from loadgen.cli.main import main as command_line  # noqa: PLC0415 - loading takes most of a second
    except KeyboardInterrupt:
        sys.exit(_EXIT_INTERRUPTED)
    command_line(prog_name="loadgen")


if __name__ == "__main__":
    main()
