"""The user's and the host's say in each message: consent, quotas, and a hook that may cancel."""

from collections.abc import Callable

from privet.client.release import Preview
from privet.client.rights.consents import Consents
from privet.client.rights.notice import Purpose
from privet.client.rights.quotas import Usage
from privet.models.federation import Stage

Hook = Callable[[Preview], bool]
"""Gets what is about to leave; True lets it, anything else cancels it, an exception too."""

_OF_NO_ROUND = (Stage.HELLO, Stage.MODEL)


class Uploads:
    """A `Release` for a device whose user is asked.

    Args:
        consents: Of the user; what they take back stops the next message, also within a round.
        usage: What taking part may cost.

    Formal Guarantees:
        A message leaves only while the user agrees to contribute to its very plan, within the
        quotas, and if every hook returned True for its very bytes. Consent is read once more after
        the hooks, which may take as long as a user does. What is cancelled is a refusal like
        any other to the server, and an entry of the device's own ledger with the step's name and
        nothing else.
    """

    def __init__(self, consents: Consents, usage: Usage) -> None:
        """Have no hook."""
        self._consents = consents
        self._usage = usage
        self._hooks: list[Hook] = []

    def on_upload(self, hook: Hook) -> None:
        """Ask a hook about every message from now on."""
        self._hooks.append(hook)

    def open(self) -> bool:
        """Whether the user agrees to contribute; see `Release`."""
        return self._consents.has(Purpose.CONTRIBUTE)

    def allows(self, preview: Preview) -> bool:
        """Whether these very bytes may leave; see `Release`."""
        if not self._agreed(preview) or not all(hook(preview) is True for hook in self._hooks):
            return False
        if not self._agreed(preview):
            return False
        round_of = (preview.run, preview.round_number)
        return self._usage.take(
            sent_bytes=len(preview.payload),
            round_of=None if preview.step in _OF_NO_ROUND else round_of,
        )

    def _agreed(self, preview: Preview) -> bool:
        return self._consents.has(Purpose.CONTRIBUTE, plan_hash=preview.plan_hash)
