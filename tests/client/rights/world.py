"""What tests of a user's rights share: a clock that can be set, a notice, and real terms."""

from functools import cache
from pathlib import Path

from tests.client.vault.world import KEY
from tests.federation.world import FEDERATION, plan_of

from privet.client.consent import Terms, terms_of
from privet.client.rights.consents import Consents
from privet.client.rights.notice import Notice, Party
from privet.client.vault.vault import Vault
from privet.models.invitation import Invitation
from privet.models.plan import Plan
from privet.models.popularity import Popularity
from privet.privacy.accounting.adversaries import Trust
from privet.server.operation.certificates import make_authority

NOTICE = Notice(
    controller=Party(name="An App Ltd", address="1 Road, Town", contact="privacy@app.example"),
    jurisdictions=("IE",),
    url="https://app.example/privacy",
    recipients=(Party(name="A Federation", address="2 Road", contact="ops@fed.example"),),
)
MODEL = Popularity()


class Clock:
    """Unix seconds, as a test sets them."""

    def __init__(self, now: float = 1_700_000_000.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


@cache
def plan(trust: Trust = Trust.SECURE_AGGREGATION, epsilon: float = 8.0) -> Plan:
    return plan_of(trust, MODEL, seeded=False, epsilon=epsilon)


@cache
def invitation(trust: Trust = Trust.SECURE_AGGREGATION, epsilon: float = 8.0) -> Invitation:
    return Invitation(
        name="Films",
        host="fleet.example.org",
        port=443,
        authority=make_authority("a test").certificate.decode(),
        federation=FEDERATION,
        plan=plan(trust, epsilon),
        answers=3,
    )


def terms(trust: Trust = Trust.SECURE_AGGREGATION, epsilon: float = 8.0) -> Terms:
    return terms_of(invitation(trust, epsilon))


def vault(path: Path, clock: Clock | None = None) -> Vault:
    """The store in a folder, made if it is not there."""
    file = path / "me.db"
    return Vault(file, key=KEY, create=not file.exists(), clock=clock or Clock())


def consents(held: Vault, clock: Clock | None = None) -> Consents:
    return Consents(held, notice=NOTICE, clock=clock or Clock())
