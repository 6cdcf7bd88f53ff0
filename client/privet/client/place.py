"""Where a client's place in a federation is; loads nothing of it before there is one."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from threading import RLock
from typing import TYPE_CHECKING

from privet.client.learning.published import Published

if TYPE_CHECKING:  # with a place in a federation come plans and accounting
    from privet.client.federated import Federated

INVITATION = "invitation.json"


class Place:
    """A client's place in a federation.

    Args:
        folder: Of the membership.
        departures: File of the plans that the device has left.
        make: Makes it ready for the folder and the file.
        brought: The published model that the app brings along.
    """

    def __init__(
        self,
        folder: Path,
        departures: Path,
        make: "Callable[[Path, Path], Federated]",
        *,
        brought: Published | None,
    ) -> None:
        """Load nothing."""
        self.departures = departures
        self._folder, self._make, self._brought = folder, make, brought
        self._held: Federated | None = None
        self._lock = RLock()

    def made(self) -> "Federated":
        """The place, made ready when it is first asked for."""
        with self._lock:
            if self._held is None:
                self._held = self._make(self._folder, self.departures)
            return self._held

    def joined(self) -> "Federated | None":
        """The same if the device has joined a federation, else None."""
        return self.made() if (self._folder / INVITATION).is_file() else None

    def published(self) -> Published | None:
        """The model to use: the federation's, or the one that the app brings along."""
        joined = self.joined()
        return (None if joined is None else joined.published()) or self._brought

    @contextmanager
    def paused(self) -> Iterator[None]:
        """End training in other threads, and let none begin.

        Whoever holds the client's lock as well takes it after this: training asks for the history.
        """
        with ExitStack() as stack:
            if (joined := self.joined()) is not None:
                stack.enter_context(joined.paused())
            yield

    def finish(self) -> None:
        """Remove what a crash has left of a place that was to be destroyed."""
        if self._folder.is_dir() and not (self._folder / INVITATION).is_file():
            from privet.client.rights.erasure import finish_leaving

            finish_leaving(self._folder)

    def close(self) -> None:
        """End training, and close the device's directory."""
        with self._lock:
            held = self._held
        if held is not None:
            held.close()
