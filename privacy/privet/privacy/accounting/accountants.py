"""Every accountant that can account for some releases, side by side, and the one that is claimed.

The claim is the smallest of the upper bounds, each of which holds by itself. A second
implementation checks them at report time and in ``privet verify``.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from functools import cache

from privet.privacy.accounting.account import Account, Bound, check_delta
from privet.privacy.accounting.composition import counted, kinds
from privet.privacy.accounting.events import (
    BasicEvent,
    Event,
    FixedSizeGaussianEvent,
    GaussianEvent,
    MatrixEvent,
    PoissonGaussianEvent,
    RandomizedResponseEvent,
    RepeatedEvent,
    SkellamEvent,
    UnprotectedEvent,
)
from privet.privacy.accounting.fourier import fourier_epsilon
from privet.privacy.accounting.gaussian import (
    GAUSSIAN_SETTINGS,
    gaussian_delta,
    gaussian_epsilon,
    mu_bound,
    total_mu,
)
from privet.privacy.accounting.library import (
    discretisation,
    loss_delta,
    loss_epsilon,
)
from privet.privacy.accounting.renyi import (
    RENYI_SETTINGS,
    curve_delta,
    curve_epsilon,
    epsilon_guess,
    has_renyi_bound,
    renyi_curve,
)
from privet.privacy.accounting.second import second_opinion
from privet.privacy.accounting.skellam import (
    delta_with_slack,
    gaussian_floor,
    sampler_slack,
    skellam_delta,
    skellam_epsilon,
    skellam_settings,
    with_slack,
)
from privet.privacy.errors import InputError, IntegrityError, PrivacyError

__all__ = [
    "Account",
    "Bound",
    "bounds",
    "check_agreement",
    "check_delta",
    "claimed_delta",
    "claimed_epsilon",
    "own_accounts",
    "second_opinion",
]

_PLAIN = GaussianEvent | MatrixEvent | UnprotectedEvent
_LOSSES = GaussianEvent | MatrixEvent | PoissonGaussianEvent | RandomizedResponseEvent
_AGREEMENT = 0.02  # PLD is discretised: its upper bound may exceed the exact value by this share


def bounds(events: Sequence[Event]) -> tuple[Bound, ...]:
    """Every bound that holds for the composed releases; loads no library until it is asked.

    Raises:
        PrivacyError: Relations are mixed, or no accountant composes these kinds of events.
    """
    counts = counted(events)
    if all(isinstance(event, _PLAIN) for event in counts):
        return (
            Bound(
                name="privet Gaussian",
                method="exact composition: mu squared adds up (1805.06530, 1905.02383)",
                epsilon=lambda delta: gaussian_epsilon(total_mu(events), delta),
                delta=lambda epsilon: gaussian_delta(total_mu(events), epsilon),
                settings=lambda: GAUSSIAN_SETTINGS,
                bound="exact",
            ),
        )
    found = tuple(_upper_bounds(events, counts))
    if not found:
        raise PrivacyError(f"No accountant composes {kinds(counts)} in one total.")
    return found


def _upper_bounds(events: Sequence[Event], counts: dict[BasicEvent, int]) -> Iterator[Bound]:
    if all(has_renyi_bound(event) for event in counts):
        yield _renyi_bound(events)
    if all(isinstance(event, _PLAIN | SkellamEvent) for event in counts):
        yield Bound(
            name="privet mu with slack",
            method="exact Gaussian composition, total variation to Skellam added to delta",
            epsilon=lambda delta: skellam_epsilon(events, delta),
            delta=lambda epsilon: skellam_delta(events, epsilon),
            settings=lambda: skellam_settings(events),
        )
        return
    if mu_bound(events) is not None:
        yield Bound(
            name="privet mu without amplification",
            method="Gaussian composition as if everyone took part in every release",
            epsilon=lambda delta: gaussian_epsilon(_proven_mu(events), delta),
            delta=lambda epsilon: gaussian_delta(_proven_mu(events), epsilon),
            settings=lambda: GAUSSIAN_SETTINGS,
        )
    if all(isinstance(event, RandomizedResponseEvent) for event in counts):
        total = math.fsum(times * getattr(event, "epsilon", 0.0) for event, times in counts.items())
        yield Bound(
            name="privet pure",
            method="epsilons of randomised responses add up, whatever delta",
            epsilon=lambda delta: total,
            delta=lambda epsilon: 0.0 if epsilon >= total else 1.0,
            settings=dict,
        )
    if all(isinstance(event, _LOSSES) for event in counts):
        yield Bound(
            name="dp-accounting PLD",
            method="privacy loss distributions, pessimistic",
            epsilon=lambda delta: _loss_epsilon(events, delta),
            delta=lambda epsilon: _loss_delta(events, epsilon),
            settings=lambda: _loss_settings(events),
        )


def _proven_mu(events: Sequence[Event]) -> float:
    mu = mu_bound(events)
    return math.inf if mu is None else mu


def _renyi_bound(events: Sequence[Event]) -> Bound:
    sampled = any(
        isinstance(e, PoissonGaussianEvent | FixedSizeGaussianEvent) for e in counted(events)
    )
    skellam = any(isinstance(event, SkellamEvent) for event in counted(events))
    parts = ["Skellam Renyi divergences (2110.04995)"] if skellam else []
    parts += ["sampled Gaussian Renyi divergences (1908.10530, 1808.00087)"] if sampled else []
    parts = parts or ["Renyi divergences (1702.07476)"]
    slack = sampler_slack(events)
    curve = cache(lambda: renyi_curve(events))  # a profile asks for many deltas
    return Bound(
        name="privet Renyi",
        method=" and ".join(parts) + ", converted (2004.00010)",
        epsilon=lambda delta: with_slack(lambda left: curve_epsilon(curve(), left), delta, slack),
        delta=lambda epsilon: delta_with_slack(curve_delta(curve(), epsilon), epsilon, slack),
        settings=lambda: RENYI_SETTINGS,
    )


def _loss_epsilon(events: Sequence[Event], delta: float) -> float:
    interval = discretisation(events, epsilon_guess(events))
    return math.inf if interval is None else loss_epsilon(events, delta, interval)


def _loss_delta(events: Sequence[Event], epsilon: float) -> float:
    interval = discretisation(events, epsilon_guess(events))
    return 1.0 if interval is None else loss_delta(events, epsilon, interval)


def _loss_settings(events: Sequence[Event]) -> Mapping[str, float]:
    interval = discretisation(events, epsilon_guess(events))
    return {} if interval is None else {"discretisation": interval}


def own_accounts(events: Sequence[Event], delta: float) -> tuple[Account, ...]:
    """Every accountant's epsilon at delta; the claimed one is their minimum.

    Args:
        events: What was released, to one adversary.
        delta: In (0, 1).

    Raises:
        InputError: Delta outside of (0, 1).
        PrivacyError: Relations are mixed, or no accountant composes these kinds of events.
    """
    check_delta(delta)
    return tuple(
        Account(
            name=bound.name,
            method=bound.method,
            epsilon=bound.epsilon(delta),
            delta=delta,
            bound=bound.bound,
            settings=bound.settings(),
        )
        for bound in bounds(events)
    )


def claimed_epsilon(events: Sequence[Event], delta: float) -> float:
    """The smallest upper bound; infinite if a release had no noise, 0 if there was none.

    Raises:
        InputError: Delta outside of (0, 1).
        PrivacyError: Relations are mixed, or no accountant composes these kinds of events.
    """
    check_delta(delta)
    return min(bound.epsilon(delta) for bound in bounds(events))


def claimed_delta(events: Sequence[Event], epsilon: float) -> float:
    """The smallest upper bound on delta at an epsilon of at least 0.

    Raises:
        InputError: Epsilon below 0 or not a number.
        PrivacyError: Relations are mixed, or no accountant composes these kinds of events.
    """
    if not epsilon >= 0:
        raise InputError(f"Expected epsilon={epsilon!r} to be at least 0.")
    return min(bound.delta(epsilon) for bound in bounds(events))


def check_agreement(events: Sequence[Event], delta: float) -> tuple[Account, ...]:
    """Ours and the second opinion, if they agree.

    For Gaussian releases the second must be within 2 % (its discretisation) above ours; for
    Skellam releases it must equal our Renyi bound to 1e-6, which must be within 15 % of what we
    claim, and that no smaller than Gaussian noise of the same variances gives. Poisson sampling's
    loss distributions must be
    within 2 % of our own estimate and not above the Renyi bound. For the others its Renyi bound must be no smaller than what we claim and
    close to our own Renyi bound, which has integer orders only.

    Raises:
        IntegrityError: Two accountants disagree by more; says which and by how much.
    """
    own = own_accounts(events, delta)
    second = second_opinion(events, delta)
    if not _agree(counted(events), own, second):
        found = ", ".join(f"{a.name} {a.epsilon:.6g}" for a in (*own, second))
        raise IntegrityError(
            f"Accountants disagree about the same releases at delta {delta}: {found}."
        )
    return (*own, second)


def _agree(counts: dict[BasicEvent, int], own: Sequence[Account], second: Account) -> bool:
    reference = own[0].epsilon
    finite = [account.epsilon for account in own if math.isfinite(account.epsilon)]
    if not finite or math.isinf(second.epsilon):
        return not finite and math.isinf(second.epsilon)
    if any(isinstance(event, SkellamEvent) for event in counts):
        close = abs(second.epsilon - reference) <= 1e-6 * max(1.0, reference)
        # The other bound may be far above: its slack uses up delta as releases add up.
        close = close and reference <= 1.15 * min(finite) + 0.05
        released = [RepeatedEvent(event=event, times=times) for event, times in counts.items()]
        return close and min(finite) >= gaussian_floor(released, second.delta) * (1 - 1e-6)
    if any(isinstance(event, PoissonGaussianEvent) for event in counts):
        losses = [a for a in own if a.name == "dp-accounting PLD" and math.isfinite(a.epsilon)]
        if not losses:  # too much loss for a grid: what is claimed is ours, and may be looser
            return second.epsilon <= 2 * min(finite)
        above = second.epsilon >= min(finite) * (1 - _AGREEMENT)
        return above and _near_estimate(counts, losses[0])
    if second.name == "dp-accounting PLD":
        return -1e-6 <= second.epsilon - min(finite) <= _AGREEMENT * min(finite) + 2e-3
    close = second.epsilon <= 0.05 + (1 + _AGREEMENT) * reference
    close = close and reference <= 1.5 * second.epsilon + 0.05  # ours has integer orders only
    return close and second.epsilon >= min(finite) * (1 - _AGREEMENT) - 1e-3


def _near_estimate(counts: dict[BasicEvent, int], losses: Account) -> bool:
    """Whether the library's loss distributions are close to our own estimate, where it applies.

    They are rounded up at every release, so they may exceed it by a little more.
    """
    if not all(isinstance(e, GaussianEvent | MatrixEvent | PoissonGaussianEvent) for e in counts):
        return True
    events = [RepeatedEvent(event=event, times=times) for event, times in counts.items()]
    estimate = fourier_epsilon(events, losses.delta, epsilon_guess(events, losses.delta / 1e4))
    rounding = 1e-4 * math.sqrt(sum(counts.values()))
    allowed = _AGREEMENT * (1 + estimate)
    return -allowed <= losses.epsilon - estimate <= allowed + rounding
