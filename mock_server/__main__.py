"""``python -m mock_server``: serves a mock organisation until it is told to stop."""

import sys


def main() -> int:
    """A role's process if the supervisor asks for one, else the command line; the exit status."""
    if sys.argv[1:2] == ["--role"]:
        from mock_server import role_process  # noqa: PLC0415 - roles start faster without the command line

        return role_process.main()
    from mock_server import command_line  # noqa: PLC0415

    return command_line.main()


if __name__ == "__main__":
    sys.exit(main())
