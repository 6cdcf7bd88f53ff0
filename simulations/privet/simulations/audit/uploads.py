"""What an attacker makes of one device's uploads: a score an item, higher if it looks touched.

The same reading is applied to everything that an upload looks like on its way: as the device computed
it (raw), with its share of the noise, and masked by the real protocol. Each entry of a vector speaks for
the items whose histories of one item have it; of a matrix of pairs, its leading eigenvector speaks for
all of them at once, far better than its diagonal where there is noise.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from privet.client.device import DeviceTask, egress_policy, take_part
from privet.models.cohort import Cohort
from privet.models.model import Model
from privet.models.plan import Plan
from privet.models.spectral import unpack_triangle
from privet.privacy.accounting.adversaries import Trust
from privet.privacy.encoding import wrap
from privet.privacy.minimization.gate import Gate
from privet.privacy.noise import share_noise
from privet.privacy.randomness import Randomness
from privet.privacy.report.audit import Observable
from privet.privacy.secagg.device_messages import Masked
from privet.privacy.secagg.primitives import SigningKey
from privet.privacy.secagg.terms import Terms
from privet.privacy.secagg.testing import Cohort as SecureCohort
from privet.server.coordinator import Released

if TYPE_CHECKING:
    from scipy.sparse import csr_array

_ROSTER = 16
_TRIANGLE = "co-occurrence"
_MOST_PAIRS = 1 << 19  # of a matrix whose eigenvector is looked for, a device: 1,024 items

Scores = NDArray[np.float32]


@dataclass(frozen=True, kw_only=True, eq=False)
class Readings:
    """What was read out of the uploads of some devices.

    Attributes:
        rows: Of the devices, in the task's cohort.
        scores: By what was looked at: a score an item, shape ``(devices, items)``.
    """

    rows: NDArray[np.int64]
    scores: Mapping[Observable, Scores]


def read_uploads(
    model: Model, plan: Plan, cohort: Cohort, releases: Sequence[Released], rows: NDArray[np.int64]
) -> Readings:
    """Read some devices' uploads in every step, as each observable shows them.

    Args:
        model: Of the plan.
        plan: That the devices take part in.
        cohort: All histories.
        releases: Of one play of the plan: their shared states are what devices answer to.
        rows: Devices to look at.
    """
    observables = _observables(plan)
    scores = {name: np.zeros((len(rows), cohort.n_items), np.float32) for name in observables}
    targets = cohort.take(rows)
    for released in releases:
        reader = _Reader(model, released, cohort.n_items)
        for start in range(0, len(rows), _ROSTER):
            block = targets.slice(start, min(start + _ROSTER, len(rows)))
            for name, vectors in _views(model, released, block, observables):
                for position, vector in enumerate(vectors):
                    scores[name][start + position] += reader.read(vector)
    return Readings(rows=rows, scores=scores)


def read_vectors(
    model: Model,
    cohort: Cohort,
    releases: Sequence[Released],
    rows: NDArray[np.int64],
    seen: Callable[[Released, NDArray[np.int64]], NDArray[np.float64]],
) -> Scores:
    """Read what someone sees in the place of a device's exact vector, in every step.

    Args:
        model: Of the plan.
        cohort: All histories.
        releases: Of one play.
        rows: Devices to look at.
        seen: What is seen of a device's integers in a release.
    """
    scores = np.zeros((len(rows), cohort.n_items), np.float32)
    targets = cohort.take(rows)
    for released in releases:
        reader = _Reader(model, released, cohort.n_items)
        for row in range(len(rows)):
            exact = _vector(model, released, targets.slice(row, row + 1))
            scores[row] += reader.read(seen(released, exact).astype(np.float32))
    return scores


def _observables(plan: Plan) -> tuple[Observable, ...]:
    """What an upload can be seen as under the plan's trust."""
    noised = any(step.terms.share_variance > 0 for step in plan.steps)
    names: list[Observable] = ["raw upload"]
    if noised:
        names.append("upload with its noise share")
    if plan.facts.trust is Trust.SECURE_AGGREGATION:
        names.append("masked upload")
    return tuple(names)


def _views(
    model: Model, released: Released, block: Cohort, observables: Sequence[Observable]
) -> Iterator[tuple[Observable, Scores]]:
    """A block's vectors in one step, as each observable; integers centred on 0."""
    step = released.round.step
    exact = np.stack([_vector(model, released, block.slice(i, i + 1)) for i in range(len(block))])
    yield "raw upload", exact.astype(np.float32)
    if step.terms.share_variance > 0:
        for row in exact:
            row += share_noise(step.terms, len(row), Randomness.secret().stream("share", step.name))
    if "upload with its noise share" in observables:
        yield "upload with its noise share", exact.astype(np.float32)
    if "masked upload" in observables:
        yield "masked upload", masked(wrap(exact)).view(np.int32).astype(np.float32)


def _vector(model: Model, released: Released, device: Cohort) -> NDArray[np.int64]:
    """What a device computes, before noise and masks."""
    plan, step = released.round.plan, released.round.step
    admitted, _ = take_part(
        model,
        DeviceTask(plan=plan, step=step, shared=released.round.shared),
        {},
        device,
        randomness=Randomness.secret(),
        gate=Gate(egress_policy(plan)),
        add_noise_share=False,
    )
    total = np.zeros(step.encoding.dimension, np.int64)
    admitted.add_into(total)
    return total


def masked(vectors: NDArray[np.uint32]) -> NDArray[np.uint32]:
    """What leaves devices that share a roster, by the real protocol: each vector under its masks.

    Few vectors are joined by others of zeros, so that every device has neighbours.

    Args:
        vectors: A row a device, modulo 2**32.
    """
    devices = max(len(vectors), _ROSTER)
    filled = np.zeros((devices, vectors.shape[1]), np.uint32)
    filled[: len(vectors)] = vectors
    key = SigningKey.generate()
    terms = Terms(
        run="audit",
        plan_hash="00" * 32,
        model_hash="00" * 32,
        round_number=0,
        dimension=vectors.shape[1],
        min_survivors=devices // 2,
        corrupt_permille=125,
        drop_permille=250,
        server_key=key.public,
    )
    identities = sorted((SigningKey.generate() for _ in range(devices)), key=lambda k: k.public)
    roster = SecureCohort(terms, key, identities)
    everyone = set(range(devices))
    for stage in ("advert", "sharing"):
        roster.play_stage(stage, everyone, filled, lambda pending: None)
    inbox = roster.inbox_before("masked", lambda pending: None)
    messages = (roster.clients[i].mask(inbox[i], filled[i]) for i in range(len(vectors)))
    return np.stack(
        [Masked.parse(message, devices, terms.dimension).vector for message in messages]
    )


class _Reader:
    """Turns one step's vector into a score an item."""

    def __init__(self, model: Model, released: Released, n_items: int) -> None:
        """Ask the model what a history of each single item would have offered."""
        step = released.round.step
        self._heads: NDArray[np.int64] | None = None
        if step.name == _TRIANGLE and step.encoding.dimension <= _MOST_PAIRS:
            self._heads = np.asarray(released.round.shared["head"], np.int64)
        self._templates = _templates(model, released, n_items)

    def read(self, vector: Scores) -> Scores:
        """Scores of all items, scaled to a largest of 1."""
        if self._heads is None:
            found = np.asarray(self._templates @ vector, np.float32)
        else:
            found = np.zeros(self._templates.shape[0], np.float32)
            found[self._heads] = _leading(vector, len(self._heads))
        return found / max(float(np.abs(found).max()), 1e-30)


def _templates(model: Model, released: Released, n_items: int) -> "csr_array":
    """What a history of one item offers in a step, a row an item."""
    from scipy.sparse import csr_array

    step = released.round.step.step
    each = np.arange(n_items, dtype=np.int64)
    middle = np.full(n_items, (step.since + step.until) // 2, np.int64)
    single = Cohort.from_pairs(each, each, n_users=n_items, n_items=n_items, times=middle)
    found, _ = model.contribute(step, released.round.shared, {}, single, Randomness.secret())
    shape = (n_items, found.dimension)
    return csr_array((found.values, found.indices, found.indptr), shape=shape)


def _leading(triangle: Scores, size: int) -> Scores:
    """The leading eigenvector of a matrix of pairs, its entries taken as sizes."""
    from scipy.sparse.linalg import eigsh

    matrix = unpack_triangle(triangle.astype(np.float64), size)
    _, vector = eigsh(matrix, k=1, which="LA", v0=np.ones(size), tol=1e-3)
    return np.abs(vector[:, 0]).astype(np.float32)
