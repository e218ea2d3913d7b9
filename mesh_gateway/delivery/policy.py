"""How often to try again, and when: pure functions of numbers (Knative's DeliverySpec).

Attempts are `1 + retry`. The wait before retry n (n = 1, 2, …) is `delay * n` (linear) or
`delay * 2**n` (exponential), as Knative's API comment and two of its three brokers have it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

JITTER = 0.10
"""A wait is spread over ±10 %, so that copies which failed together do not come back together."""

MAX_DOUBLINGS = 40
"""2**40 times any delay is beyond every cap; keeps the power a small integer."""


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """A trigger's effective retry settings; seconds throughout."""

    retry: int = 0
    backoff: Literal["linear", "exponential"] = "exponential"
    delay: float = 0.0
    backoff_max: float = 3600.0
    retry_after_max: float = 600.0
    jitter: bool = True

    def again(self, attempt: int) -> bool:
        """Whether another attempt follows failed attempt number `attempt` (the first is 1)."""
        return attempt <= self.retry

    def longest(self) -> float:
        """Seconds of all waits together, without jitter and Retry-After; quick for any `retry`."""
        if not self.delay:
            return 0.0
        if self.backoff == "linear":
            rising = min(self.retry, int(self.backoff_max / self.delay))
            risen = self.delay * rising * (rising + 1) / 2
        else:
            rising = min(self.retry, MAX_DOUBLINGS)
            risen = sum(min(self.delay * 2**n, self.backoff_max) for n in range(1, rising + 1))
        return risen + self.backoff_max * (self.retry - rising)

    def wait(self, retry: int, after: float | None, chance: float) -> float:
        """Seconds before retry number `retry` (the first is 1).

        `after` is the subscriber's Retry-After, honoured up to `retry_after_max` when it is
        longer than the back-off; `chance` in [0, 1) places the jitter.
        """
        factor = retry if self.backoff == "linear" else 2 ** min(retry, MAX_DOUBLINGS)
        seconds = min(self.delay * factor, self.backoff_max)
        if self.jitter:
            seconds *= 1 - JITTER + 2 * JITTER * chance
        if after is not None:
            seconds = max(seconds, min(after, self.retry_after_max))
        return seconds
