"""The published model that a device keeps: one file, replaced as a whole."""

import os
from dataclasses import dataclass, field
from pathlib import Path

from privet.models.model import SharedState
from privet.models.model_message import ModelMessage
from privet.privacy.errors import IntegrityError, PrivacyError, PrivetError


@dataclass(frozen=True, kw_only=True, eq=False)
class HeldModel:
    """What a device keeps.

    Attributes:
        version: Of the model.
        decision: Position of the server's decision by which the device has it.
        state_hash: Of the arrays.
        shared: The arrays.
    """

    version: int
    decision: int
    state_hash: str
    shared: SharedState = field(repr=False)


class ModelStore:
    """A device's one published model.

    Args:
        path: Of the file, in a folder that is there.

    Formal Guarantees:
        A decision of the server's that is older than the one by which the device has its model
        changes nothing, nor does a lower version, unless the server rolled back after that.
    """

    def __init__(self, path: Path) -> None:
        """Read nothing yet."""
        self._path = path

    @property
    def stamp(self) -> tuple[int, int] | None:
        """Of the file, without reading it: another one when another model is kept; None for none."""
        try:
            found = self._path.stat()
        except FileNotFoundError:
            return None
        return found.st_mtime_ns, found.st_size

    @property
    def held(self) -> HeldModel | None:
        """What is kept, or None.

        Raises:
            IntegrityError: The file is damaged.
        """
        if not self._path.exists():
            return None
        try:
            message = ModelMessage.parse(self._path.read_bytes())
        except PrivetError as error:
            raise IntegrityError(f"The model in {self._path} is damaged.") from error
        return HeldModel(
            version=message.version,
            decision=message.decision,
            state_hash=message.state_hash,
            shared=message.shared,
        )

    def keep(self, message: ModelMessage) -> None:
        """Keep a model, durably, if it is the server's latest word.

        Raises:
            PrivacyError: It is not.
            IntegrityError: It has the version of the one that is kept, and other arrays; or the
                file is damaged.
        """
        held = self.held
        if held is not None:
            if message.decision < held.decision:
                raise PrivacyError("A model is of an earlier decision than the one kept.")
            if message.version < held.version and not message.rolled_back > held.decision:
                raise PrivacyError(
                    "A model is older than the one kept, and nothing was rolled back."
                )
            if message.version == held.version and message.state_hash != held.state_hash:
                raise IntegrityError("One version of the model has two contents.")
            if (message.version, message.decision) == (held.version, held.decision):
                return
        partial = self._path.with_suffix(".partial")
        partial.unlink(missing_ok=True)
        descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(message.encode())
            file.flush()
            os.fsync(file.fileno())
        partial.replace(self._path)
