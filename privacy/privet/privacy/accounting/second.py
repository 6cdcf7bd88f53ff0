"""A second implementation of the same accounting, which checks the first."""

import math
from collections.abc import Sequence

from privet.privacy.accounting.account import Account, check_delta
from privet.privacy.accounting.composition import counted
from privet.privacy.accounting.events import (
    Event,
    GaussianEvent,
    MatrixEvent,
    SkellamEvent,
    UnprotectedEvent,
)
from privet.privacy.accounting.library import library_renyi_epsilon, loss_epsilon
from privet.privacy.accounting.renyi import RENYI_SETTINGS, has_renyi_bound, renyi_curve
from privet.privacy.accounting.skellam import sampler_slack, with_slack

_COARSE = 1e-3


def second_opinion(events: Sequence[Event], delta: float) -> Account:
    """The same releases by another implementation.

    That of the dp-accounting library (loads in three seconds): loss distributions for Gaussian
    and matrix releases, its Renyi divergences for sampled ones and randomised responses; for
    Poisson sampling under replace-one, loss distributions on a coarser grid than the claim's. For
    Skellam releases the library has no event: its converter is given our Renyi divergences, so it
    checks the conversion and not these, and ``method`` says so.

    Raises:
        PrivacyError: Relations are mixed, or the library has no event of such a kind.
    """
    check_delta(delta)
    counts = counted(events)
    if not counts or any(isinstance(event, UnprotectedEvent) for event in counts):
        return Account(
            name="dp-accounting",
            method="nothing to compose" if not counts else "a release without noise",
            epsilon=math.inf if counts else 0.0,
            delta=delta,
            bound="upper",
            settings={},
        )
    if any(isinstance(event, SkellamEvent) for event in counts):
        return _converted(events, delta)
    if all(isinstance(event, GaussianEvent | MatrixEvent) for event in counts):
        return _loss_distributions(events, delta)
    if not all(has_renyi_bound(event) for event in counts):
        return _loss_distributions(events, delta)
    return Account(
        name="dp-accounting RDP",
        method="its own Renyi divergences (1908.10530, 1808.00087) and conversion",
        epsilon=library_renyi_epsilon(events, delta),
        delta=delta,
        bound="upper",
        settings={},
    )


def _loss_distributions(events: Sequence[Event], delta: float) -> Account:
    return Account(
        name="dp-accounting PLD",
        method="privacy loss distributions, pessimistic",
        epsilon=loss_epsilon(events, delta, _COARSE),
        delta=delta,
        bound="upper",
        settings={"discretisation": _COARSE},
    )


def _converted(events: Sequence[Event], delta: float) -> Account:
    from dp_accounting.rdp import rdp_privacy_accountant

    orders, divergence = renyi_curve(events)

    def epsilon_at(left: float) -> float:
        epsilon, _ = rdp_privacy_accountant.compute_epsilon(orders, divergence, left)
        return float(epsilon)

    return Account(
        name="dp-accounting RDP",
        method="its conversion of our Skellam divergences: not an independent proof of these",
        epsilon=with_slack(epsilon_at, delta, sampler_slack(events)),
        delta=delta,
        bound="upper",
        settings=RENYI_SETTINGS,
    )
