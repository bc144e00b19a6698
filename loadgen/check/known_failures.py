"""What can go wrong on the way to a mailbox: what it looks like, what it means, what helps.

The first row that fits names a failure.
"""

from typing import Final

from loadgen.check.finding import Finding, KnownFailure
from loadgen.check.inside_failures import INSIDE_FAILURES
from loadgen.check.rpc_failures import RPC_FAILURES
from loadgen.check.web_failures import WEB_FAILURES

KNOWN_FAILURES: Final = (*INSIDE_FAILURES, *WEB_FAILURES, *RPC_FAILURES)


def known(finding: Finding) -> KnownFailure | None:
    """The row that fits, None for something new."""
    return next((row for row in KNOWN_FAILURES if row.fits(finding)), None)
