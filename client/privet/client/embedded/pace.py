"""How long a device waits before it looks for a request again."""

from secrets import SystemRandom
from typing import Self

from privet.privacy.errors import InputError

POLL_SECONDS = 1.0
IDLE_SECONDS = 15.0
GROWTH = 1.5
LOOKS_PER_SECOND = 10.0


class Pace:
    """Often after a request, and less and less often while nothing comes.

    Looks are what a server with many devices has most of, so a device that has nothing to do looks
    after 1, 1.5, 2.25 ... times ``poll_seconds``, at most ``idle_seconds``, and begins anew after
    each request. A request is therefore found within ``poll_seconds`` and half of the time for which
    nothing came before it. Each wait is shortened by up to a fifth, at random, so that devices that
    were asked at the same moment do not come back at the same moment.

    Args:
        poll_seconds: After a request.
        idle_seconds: At most; well below the shortest deadline of the server's stages.

    Raises:
        InputError: Not ``0 < poll_seconds <= idle_seconds``.
    """

    def __init__(
        self, *, poll_seconds: float = POLL_SECONDS, idle_seconds: float = IDLE_SECONDS
    ) -> None:
        """As after a request."""
        if not 0 < poll_seconds <= idle_seconds:
            raise InputError(
                "Expected poll_seconds above 0 and at most idle_seconds, found "
                f"{poll_seconds} and {idle_seconds}."
            )
        self._first, self._longest = poll_seconds, idle_seconds
        self._next = poll_seconds

    @classmethod
    def among(cls, devices: int) -> Self:
        """For one of so many: the more there are, the rarer are looks.

        All idle devices together look at most about ten times a second, each at least every 15
        seconds where they are few; after a request twice as often.
        """
        idle = max(IDLE_SECONDS, devices / LOOKS_PER_SECOND)
        return cls(poll_seconds=max(POLL_SECONDS, idle / 2 - IDLE_SECONDS / 2), idle_seconds=idle)

    def busy(self) -> float:
        """There was a request; the seconds to wait."""
        self._next = self._first
        return self.idle()

    def idle(self) -> float:
        """There was none; the seconds to wait."""
        wait = self._next
        self._next = min(self._longest, GROWTH * wait)
        return wait * SystemRandom().uniform(0.8, 1.0)
