"""What the user has said about lists: items that they hide and topics that they block.

These are instructions and no conclusions: they are kept and hold whatever was agreed to and in every
mode, until the user takes them back or erases them.
"""

from collections.abc import Iterable
from enum import StrEnum

from privet.client.vault.event import Entry, EntryKind
from privet.client.vault.vault import Vault

_HIDDEN, _BLOCKED = "client hidden: ", "client blocked: "


class Feedback(StrEnum):
    """What a user may say of an item or a topic.

    Attributes:
        MORE: More like this item.
        LESS: Less like this item.
        HIDE: Never recommend this item.
        SHOW: Take that back.
        BLOCK_TOPIC: Recommend nothing of this category.
        ALLOW_TOPIC: Take that back.
    """

    MORE = "more"
    LESS = "less"
    HIDE = "hide"
    SHOW = "show"
    BLOCK_TOPIC = "block topic"
    ALLOW_TOPIC = "allow topic"


class Controls:
    """Hidden items and blocked topics, an entry of the store each.

    Args:
        vault: Where they are kept.
    """

    def __init__(self, vault: Vault) -> None:
        """Read nothing yet."""
        self._vault = vault

    @property
    def hidden(self) -> frozenset[str]:
        """Identifiers of hidden items."""
        return self._named(_HIDDEN)

    @property
    def blocked(self) -> frozenset[str]:
        """Names of blocked topics."""
        return self._named(_BLOCKED)

    def follow(self, said: Feedback, name: str) -> None:
        """Keep what was said of an item or topic, or remove what was said before."""
        prefix = _HIDDEN if said in (Feedback.HIDE, Feedback.SHOW) else _BLOCKED
        if said in (Feedback.SHOW, Feedback.ALLOW_TOPIC):
            self._vault.drop(EntryKind.SETTING, [prefix + name])
        else:
            self._vault.put(Entry(kind=EntryKind.SETTING, name=prefix + name, value=True))

    def forget(self, items: Iterable[str]) -> None:
        """Erase that items were hidden."""
        held = self.hidden
        if gone := [_HIDDEN + item for item in items if item in held]:
            self._vault.drop(EntryKind.SETTING, gone)

    def _named(self, prefix: str) -> frozenset[str]:
        entries = self._vault.entries(EntryKind.SETTING)
        return frozenset(n.removeprefix(prefix) for n in entries if n.startswith(prefix))
