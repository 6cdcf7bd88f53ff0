"""The secret state of a series of rounds: on the disk, its owner's alone, gone when the run ends.

Correlated noise needs the exact sums of the last rounds, which nobody else may ever see. Two slots
take turns: what is there after a round is written over what was there two rounds before, so that
whatever moment a crash comes at, the state before the unfinished round is whole.
"""

import hashlib
import io
import math
import os
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from privet.models.plan import StepPlan
from privet.privacy.accounting.matrix_release import MatrixRelease
from privet.privacy.accounting.series import SeriesRound
from privet.privacy.errors import IntegrityError
from privet.privacy.randomness import WordStream

SECRETS = "series-*.secret"
_DIGEST_BYTES = 32


def release_round(
    directory: Path,
    step: StepPlan,
    series: SeriesRound,
    total: NDArray[np.uint32],
    stream: WordStream,
) -> NDArray[np.float64]:
    """One round's estimate, with noise that is correlated with the rounds' before.

    Args:
        directory: Of the run.
        step: The step of the plan that the round is.
        series: The round.
        total: Exact sum modulo 2**32, shape ``(dimension,)``.
        stream: Random words that give the same noise if the round is repeated after a crash.

    Returns:
        The estimate in integers of the grid, shape ``(dimension,)``.

    Raises:
        IntegrityError: The state after the round before is lost or damaged.
        PrivacyError: The sum is larger than the plan's bounds allow.
    """
    terms = step.terms
    mechanism = MatrixRelease(
        bands=series.bands,
        noise_std=terms.noise_multiplier * terms.l2_bound,
        largest_sum=step.encoding.devices * math.ceil(terms.l2_bound),
    )
    if series.round_number > 0:
        mechanism.restore(*_read(directory, series))
    estimate = mechanism.release(total.astype(np.int32).astype(np.int64), stream)
    sums, estimates = mechanism.state()
    _write(_slot(directory, series, series.round_number), series.round_number, sums, estimates)
    return estimate


def destroy_series(directory: Path) -> None:
    """Overwrite and remove the secret state of every series of a run."""
    for path in directory.glob(SECRETS):
        with path.open("r+b") as file:
            file.write(bytes(path.stat().st_size))
            file.flush()
            os.fsync(file.fileno())
        path.unlink()


def _slot(directory: Path, series: SeriesRound, number: int) -> Path:
    name = hashlib.sha256(series.name.encode()).hexdigest()[:16]
    return directory / f"series-{name}-{number % 2}.secret"


def _write(
    path: Path, number: int, sums: NDArray[np.int64], estimates: NDArray[np.float64]
) -> None:
    """In place, so that what is no longer needed is overwritten; torn writes show by the digest."""
    buffer = io.BytesIO()
    np.savez(buffer, allow_pickle=False, number=np.array(number), sums=sums, estimates=estimates)
    data = buffer.getvalue()
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(hashlib.sha256(data).digest() + data)
        file.truncate()
        file.flush()
        os.fsync(file.fileno())
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _read(directory: Path, series: SeriesRound) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    before = series.round_number - 1
    lost = IntegrityError(
        f"The secret state of series {series.name!r} after round {before} is lost or damaged. "
        "Its noise cannot go on as it was accounted for; what was charged stays charged. Start a "
        "new run elsewhere."
    )
    try:
        data = _slot(directory, series, before).read_bytes()
    except OSError as error:
        raise lost from error
    digest, body = data[:_DIGEST_BYTES], data[_DIGEST_BYTES:]
    if hashlib.sha256(body).digest() != digest:
        raise lost
    with np.load(io.BytesIO(body), allow_pickle=False) as arrays:
        if int(arrays["number"]) != before:
            raise lost
        return arrays["sums"], arrays["estimates"]
