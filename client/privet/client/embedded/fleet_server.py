"""Where a device's server is, and whom it trusts to say so."""

from dataclasses import dataclass
from pathlib import Path

from privet.privacy.errors import InputError


@dataclass(frozen=True, kw_only=True)
class FleetServer:
    """A SuperLink, or the proxy before it, as the app's developer knows it.

    Attributes:
        host: Name or address, as its certificate has it.
        port: Where it listens.
        authority: A PEM file with the only certificate authority that is trusted.
        timeout_seconds: For connecting, and for each wait for an answer.
        max_request_bytes: A request with more is refused unread; it is held in memory twice.

    Raises:
        InputError: A value is out of range.
    """

    host: str
    port: int
    authority: Path
    timeout_seconds: float = 10.0
    max_request_bytes: int = 64 << 20

    def __post_init__(self) -> None:
        """Check the values."""
        named = bool(self.host) and self.host.isascii() and not set(self.host) & set("/@[] \r\n")
        if not named or not 0 < self.port < 1 << 16:
            raise InputError("A server is a host name or address, and a port of 1 to 65535.")
        if not 0 < self.timeout_seconds <= 600 or self.max_request_bytes < 1:
            raise InputError("The timeout is above 0 and at most 600 seconds, a size at least 1.")
