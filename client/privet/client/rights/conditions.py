"""Whether this is a good moment for a device to train: idle, charging, on a network without a meter."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

_CELLULAR = ("wwan", "ppp", "rmnet", "ccmni")
_POWERED = ("Charging", "Full", "Not charging")


class Conditions(Protocol):
    """What a host knows of the moment; None where it does not know."""

    def idle(self) -> bool | None:
        """Whether nobody needs the device's speed now."""

    def charging(self) -> bool | None:
        """Whether it does not live on its battery."""

    def unmetered(self) -> bool | None:
        """Whether the network does not cost by the byte."""


class PlatformConditions:
    """What Linux tells any program; None wherever it does not, and on other systems.

    Whether a connection is metered is known to the desktop's network manager alone, over D-Bus: a host
    that knows it says so. Here it is False on a modem's interface, and None on all others.

    Args:
        power: Folder of power supplies.
        routes: The kernel's table of routes.
        load: Tasks that wish to run, for each core.
        busy: From this load on the device is not idle.
    """

    def __init__(
        self,
        *,
        power: Path = Path("/sys/class/power_supply"),
        routes: Path = Path("/proc/net/route"),
        load: Callable[[], float | None] | None = None,
        busy: float = 0.5,
    ) -> None:
        """Look at nothing yet."""
        self._power = power
        self._routes = routes
        self._load = load or _load_per_core
        self._busy = busy

    def idle(self) -> bool | None:
        """Whether less than half of the cores were wanted, in the last minute."""
        load = self._load()
        return None if load is None else load < self._busy

    def charging(self) -> bool | None:
        """Whether a supply is on, or a battery charges or is full; or there is no battery at all."""
        try:
            supplies = sorted(self._power.iterdir())
        except OSError:
            return None
        battery = False
        for supply in supplies:
            kind = _word(supply / "type")
            if kind is None or _word(supply / "scope") == "Device":
                continue  # a mouse's battery is not the device's
            if kind == "Battery":
                battery = True
                if _word(supply / "status") in _POWERED:
                    return True
            elif _word(supply / "online") == "1":
                return True
        return not battery

    def unmetered(self) -> bool | None:
        """False if all traffic goes through a modem."""
        try:
            rows = [line.split() for line in self._routes.read_text().splitlines()[1:]]
        except OSError:
            return None
        through = [row[0] for row in rows if len(row) > 1 and row[1] == "00000000"]
        modem = through and all(name.startswith(_CELLULAR) for name in through)
        return False if modem else None


def _load_per_core() -> float | None:
    try:
        return os.getloadavg()[0] / (os.cpu_count() or 1)
    except (OSError, AttributeError):
        return None


def _word(path: Path) -> str | None:
    try:
        return path.read_text().strip()
    except (OSError, UnicodeError):
        return None
