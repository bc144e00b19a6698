"""The queue of HTTP.sys: requests of one application pool that no worker has taken yet.

Workers take requests at a steady rate, so when the last one in the queue will be taken says how many wait.
That moment is all that the processes of a server share. Times are seconds of the machine's monotonic clock.
"""

from typing import Final

from mock_server.limits.shared_cells import SharedMoment
from mock_server.limits.table import Limits, limit_counters

_BODY: Final = (
    b'<!DOCTYPE HTML PUBLIC "-//W3C//DTD HTML 4.01//EN">\r\n<html><head><title>Service Unavailable</title>'
    b"</head>\r\n<body><h2>Service Unavailable</h2>\r\n<hr><p>HTTP Error 503. The service is unavailable.</p>"
    b"\r\n</body></html>\r\n"
)
SERVICE_UNAVAILABLE: Final = (
    b"HTTP/1.1 503 Service Unavailable\r\nContent-Type: text/html; charset=us-ascii\r\n"
    b"Server: Microsoft-HTTPAPI/2.0\r\nConnection: close\r\nContent-Length: %d\r\n\r\n" % len(_BODY)
) + _BODY
"""What HTTP.sys says when the queue is full, before anybody has looked at the request."""


class RequestQueue:
    """The queue of the application pool ``name``; ``free`` is when a worker has time again."""

    def __init__(self, name: str, limits: Limits, free: SharedMoment, *, speaks: bool = True) -> None:
        self._name = name
        self._length = limits.scaled(limits.request_queue)
        self._interval_ns = round(1e9 / limits.requests_per_s) if limits.requests_per_s else 0
        self._free = free
        self._speaks = speaks
        self.hits = 0

    def enter(self, now: float) -> float | None:
        """How many seconds a new request waits for a worker; None, and a hit, if the queue is full."""
        if not self._interval_ns:
            return 0.0
        now_ns = round(now * 1e9)
        with self._free.locked() as free_ns:
            if self._length and free_ns > now_ns and self._waiting(free_ns, now_ns) >= self._length:
                self.hits += 1
                return None
            taken_ns = max(free_ns, now_ns)
            self._free.write(taken_ns + self._interval_ns)
        return (taken_ns - now_ns) / 1e9

    def report(self, now: float) -> dict[str, float]:
        """The counters of the limit; the length of the queue comes from the process that speaks."""
        if not self._length:
            return {}
        waiting = self._waiting(self._free.ns, round(now * 1e9)) if self._speaks else 0
        of = self._length if self._speaks else 0
        perfmon = f"HTTP Service Request Queues({self._name})\\"
        return {
            perfmon + "CurrentQueueSize": waiting,
            perfmon + "RejectedRequests": self.hits,
            **limit_counters("request_queue", waiting, of, self.hits),
        }

    def _waiting(self, free_ns: int, now_ns: int) -> int:
        """Requests that will be taken after now: one at each interval before a worker is free again."""
        return max(0, -((now_ns - free_ns) // self._interval_ns) - 1) if self._interval_ns else 0
