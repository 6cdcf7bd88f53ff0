"""A federation's directory: settings, keys, certificates, ledgers and devices, its owner's only.

``privet server init`` makes it; every other command of the server reads it. What is in it::

    privet.toml        settings, with an explanation of each
    signing.key        with which requests, rosters and models are signed
    tls/               the authority and the server's certificate, each with its key
    invitation.json    constants and plan, once the plan is fixed: what devices join with
    population.db      what all runs on these users spent
    registry.db        versions of the model
    devices.db         who may take part
    runs/1, 2, ...     each with its run.db
    superlink/         the SuperLink's database and log
"""

import fcntl
import os
import re
import secrets
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path

from privet.models.catalogue import Catalogue
from privet.models.federation import Federation
from privet.models.invitation import EnrolmentRequest, Invitation
from privet.models.known import model_of
from privet.models.model import SharedState
from privet.models.plan import Plan
from privet.privacy.errors import InputError, IntegrityError
from privet.privacy.secagg.primitives import SigningKey
from privet.server.operation.certificates import (
    KeyPair,
    check_server_certificate,
    make_authority,
    make_server_certificate,
)
from privet.server.operation.devices import Devices
from privet.server.operation.files import sync_folder, write_new, write_over
from privet.server.operation.promises import plan_of, promised, wanted
from privet.server.operation.settings import Settings, load_settings, write_settings
from privet.server.population import POPULATION, Population
from privet.server.registry import Registry
from privet.server.storage import pack_state, unpack_state
from privet.server.superlink import SuperLinkFiles

MORE_BUDGET = "More is allowed with `budget` in privet.toml."
SETTINGS, SIGNING_KEY, INVITATION = "privet.toml", "signing.key", "invitation.json"
START = "start.npz"
DEVICES = "devices.db"
_KEY_BYTES = 32


class Directory:
    """A federation's directory.

    Args:
        path: Of the directory.

    Raises:
        InputError: None there, or others than its owner may use it.
    """

    def __init__(self, path: Path) -> None:
        """Open what is there."""
        self.path = path.absolute()
        if not (self.path / SETTINGS).is_file():
            raise InputError(f"No federation in {path}: `privet server init {path}` makes one.")
        if os.name == "posix" and self.path.stat().st_mode & 0o077:
            raise InputError(f"Others than its owner may use {path}. Run: chmod 700 {path}")

    @classmethod
    def make(cls, path: Path, settings: Settings) -> "Directory":
        """Make a new directory with keys, certificates and empty ledgers.

        It is there whole or not at all.

        Raises:
            InputError: Something is there already, or a setting cannot be used.
        """
        if path.exists() and (not path.is_dir() or any(path.iterdir())):
            raise InputError(
                f"{path} is not empty; nothing is overwritten. Give another directory."
            )
        target = path.absolute()
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=target.parent, prefix=".privet-") as scratch:
            new = Path(scratch) / "new"
            for folder in (new, new / "tls", new / "runs", new / "superlink"):
                folder.mkdir(mode=0o700)
            _fill(new, settings)
            try:
                new.rename(target)
            except OSError as error:
                raise InputError(f"{path} was made by somebody else meanwhile.") from error
        sync_folder(target.parent)
        return cls(path)

    @cached_property
    def settings(self) -> Settings:
        """What ``privet.toml`` says."""
        return load_settings(self.path / SETTINGS)

    @cached_property
    def key(self) -> SigningKey:
        """The server's signing key.

        Raises:
            IntegrityError: It is damaged, missing or not the one that devices pinned.
        """
        try:
            secret = (self.path / SIGNING_KEY).read_bytes()
        except OSError:
            secret = b""
        if len(secret) != _KEY_BYTES:
            raise IntegrityError(f"{self.path / SIGNING_KEY} is missing or damaged.")
        return SigningKey.from_secret(secret)

    @property
    def fixed(self) -> bool:
        """Whether the plan is fixed, so that devices can join."""
        return (self.path / INVITATION).is_file()

    @cached_property
    def invitation(self) -> Invitation:
        """What devices join with.

        Raises:
            InputError: The plan is not fixed yet, or the settings are not those of the plan.
            IntegrityError: The server's key is not the one in it, or it is damaged.
        """
        if not self.fixed:
            raise InputError(
                f"The plan is not fixed yet: `privet server invite {self.path} --catalogue FILE` "
                "does so."
            )
        found = Invitation.from_bytes((self.path / INVITATION).read_bytes())
        if found.federation.server_key != self.key.public:
            raise IntegrityError("The server's signing key is not the one that devices pinned.")
        if promised(found) != wanted(self.settings):
            raise InputError(
                f"{SETTINGS} was changed in what devices agreed to: [privacy] but its budget, "
                "`model` or `devices`. Undo that, or make a new federation with the same "
                "population's budget in mind."
            )
        network = self.settings.network
        if found.host not in network.names or found.port != network.public_port:
            raise InputError(
                f"Devices connect to {found.host}, port {found.port}: keep that among `names` and "
                f"as `public_port` in {SETTINGS}."
            )
        return found

    def invite(self, catalogue: Catalogue) -> Invitation:
        """Fix the plan, begin the population's ledger, and write the invitation.

        The server's certificate is made anew, for the names that the settings have by now.

        Raises:
            InputError: The plan is fixed already, or a server runs on the directory.
            PrivacyError: The settings cannot be kept with this model and so few devices.
            BudgetError: The plan alone is more than the population's budget.
        """
        with self.locked():
            if self.fixed:
                raise InputError("The plan is fixed already, and devices agreed to it.")
            return self._invite(catalogue)

    def _invite(self, catalogue: Catalogue) -> Invitation:
        settings = self.settings
        plan = plan_of(settings, catalogue)
        run = f"{_slug(settings.federation.name)}-{secrets.token_hex(8)}"
        invitation = Invitation(
            name=settings.federation.name,
            host=settings.network.names[0],
            port=settings.network.public_port,
            authority=(self.path / "tls" / "authority.pem").read_text(),
            federation=Federation(
                run=run,
                server_key=self.key.public,
                corrupt_permille=settings.privacy.corrupt_permille,
                drop_permille=settings.privacy.drop_permille,
            ),
            plan=plan,
            answers=settings.privacy.answers,
        )
        _ = invitation.policy  # no graph may fit: better now than on every device
        self._begin_population(plan)
        self.certify()
        write_over(self.path / START, pack_state(model_of(plan).begin(catalogue)))
        write_new(self.path / INVITATION, invitation.to_bytes())
        return invitation

    @property
    def start(self) -> SharedState:
        """What the plan's model made of the catalogue when the plan was fixed.

        Raises:
            IntegrityError: It is missing or damaged.
        """
        path = self.path / START
        try:
            return unpack_state(path.read_bytes())
        except Exception as error:  # whatever zip and npy readers say about damaged bytes
            raise IntegrityError(
                f"{path} is missing or damaged: bring it back from a copy of this directory."
            ) from error

    def _begin_population(self, plan: Plan) -> None:
        """Begin the population's ledger, in the place of one that a refused plan left, unused."""
        path = self.path / POPULATION
        if path.exists():
            left = Population(path)
            used = left.view.runs
            left.close()
            if used:
                raise IntegrityError(f"{path} has runs, and {INVITATION} is gone: bring it back.")
            path.unlink()
        own = self.settings.privacy
        population = Population.create(
            self.path, delta=own.delta, relation=plan.facts.trust.relation, budget=own.budget
        )
        try:
            population.require([plan], remedy=MORE_BUDGET)
        finally:
            population.close()

    @property
    def certified_names(self) -> tuple[str, ...]:
        """What a new certificate is for: what devices, the proxy and the server connect to."""
        return _names(self.settings)

    def certify(self) -> None:
        """Make a new certificate of the server, for the names in the settings.

        A running server and the proxy use it after their next start. Devices notice nothing.

        Raises:
            InputError: The authority's key is not there, or a name cannot be in a certificate.
        """
        tls = self.path / "tls"
        try:
            authority = KeyPair(
                certificate=(tls / "authority.pem").read_bytes(),
                key=(tls / "authority.key").read_bytes(),
            )
        except FileNotFoundError as error:
            raise InputError(
                f"{error.filename} is not there. Bring it back for as long as it takes: it is "
                "needed for nothing but a new certificate."
            ) from error
        new = make_server_certificate(authority, _names(self.settings))
        write_over(tls / "server.key", new.key)
        write_over(tls / "server.pem", new.certificate)

    def check_certificate(self) -> None:
        """Check that devices and this server will accept the server's certificate.

        Raises:
            InputError: They will not; says why, and what to do.
        """
        tls = self.path / "tls"
        names = [self.invitation.host, self.settings.network.host]
        try:
            own = KeyPair(
                certificate=(tls / "server.pem").read_bytes(),
                key=(tls / "server.key").read_bytes(),
            )
            check_server_certificate(own, (tls / "authority.pem").read_bytes(), names)
        except (FileNotFoundError, InputError) as error:
            why = f"{error.filename} is missing." if isinstance(error, OSError) else error
            raise InputError(
                f"The server's certificate {tls / 'server.pem'} cannot be used. {why} "
                f"`privet server certificate {self.path}` makes another."
            ) from error

    def enrol(self, requests: Sequence[EnrolmentRequest]) -> tuple[int, int]:
        """Enrol devices, all or none; how many are new, and how many there are now.

        A list of devices that is gone is begun anew.

        Raises:
            InputError: A request is for another federation or plan, or has another device's keys.
            IntegrityError: A request is not signed by its identity.
        """
        own, path = self.invitation, self.path / DEVICES
        devices = Devices(path, create=not path.exists())
        try:
            new = devices.enrol(requests, federation=own.federation, plan_hash=own.plan.hash)
            return new, len(devices.all)
        finally:
            devices.close()

    def population(self) -> Population:
        """The population's ledger, open."""
        _ = self.invitation
        if not (self.path / POPULATION).is_file():
            raise InputError(
                f"{self.path / POPULATION} is missing: bring it back. Nothing starts without it, "
                "for nothing else knows all that was spent."
            )
        return Population(self.path)

    def registry(self) -> Registry:
        """The registry, open."""
        return Registry(self.path / "registry.db")

    def devices(self) -> Devices:
        """The list of devices, open."""
        return Devices(self.path / DEVICES)

    @property
    def superlink(self) -> SuperLinkFiles:
        """What a SuperLink needs."""
        tls = self.path / "tls"
        return SuperLinkFiles(
            folder=self.path / "superlink",
            authority=tls / "authority.pem",
            certificate=tls / "server.pem",
            key=tls / "server.key",
        )

    @property
    def runs(self) -> list[Path]:
        """Folders of runs, in their order."""
        found = [p for p in (self.path / "runs").iterdir() if re.fullmatch("[1-9][0-9]*", p.name)]
        return sorted(found, key=lambda path: int(path.name))

    @contextmanager
    def locked(self, *, tries: int = 20) -> Iterator[None]:
        """Be the only server on this directory.

        Args:
            tries: A tenth of a second apart: whoever asks whether a server runs holds it for less.

        Raises:
            InputError: Another one is.
        """
        descriptor = os.open(self.path / "lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            if not _lock(descriptor, tries):
                raise InputError(f"A server runs on {self.path} already.")
            yield
        finally:
            os.close(descriptor)

    @property
    def served(self) -> bool:
        """Whether a server runs on it now."""
        try:
            with self.locked(tries=1):
                return False
        except InputError:
            return True


def _lock(descriptor: int, tries: int) -> bool:
    for left in reversed(range(tries)):
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            if left:
                time.sleep(0.1)
        else:
            return True
    return False


def _fill(folder: Path, settings: Settings) -> None:
    authority = make_authority(f"Privet: {settings.federation.name}")
    server = make_server_certificate(authority, _names(settings))
    files = {
        SETTINGS: write_settings(settings).encode(),
        SIGNING_KEY: secrets.token_bytes(_KEY_BYTES),
        "tls/authority.pem": authority.certificate,
        "tls/authority.key": authority.key,
        "tls/server.pem": server.certificate,
        "tls/server.key": server.key,
    }
    for name, data in files.items():
        write_new(folder / name, data)
    Registry(folder / "registry.db", create=True).close()
    Devices(folder / DEVICES, create=True).close()


def _names(settings: Settings) -> tuple[str, ...]:
    """The names that devices connect to, and where the proxy and the server itself do."""
    own = settings.network
    return tuple(dict.fromkeys((*own.names, own.host)))


def _slug(name: str) -> str:
    return re.sub("[^a-z0-9]+", "-", name.lower()).strip("-")[:40] or "federation"
