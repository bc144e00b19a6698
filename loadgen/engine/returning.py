"""How long a user waits before he tries again: pure, every wait drawn from its half on."""

from collections.abc import Iterator
from random import Random
from typing import Final, NamedTuple

FIRST_RETRY_S: Final = 1.0
LONGEST_RETRY_S: Final = 60.0


class RetryAdvice(NamedTuple):
    """What EcDoConnectEx told the client (pcRetry, pcmsRetryDelay; [MS-OXCRPC] 3.1.4.1)."""

    retries: int = 0
    delay_s: float = 0.0


def reconnect_waits(advice: RetryAdvice, draw: Random) -> Iterator[float]:
    """Seconds before each attempt to come back after a loss, without end.

    As often and as long as the server said; then twice as long each time, up to a minute.
    """
    wait_s = FIRST_RETRY_S
    if advice.retries and advice.delay_s > 0:
        for _ in range(advice.retries):
            yield drawn(advice.delay_s, draw)
        wait_s = max(FIRST_RETRY_S, 2 * advice.delay_s)
    while True:
        wait_s = min(wait_s, LONGEST_RETRY_S)
        yield drawn(wait_s, draw)
        wait_s *= 2


def drawn(longest_s: float, draw: Random) -> float:
    """Between a half and the whole of ``longest_s``: who was cut together does not come together."""
    return longest_s * (0.5 + draw.random() / 2)
