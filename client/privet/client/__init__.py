"""What runs on a device: its step in a round, and the client that apps embed.

Importing this package loads nothing; ``from privet.client import Client`` loads the client. All
names that can be had so are in :mod:`privet.client.public`.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from privet.client.public import *

_PUBLIC = frozenset(
    {
        *("AsyncClient", "Catalogue", "Client", "HostKey", "KeyFile", "KeyringKey", "Notice"),
        *("Passphrase", "Policy", "Published"),
    }
)


def __getattr__(name: str) -> object:
    """A public name, loaded when somebody asks for it (PEP 562)."""
    if name in _PUBLIC:
        from privet.client import public

        return getattr(public, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
