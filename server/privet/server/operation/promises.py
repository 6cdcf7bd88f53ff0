"""From settings to the plan that devices agree to, and back: what must not be changed afterwards."""

from privet.models.catalogue import Catalogue
from privet.models.combination import Combination
from privet.models.invitation import Invitation
from privet.models.known import model_named
from privet.models.plan import Plan, PublicFacts
from privet.models.planning import make_plan
from privet.privacy.accounting.adversaries import Trust
from privet.privacy.errors import InputError
from privet.privacy.secagg.agreed import ProtocolTerms
from privet.server.operation.settings import Settings


def plan_of(settings: Settings, catalogue: Catalogue) -> Plan:
    """The plan that settings ask for.

    Raises:
        InputError: A value out of its range, or a model that enrolled devices cannot run.
        PrivacyError: The settings cannot be kept with this model and so few devices.
    """
    privacy, devices = settings.privacy, settings.federation.devices
    facts = PublicFacts(
        devices=devices,
        items=len(catalogue),
        epsilon=privacy.epsilon,
        delta=privacy.delta,
        trust=Trust(privacy.trust),
        groups=privacy.groups,
        combination=Combination(privacy.combination),
        min_survivors=_fewest(settings),
        colluders=privacy.colluders,
    )
    model = model_named(settings.federation.model)
    protocol = None
    if facts.trust is Trust.SECURE_AGGREGATION:
        protocol = ProtocolTerms(
            corrupt_permille=privacy.corrupt_permille,
            drop_permille=privacy.drop_permille,
            max_participations=privacy.answers,
        )
    plan = make_plan(model, facts, catalogue_hash=catalogue.hash, protocol=protocol)
    if any(step.terms.series is not None for step in plan.steps):
        raise InputError(
            f"The model {model.name} takes devices in turns, by numbers that they are dealt. "
            "Enrolled devices have numbers of their own: choose hybrid, popularity or spectral."
        )
    return plan


def _fewest(settings: Settings) -> int:
    """Devices that the sum of a group needs."""
    own = settings.privacy
    return -(-(settings.federation.devices // own.groups) * own.min_survivors_permille // 1000)


def wanted(settings: Settings) -> tuple[object, ...]:
    """What devices agree to, as the settings have it now."""
    own = settings.privacy
    groups = (own.groups, own.combination)
    constants = (own.epsilon, own.delta, own.trust, own.colluders, *groups, _fewest(settings))
    federation = (settings.federation.model, settings.federation.devices, own.answers)
    return (*constants, *federation, own.corrupt_permille, own.drop_permille)


def promised(invitation: Invitation) -> tuple[object, ...]:
    """What devices agreed to."""
    facts, own = invitation.plan.facts, invitation.federation
    groups = (facts.groups, facts.combination.value)
    constants = (facts.epsilon, facts.delta, facts.trust.value, facts.colluders, *groups)
    federation = (invitation.plan.model, facts.devices, invitation.answers)
    return (*constants, facts.min_survivors, *federation, own.corrupt_permille, own.drop_permille)
