"""With which exit code an error ends a command."""

from typing import Final

from loadgen.errors import LoadgenError, PeerError, ProfileError
from loadgen.measure.store import ResultsError
from loadgen.measure.threshold import EXIT_BUG, EXIT_INVALID, EXIT_UNREACHABLE, EXIT_USAGE
from loadgen.report.html.page import NoCharts

_EXIT_CODES: Final[tuple[tuple[type[LoadgenError], int], ...]] = (
    (ProfileError, EXIT_USAGE),
    (NoCharts, EXIT_USAGE),
    (ResultsError, EXIT_INVALID),
    (PeerError, EXIT_UNREACHABLE),
)


def exit_code_of(error: LoadgenError) -> int:
    """That of its kind; what has none should not have happened."""
    return next((code for kind, code in _EXIT_CODES if isinstance(error, kind)), EXIT_BUG)
