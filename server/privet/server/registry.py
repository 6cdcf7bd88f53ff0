"""The registry: versions of the shared model, what made them, and which devices get which.

A chained record beside the models' bytes in one SQLite file. What is in force follows from the
record alone: a version is published once, rolled out in steps to more and more devices, and one
that fails is rolled back. The record says at which position of which run's ledger a model was
made, so whoever has both can check that the model was paid for.
"""

import hashlib
import sqlite3
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from privet.models.model import SharedState, state_hash
from privet.models.requests import pack, unpack
from privet.privacy.errors import InputError, IntegrityError, PrivacyError
from privet.privacy.ledger import REGISTRY_KINDS, Entry, EntryKind
from privet.server.ledger_file import LedgerFile

EVERYONE = 1000
_TABLES = {"state": "version INTEGER PRIMARY KEY, data BLOB NOT NULL"}


@dataclass(frozen=True, kw_only=True)
class Origin:
    """What made a model.

    Attributes:
        model: Its name.
        run: Name of the run.
        plan_hash: Of the run's plan.
        catalogue_hash: Version of the catalogue.
        ledger_length: Entries of the run's ledger when the model was made.
        ledger_head: Hash of the last of them.
        private: Whether every release behind it had noise from the operating system's randomness.
    """

    model: str
    run: str
    plan_hash: str
    catalogue_hash: str
    ledger_length: int
    ledger_head: str
    private: bool


@dataclass(frozen=True, kw_only=True)
class ModelVersion:
    """A published model.

    Attributes:
        version: Counts from 1.
        state_hash: Of the shared state; devices refuse any other.
        origin: What made it.
    """

    version: int
    state_hash: str
    origin: Origin

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return asdict(self)

    @classmethod
    def from_dict(cls, body: dict[str, Any]) -> "ModelVersion":
        """Read a version back.

        Raises:
            IntegrityError: Not a version.
        """
        try:
            return cls(**{**body, "origin": Origin(**body["origin"])})
        except (TypeError, KeyError) as error:
            raise IntegrityError("An entry of the model registry is malformed.") from error


@dataclass(frozen=True, kw_only=True)
class Rollout:
    """What is in force.

    Attributes:
        stable: Version that every device gets that is not chosen for the candidate; None if none.
        candidate: Version that is being rolled out, or None.
        permille: Share of devices, in thousandths, that get the candidate.
        decision: Position, in the record, of the last rollout or rollback; 0 if there was none.
        rolled_back: Position of the last rollback; 0 if there was none.
    """

    stable: int | None = None
    candidate: int | None = None
    permille: int = 0
    decision: int = 0
    rolled_back: int = 0


class Registry:
    """The models of one federation.

    Args:
        path: Of the file.
        create: Make a new one; there must be none.

    Raises:
        InputError: No file there, or one already when a new one is to be made.
        IntegrityError: The file is damaged, or its chain does not match.
    """

    def __init__(self, path: Path, *, create: bool = False) -> None:
        """Open or create the file."""
        if create == path.exists():
            there = "already there" if create else "missing"
            raise InputError(f"The model registry {path} is {there}.")
        self._file = LedgerFile(
            path, kinds=REGISTRY_KINDS, what="a model registry's", tables=_TABLES, create=create
        )
        if create:
            with self._file.transaction():
                self._file.append(EntryKind.REGISTRY, {"version": 1})

    @property
    def entries(self) -> tuple[Entry, ...]:
        """The whole record."""
        return self._file.entries

    @property
    def versions(self) -> tuple[ModelVersion, ...]:
        """Every published model, in order."""
        return tuple(
            ModelVersion.from_dict(e.body) for e in self.entries if e.kind is EntryKind.MODEL
        )

    @property
    def rollout(self) -> Rollout:
        """What is in force, from the record."""
        found = Rollout()
        for entry in self.entries:
            if entry.kind is EntryKind.ROLLOUT:
                version, share = int(entry.body["version"]), int(entry.body["permille"])
                found = Rollout(
                    stable=version if share == EVERYONE else found.stable,
                    candidate=None if share == EVERYONE else version,
                    permille=0 if share == EVERYONE else share,
                    decision=entry.seq,
                    rolled_back=found.rolled_back,
                )
            elif entry.kind is EntryKind.ROLLBACK:
                version = entry.body["version"]
                found = Rollout(stable=version, decision=entry.seq, rolled_back=entry.seq)
        return found

    @property
    def tried(self) -> frozenset[int]:
        """Versions that were rolled out to anyone, ever."""
        return frozenset(
            int(e.body["version"]) for e in self.entries if e.kind is EntryKind.ROLLOUT
        )

    def refresh(self) -> None:
        """Read what other processes recorded."""
        self._file.refresh()

    def publish(self, shared: SharedState, origin: Origin) -> ModelVersion:
        """Add a model; nobody gets it until it is rolled out.

        A model that is there already, from the same position of the same run, is not added twice,
        so publishing may be repeated after a crash.
        """
        with self._file.transaction():
            self._file.refresh()
            known = [v for v in self.versions if v.origin == origin]
            if known and known[-1].state_hash == state_hash(shared):
                return known[-1]
            made = ModelVersion(
                version=len(self.versions) + 1, state_hash=state_hash(shared), origin=origin
            )
            self._file.append(EntryKind.MODEL, made.to_dict())
            self._file.connection.execute(
                "INSERT INTO state VALUES (?, ?)", (made.version, pack({}, shared))
            )
        return made

    def roll_out(self, version: int, permille: int) -> None:
        """Give a version to a share of the devices, in thousandths; 1000 makes it the stable one.

        Raises:
            InputError: No such version, or not a share.
            PrivacyError: The model promises nothing: its noise was seeded, or there was none.
        """
        if not (type(permille) is int and 1 <= permille <= EVERYONE):
            raise InputError(f"Expected a share of 1 to {EVERYONE} thousandths, found {permille}.")
        with self._file.transaction():
            self._file.refresh()
            if not self._version(version).origin.private:
                raise PrivacyError(
                    f"Model {version} is NOT PRIVATE: it was made without noise or with seeded "
                    "noise. It is not for devices of real people."
                )
            self._file.append(EntryKind.ROLLOUT, {"version": version, "permille": permille})

    def roll_back(self, version: int | None = None) -> int | None:
        """Make an earlier version the only one; without one, what was there before the last.

        Returns:
            The version that every device gets now; None if the first candidate was taken back.

        Raises:
            InputError: No such version, or it was never rolled out to anyone.
        """
        with self._file.transaction():
            self._file.refresh()
            target = self._before() if version is None else version
            first = version is None and self.rollout.candidate is not None
            if target not in self.tried and not (target is None and first):
                raise InputError(
                    "There is no earlier model to go back to: `privet server models` lists those "
                    "that were rolled out."
                )
            self._file.append(EntryKind.ROLLBACK, {"version": target})
        return target

    def version_for(self, identity: bytes) -> int | None:
        """Which version a device gets; None if there is none for it yet.

        A device that was chosen for a candidate stays chosen while its share grows. The choice
        depends on the model and the device's public key alone.
        """
        rollout = self.rollout
        if rollout.candidate is not None:
            model = bytes.fromhex(self._version(rollout.candidate).state_hash)
            drawn = hashlib.sha256(b"privet.rollout/1" + model + identity).digest()
            if int.from_bytes(drawn[:8], "big") % EVERYONE < rollout.permille:
                return rollout.candidate
        return rollout.stable

    def state(self, version: int) -> SharedState:
        """A model's shared state.

        Raises:
            InputError: No such version.
            IntegrityError: Its bytes are damaged, missing or not those that were published.
        """
        wanted = self._version(version).state_hash
        try:
            row = self._file.connection.execute(
                "SELECT data FROM state WHERE version = ?", (version,)
            ).fetchone()
            _, shared = unpack(bytes(row[0]))
        except (InputError, IntegrityError, TypeError, sqlite3.Error) as error:
            raise IntegrityError(f"The bytes of model {version} are damaged or missing.") from error
        if state_hash(shared) != wanted:
            raise IntegrityError(f"The bytes of model {version} are not those published.")
        return shared

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _version(self, version: int) -> ModelVersion:
        found = [known for known in self.versions if known.version == version]
        if not found:
            raise InputError(f"There is no model {version}; there are {len(self.versions)}.")
        return found[0]

    def _before(self) -> int | None:
        """What a rollback goes back to: the stable version from a candidate, else the one before.

        Going back is not a step forward: rolled back twice, a registry is two versions back.
        """
        if self.rollout.candidate is not None:
            return self.rollout.stable
        stable: list[int] = []
        for entry in self.entries:
            if entry.kind is EntryKind.ROLLOUT and entry.body["permille"] == EVERYONE:
                stable.append(int(entry.body["version"]))
            elif entry.kind is EntryKind.ROLLBACK and entry.body["version"] is not None:
                while stable and stable[-1] != entry.body["version"]:
                    stable.pop()
                stable = stable or [int(entry.body["version"])]
        return stable[-2] if len(stable) > 1 else None
