"""What a client says of its place in a federation; plain values, no connection."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from privet.client.consent import Terms
    from privet.models.invitation import EnrolmentRequest


class Connected(StrEnum):
    """What came of connecting.

    Attributes:
        NOT_CONSENTED: Nothing was made or sent: the user has not agreed to contribute to this plan.
        JOINED: The device has keys of its own; the operator is to enrol its request.
        ALREADY: It had joined before.
    """

    NOT_CONSENTED = "not consented"
    JOINED = "joined"
    ALREADY = "already joined"


@dataclass(frozen=True, kw_only=True)
class Connection:
    """What came of connecting, and what is needed for the next step.

    Attributes:
        state: In a word.
        terms: What the user is asked to agree to, computed from the plan; to be shown, and given to
            ``consent.grant("contribute", terms=...)``.
        request: The device's public keys, which the operator of the federation enrols; it is for
            the app to bring it there.
    """

    state: Connected
    terms: "Terms"
    request: "EnrolmentRequest | None" = None


class Trained(StrEnum):
    """What came of a call to train.

    Attributes:
        NOT_CONNECTED: The client is in no federation.
        NOT_DUE: It is no good moment, or the user has not agreed; nothing was sent.
        BUSY: Another thread is training.
        FAILED: Something went wrong; the app goes on, and may try again later.
        DONE: The device answered what it was asked, if it was.
    """

    NOT_CONNECTED = "not connected"
    NOT_DUE = "not due"
    BUSY = "busy"
    FAILED = "failed"
    DONE = "done"


@dataclass(frozen=True, kw_only=True)
class Training:
    """What came of a call to train.

    Attributes:
        state: In a word.
        why: In plain words, where it was not due or failed.
        steps: How many turns had which outcome, see `privet.client.embedded.device_loop.Outcome`.
    """

    state: Trained
    why: str = ""
    steps: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class NothingToSend:
    """There is nothing to preview.

    Attributes:
        why: In plain words.
    """

    why: str
