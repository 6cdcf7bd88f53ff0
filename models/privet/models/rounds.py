"""Series of rounds in a plan: which of them can be accounted for and kept to.

Whoever makes a plan and whoever reads one use the same functions.
"""

from collections.abc import Sequence
from dataclasses import replace

from privet.models.plan import PublicFacts, Step
from privet.privacy.accounting.adversaries import Trust
from privet.privacy.accounting.events import SamplingKind
from privet.privacy.accounting.series import SeriesRound
from privet.privacy.errors import PrivacyError

SEES_SUMS = "its noise is correlated between rounds, for which the server must see the sums"


def check_series(steps: Sequence[Step], facts: PublicFacts) -> None:
    """Refuse series that no accountant covers, or that no schedule can keep.

    Raises:
        PrivacyError: With the reason.
    """
    series: dict[str, list[tuple[SeriesRound, Step]]] = {}
    for step in steps:
        if step.series is not None:
            series.setdefault(step.series.name, []).append((step.series, step))
    if not series:
        return
    if facts.trust is not Trust.CENTRAL:
        raise PrivacyError(f"A series of rounds needs 'central' trust: {SEES_SUMS}.")
    if facts.cohort.kind is not SamplingKind.EVERYONE:
        raise PrivacyError(
            "A series of rounds goes by a public schedule, which keeps a device's rounds apart: "
            f"cohorts drawn as {facts.cohort} cannot be accounted for with it."
        )
    if set(series) & {step.name for step in steps}:
        raise PrivacyError("A series has the name of a step: participations would be mixed up.")
    for name, rounds in series.items():
        _check_rounds(name, rounds, facts)


def _check_rounds(
    name: str, rounds: Sequence[tuple[SeriesRound, Step]], facts: PublicFacts
) -> None:
    first, model = rounds[0]
    same = [replace(step, name="", series=first, since=0, until=0) for _, step in rounds]
    if (
        [found.round_number for found, _ in rounds] != list(range(first.rounds))
        or any(replace(found, round_number=0) != first for found, _ in rounds)
        or any(step != replace(model, name="", since=0, until=0) for step in same)
    ):
        raise PrivacyError(f"Series {name!r} must have all of its rounds, in order and alike.")
    idle = [found.round_number for found, _ in rounds if found.turn_size(facts.devices) == 0]
    if idle:
        raise PrivacyError(
            f"In round {idle[0]} of series {name!r} it is nobody's turn: {facts.devices} devices "
            f"take part every {first.separation} rounds and at most {first.participations} times. "
            "Use a smaller separation, more participations or fewer rounds."
        )
