"""What a report says of who takes part: how cohorts are drawn, and the matrix mechanism's numbers."""

from privet.privacy.accounting.adversaries import Adversary, ReleaseTerms
from privet.privacy.accounting.matrix import COEFFICIENT_BITS
from privet.privacy.report.sections import MatrixFacts, SamplingFacts
from privet.privacy.report.view import LedgerView


def expected_devices(terms: ReleaseTerms, view: LedgerView) -> int:
    """Devices that a step asks, in all groups; the expected number where it is random."""
    devices = int(view.facts["devices"])
    if terms.series is not None:
        return terms.series.turn_size(devices)
    return view.cohort.expected(devices)


def sampling_facts(terms: ReleaseTerms) -> SamplingFacts | None:
    """How a release's devices were drawn; None if nobody was."""
    drawn = terms.sampling
    if drawn is None:
        return None
    secret = (Adversary.MODEL_CONSUMER.value,) if terms.hides_cohort else ()
    return SamplingFacts(
        declared=drawn.declared.value,
        implemented=drawn.implemented.value,
        probability=drawn.probability,
        population=drawn.population,
        roster_sent=drawn.roster_sent,
        secret_from=secret,
    )


def matrix_facts(terms: ReleaseTerms) -> MatrixFacts | None:
    """The matrix mechanism that a release is a round of; None if its noise is its own."""
    series = terms.series
    if series is None:
        return None
    # Long strategies are said once, with the first round.
    said = series.coefficients if series.round_number == 0 else ()
    return MatrixFacts(
        series=series.name,
        round_number=series.round_number,
        rounds=series.rounds,
        bands=series.bands,
        coefficients=tuple(c / (1 << COEFFICIENT_BITS) for c in said),
        separation=series.separation,
        participations=series.participations,
        sensitivity=series.sensitivity,
    )
