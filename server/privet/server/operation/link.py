"""The seam between a server and what connects it to devices."""

from collections.abc import Callable, Collection
from contextlib import AbstractContextManager
from typing import Protocol

from privet.server.courier import Courier


class Link(Protocol):
    """Devices' way to a server: a SuperLink, or for tests something in this process."""

    def running(self) -> AbstractContextManager[object]:
        """The link, from its beginning to its end.

        Raises:
            TransportError: It cannot be begun.
            InputError: Something else is in its place.
        """

    def register(self, keys: Collection[str]) -> None:
        """Let devices with these public keys (PEM) in; those that are in already stay so.

        Raises:
            TransportError: The link does not answer, or refuses a key.
        """

    def courier(self) -> AbstractContextManager[Courier]:
        """What carries messages to devices and back, while the link runs.

        Raises:
            TransportError: The link does not answer.
        """


LinkMaker = Callable[[Callable[[], None]], Link]
"""Makes a link, given what is to be called whenever it was started again."""
