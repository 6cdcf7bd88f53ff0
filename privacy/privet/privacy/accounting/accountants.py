"""Every accountant that can account for some releases, side by side, and the one that is claimed.

The claim is the smallest of the upper bounds, each of which holds by itself. A second
implementation (the dp-accounting library) checks them at report time and in ``privet verify``.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from privet.privacy.accounting.events import (
    Event,
    GaussianEvent,
    SkellamEvent,
    UnprotectedEvent,
)
from privet.privacy.accounting.gaussian import gaussian_epsilon, total_mu
from privet.privacy.accounting.renyi import renyi_curve, renyi_epsilon
from privet.privacy.accounting.skellam import skellam_epsilon
from privet.privacy.errors import InputError, IntegrityError

_AGREEMENT = 0.02  # PLD is discretised: its upper bound may exceed the exact value by this share


@dataclass(frozen=True, kw_only=True)
class Account:
    """What one accountant says.

    Attributes:
        name: Of the accountant.
        method: How it composes, in a few words.
        epsilon: Its bound at ``delta``, infinite if there is none.
        delta: The delta asked for.
        bound: ``"exact"``, or ``"upper"`` where the true value may be smaller.
    """

    name: str
    method: str
    epsilon: float
    delta: float
    bound: Literal["exact", "upper"]


def check_delta(delta: float) -> None:
    """Refuse a delta outside of (0, 1).

    Raises:
        InputError: With the value found.
    """
    if not (isinstance(delta, float | int) and 0 < delta < 1):
        raise InputError(f"Expected 0 < delta < 1, found {delta}.")


def own_accounts(events: Sequence[Event], delta: float) -> tuple[Account, ...]:
    """The bounds of Privet's own accountants; the claimed epsilon is their minimum.

    Args:
        events: What was released, to one adversary.
        delta: In (0, 1).

    Raises:
        InputError: Delta outside of (0, 1).
    """
    check_delta(delta)
    if all(isinstance(event, GaussianEvent | UnprotectedEvent) for event in events):
        exact = gaussian_epsilon(total_mu(events), delta)
        return (
            Account(
                name="privet Gaussian",
                method="exact composition: mu squared adds up (1805.06530, 1905.02383)",
                epsilon=exact,
                delta=delta,
                bound="exact",
            ),
        )
    return (
        Account(
            name="privet Renyi",
            method="Skellam Renyi divergences (2110.04995), converted (2004.00010)",
            epsilon=renyi_epsilon(events, delta),
            delta=delta,
            bound="upper",
        ),
        Account(
            name="privet mu with slack",
            method="exact Gaussian composition, total variation to Skellam added to delta",
            epsilon=skellam_epsilon(events, delta),
            delta=delta,
            bound="upper",
        ),
    )


def claimed_epsilon(events: Sequence[Event], delta: float) -> float:
    """The smallest upper bound; infinite if a release had no noise, 0 if there was none."""
    return min(account.epsilon for account in own_accounts(events, delta))


def second_opinion(events: Sequence[Event], delta: float) -> Account:
    """The same releases by the dp-accounting library (loads in about three seconds).

    Gaussian releases go through its privacy loss distributions. For Skellam releases it has no
    event: its converter is given our Renyi divergences, so it checks the conversion and not the
    divergences, and ``method`` says so.
    """
    check_delta(delta)
    if not events or any(isinstance(event, UnprotectedEvent) for event in events):
        return Account(
            name="dp-accounting",
            method="nothing to compose" if not events else "a release without noise",
            epsilon=math.inf if events else 0.0,
            delta=delta,
            bound="upper",
        )
    if any(isinstance(event, SkellamEvent) for event in events):
        return _converted(events, delta)
    return _loss_distributions(events, delta)


def _loss_distributions(events: Sequence[Event], delta: float) -> Account:
    from dp_accounting import dp_event
    from dp_accounting.pld import pld_privacy_accountant

    accountant = pld_privacy_accountant.PLDAccountant(value_discretization_interval=1e-3)
    for event in events:
        assert isinstance(event, GaussianEvent)
        accountant.compose(dp_event.GaussianDpEvent(event.noise_multiplier))
    return Account(
        name="dp-accounting PLD",
        method="privacy loss distributions, pessimistic, discretised at 1e-3",
        epsilon=float(accountant.get_epsilon(delta)),
        delta=delta,
        bound="upper",
    )


def _converted(events: Sequence[Event], delta: float) -> Account:
    from dp_accounting.rdp import rdp_privacy_accountant

    orders, divergence = renyi_curve(events)
    epsilon, _ = rdp_privacy_accountant.compute_epsilon(orders, divergence, delta)
    return Account(
        name="dp-accounting RDP",
        method="its conversion of our Skellam divergences: not an independent proof of these",
        epsilon=float(epsilon),
        delta=delta,
        bound="upper",
    )


def check_agreement(events: Sequence[Event], delta: float) -> tuple[Account, ...]:
    """Ours and the second opinion, if they agree.

    For Gaussian releases the second must be within 2 % (its discretisation) above ours; for
    Skellam releases it must equal our Renyi bound to 1e-6, and the two own bounds must be within
    15 % of each other where both are finite.

    Raises:
        IntegrityError: Two accountants disagree by more; says which and by how much.
    """
    own = own_accounts(events, delta)
    second = second_opinion(events, delta)
    reference = own[0].epsilon
    if math.isinf(reference) or math.isinf(second.epsilon):
        agree = math.isinf(reference) == math.isinf(second.epsilon)
    elif second.name == "dp-accounting PLD":
        agree = -1e-6 <= second.epsilon - reference <= _AGREEMENT * reference + 2e-3
    else:
        agree = abs(second.epsilon - reference) <= 1e-6 * max(1.0, reference)
        finite = [account.epsilon for account in own if math.isfinite(account.epsilon)]
        agree = agree and max(finite) <= 1.15 * min(finite) + 0.05
    if not agree:
        found = ", ".join(f"{a.name} {a.epsilon:.6g}" for a in (*own, second))
        raise IntegrityError(
            f"Accountants disagree about the same releases at delta {delta}: {found}."
        )
    return (*own, second)
