"""Time and conditions that a test sets by hand."""

import math

from privet.privacy.errors import InputError

START = 1_700_000_000.0


class ManualClock:
    """Unix seconds that pass only when a test says so; for ``Client.open(clock=...)``.

    The client's history, consents and quotas go by it. The connection to a server does not: what a
    server may wait for, and until when a certificate holds, is a matter of real time.

    Attributes:
        now: Unix seconds; may be set to any time, also an earlier one.
    """

    def __init__(self, now: float = START) -> None:
        """Stand still."""
        self.now = now

    def __call__(self) -> float:
        """Unix seconds."""
        return self.now

    def advance(self, seconds: float) -> float:
        """Let time pass; the new time.

        Raises:
            InputError: Not a finite number of 0 or more; set ``now`` to go back.
        """
        if not (math.isfinite(seconds) and seconds >= 0):
            raise InputError("Expected seconds of 0 or more. To put a clock back, set its `now`.")
        self.now += seconds
        return self.now


class Moment:
    """Conditions that are set by hand; for ``client.train_if_due(moment)``.

    Args:
        idle: See `Conditions`; None for not known.
        charging: Likewise.
        unmetered: Likewise.
    """

    def __init__(
        self,
        *,
        idle: bool | None = True,
        charging: bool | None = True,
        unmetered: bool | None = True,
    ) -> None:
        """A good moment, if nothing else is said."""
        self._idle, self._charging, self._unmetered = idle, charging, unmetered

    def idle(self) -> bool | None:
        """As it was set."""
        return self._idle

    def charging(self) -> bool | None:
        """As it was set."""
        return self._charging

    def unmetered(self) -> bool | None:
        """As it was set."""
        return self._unmetered
