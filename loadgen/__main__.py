"""``python -m loadgen``, and what the installed command ``loadgen`` calls."""

from loadgen.cli.main import main

__all__ = ["main"]

if __name__ == "__main__":
    main(prog_name="loadgen")
