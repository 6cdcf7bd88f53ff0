"""The parts of an open client, together, and what every part asks of them."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import wraps
from threading import RLock
from typing import Concatenate, ParamSpec, Protocol, TypeVar

from privet.client.controls import Controls
from privet.client.features import Features
from privet.client.learning.situation import Mode, Situation, said
from privet.client.memory import Memory
from privet.client.place import Place
from privet.client.policy import Policy
from privet.client.rights.consents import Consents
from privet.client.vault.vault import Vault
from privet.privacy.canonical import Json
from privet.privacy.errors import InputError

_P = ParamSpec("_P")
_T = TypeVar("_T")
_S = TypeVar("_S", bound="_Locked")

Context = Mapping[str, Json]
"""What an app says of a moment: ``device``, ``session``, ``utc_offset_s``, and anything else."""


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class Parts:
    """The parts of an open client.

    Attributes:
        vault: The store.
        features: Of the catalogue.
        policy: What the app decides.
        controls: What the user said about lists.
        consents: What the user agreed to.
        memory: Events, and what is learnt from them.
        clock: Unix seconds.
        place: In a federation, if the device has one.
        lock: Held by whoever uses the parts.
    """

    vault: Vault
    features: Features
    policy: Policy
    controls: Controls
    consents: Consents
    memory: Memory
    clock: Callable[[], float]
    place: Place
    lock: RLock

    @property
    def now(self) -> int:
        """Unix seconds, 0 if the clock is before that."""
        return max(0, int(self.clock()))

    def mode(self, mode: Mode | str) -> Mode:
        """The mode that is asked for, or the popular one without consent to personalize.

        Raises:
            InputError: No such mode.
        """
        try:
            wanted = Mode(mode)
        except ValueError:
            raise InputError(f"Expected a mode, one of {', '.join(Mode)}.") from None
        return wanted if self.consents.may_record else Mode.POPULAR

    def utc_offset_s(self, context: Context | None) -> int:
        """Local time less UTC: the context's, or the device's.

        Raises:
            InputError: One that is none.
        """
        offset = (context or {}).get("utc_offset_s", time.localtime(self.now).tm_gmtoff)
        if type(offset) is not int:
            raise InputError("Expected a context's utc_offset_s in whole seconds.")
        return offset

    def situation(self, context: Context | None) -> Situation:
        """The situation that an app's context describes.

        Raises:
            InputError: An offset that is none.
        """
        return Situation(
            now=self.now,
            utc_offset_s=self.utc_offset_s(context),
            device=said(context or {}, "device"),
            session=said(context or {}, "session"),
        )


class _Locked(Protocol):
    _lock: RLock


def alone(
    method: Callable[Concatenate[_S, _P], _T],
) -> Callable[Concatenate[_S, _P], _T]:
    """A method that one thread at a time may be in."""

    @wraps(method)
    def call(self: _S, /, *args: _P.args, **kwargs: _P.kwargs) -> _T:
        with self._lock:
            return method(self, *args, **kwargs)

    return call
