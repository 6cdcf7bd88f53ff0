"""Opening a client: the store, or a new one, and the parts around it."""

from collections.abc import Callable
from pathlib import Path
from threading import RLock
from typing import TYPE_CHECKING

from privet.client.controls import Controls
from privet.client.features import Features
from privet.client.learning.published import Published
from privet.client.memory import Memory
from privet.client.parts import Parts
from privet.client.place import Place
from privet.client.policy import Policy
from privet.client.rights.consents import Consents
from privet.client.rights.notice import Notice
from privet.client.rights.quotas import Usage
from privet.client.vault.history import history
from privet.client.vault.key_source import KeySource
from privet.client.vault.vault import Vault
from privet.models.catalogue import Catalogue
from privet.models.cohort import Cohort
from privet.models.content import ItemVectors
from privet.privacy.errors import InputError

if TYPE_CHECKING:  # with a place in a federation come plans and accounting
    from privet.client.federated import Federated


def opened_parts(
    path: Path,
    *,
    catalogue: Catalogue,
    key: KeySource,
    policy: Policy,
    notice: Notice | None,
    published: Published | None,
    vectors: ItemVectors | None,
    create: bool,
    busy_seconds: float,
    clock: Callable[[], float],
) -> Parts:
    """The parts of a client; see `privet.client.client.Client.open`."""
    vault = open_vault(path, key=key, create=create, busy_seconds=busy_seconds, clock=clock)
    lock, consents = RLock(), Consents(vault, notice=notice, clock=clock)

    def told(trained_on: Catalogue) -> tuple[int, Cohort]:
        """The history over a catalogue, and a mark that changes when it does."""
        with lock:
            mark, now = vault.events_mark, max(0, int(clock()))
            found = history(vault.events(), trained_on, now=now, weighting=policy.weighting)
        return mark, found.cohort

    def place(folder: Path, departures: Path) -> "Federated":
        from privet.client.federated import Federated

        usage = Usage(vault, policy.quotas, clock=clock)
        return Federated(
            folder,
            catalogue=catalogue,
            consents=consents,
            usage=usage,
            history=told,
            departures=departures,
        )

    features = Features(
        catalogue,
        hashing=policy.hashing,
        file=path.with_name(path.name + ".features") if policy.keep_features else None,
        vault=vault,
        vectors=vectors,
    )
    found = Place(
        path.with_name(path.name + ".federation"),
        path.with_name(path.name + ".departures"),
        place,
        brought=published,
    )
    found.finish()
    return Parts(
        vault=vault,
        features=features,
        policy=policy,
        controls=Controls(vault),
        consents=consents,
        memory=Memory(
            vault,
            features,
            policy,
            published=found.published,
            may_record=lambda: consents.may_record,
        ),
        clock=clock,
        place=found,
        lock=lock,
    )


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
