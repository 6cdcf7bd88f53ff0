"""What noise a release gets: one function for each who draws it, in releases and in self-tests.

Rounds of a series have noise that is correlated, by
:class:`privet.privacy.accounting.matrix_release.MatrixRelease`.
"""

import numpy as np
from numpy.typing import NDArray

from privet.privacy.accounting.adversaries import ReleaseTerms
from privet.privacy.randomness import WordStream
from privet.privacy.samplers import sample_rounded_gaussian, sample_skellam


def server_noise(terms: ReleaseTerms, count: int, stream: WordStream) -> NDArray[np.int64]:
    """The server's own, under central trust.

    Args:
        terms: Of the release, with a noise multiplier above 0.
        count: Coordinates.
        stream: Fresh random words.
    """
    return sample_rounded_gaussian(terms.noise_multiplier * terms.l2_bound, count, stream)


def share_noise(terms: ReleaseTerms, count: int, stream: WordStream) -> NDArray[np.int64]:
    """One device's share, under secure aggregation and local trust.

    Args:
        terms: Of the release, with a share variance above 0.
        count: Coordinates.
        stream: Fresh random words, of this device alone.
    """
    return sample_skellam(terms.share_variance, count, stream)


def summed_shares(
    terms: ReleaseTerms, devices: int, count: int, stream: WordStream
) -> NDArray[np.int64]:
    """As many devices' shares at once, where nobody sees one of them: Skellams add up to one.

    Args:
        terms: As for one share.
        devices: At least 1.
        count: Coordinates.
        stream: Fresh random words.
    """
    return sample_skellam(terms.share_variance * devices, count, stream)
