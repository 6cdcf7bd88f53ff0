"""Opening a client's store, or making it if there is none."""

from collections.abc import Callable
from pathlib import Path

from privet.client.vault.key_source import KeySource
from privet.client.vault.vault import Vault
from privet.privacy.errors import InputError


def open_vault(
    path: Path, *, key: KeySource, create: bool, busy_seconds: float, clock: Callable[[], float]
) -> Vault:
    """Open a store; make it first if there is none and that is allowed.

    Two processes that make one at the same time end up with the same one.

    Raises:
        InputError: As `Vault`; there is none and none may be made.
        IntegrityError: As `Vault`.
    """

    def opened(*, new: bool) -> Vault:
        return Vault(path, key=key, create=new, busy_seconds=busy_seconds, clock=clock)

    if not create or not _is_missing(path):
        return opened(new=False)
    try:
        return opened(new=True)
    except InputError:
        if _is_missing(path):
            raise
        return opened(new=False)  # somebody else made it meanwhile


def _is_missing(path: Path) -> bool:
    """Nothing there, or what a crash in the middle of making one leaves: an empty file."""
    return not path.exists() or (path.is_file() and path.stat().st_size == 0)
