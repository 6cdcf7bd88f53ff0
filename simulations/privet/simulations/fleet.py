"""The in-process fleet: many devices in one process, integers and noise exactly as deployed."""

from collections.abc import Callable, Iterator, Sequence
from itertools import chain

import numpy as np
from numpy.typing import NDArray

from privet.client.device import DeviceTask, take_part
from privet.models.cohort import Cohort
from privet.models.groups import members
from privet.models.model import LocalState, Model
from privet.models.plan import StepPlan
from privet.privacy.encoding import wrap
from privet.privacy.minimization.gate import Gate, Upload
from privet.privacy.noise import summed_shares
from privet.privacy.randomness import Randomness
from privet.server.fleet import Aggregate, ChargeSum, GroupSum, Round

_BLOCK_ENTRIES = 4_000_000

OnUpload = Callable[[Round, int, Upload], None]
"""Gets a device's number and what left it in a round, noise share included, before any mask."""


class InProcessFleet:
    """Simulated devices, in blocks, streamed into one integer sum for each group.

    Masks of secure aggregation cancel in a sum, so their effect is simulated: the coordinator
    gets the sums and nothing else. Where only the sum of the noise shares is seen, one draw a group
    stands for it (Skellam noise is closed under addition), made after the charge. Seeded noise is
    always made of each device's own share, as a deployed device would draw it.

    Args:
        model: Whose client half runs.
        cohort: Everyone's history.
        randomness: The devices' randomness.
        gate: The only way out of a device.
        on_devices: Called with the number of devices done so far.
        watched: Numbers of devices that draw their own shares whatever the others do, for audits.
        on_upload: Called with each upload of a watched device.
    """

    def __init__(
        self,
        model: Model,
        cohort: Cohort,
        *,
        randomness: Randomness,
        gate: Gate,
        on_devices: Callable[[int], None] | None = None,
        watched: Sequence[int] = (),
        on_upload: OnUpload | None = None,
    ) -> None:
        """Split the cohort into blocks of bounded memory."""
        self._model, self._cohort = model, cohort
        self._randomness, self._gate = randomness, gate
        self._on_devices = on_devices or (lambda _: None)
        self._local: LocalState = {}
        self._has_local = np.zeros(len(cohort), bool)
        self._done = 0
        self._watched = np.isin(cohort.devices, np.asarray(watched, np.int64))
        self._on_upload = on_upload or (lambda round_, device, upload: None)

    def run(self, round_: Round, charge: ChargeSum) -> Aggregate:
        """Run a round over the devices that it asks for."""
        own_shares = self._randomness.seeded and round_.step.terms.share_variance > 0
        here = self._cohort.rows_of(round_.devices)
        assigned = members(
            round_.plan, round_.step.name, round_.attempt, self._cohort.devices[here]
        )
        groups, self._done = [here[rows] for rows in assigned], 0
        sums = [self._sum(round_, rows, own_shares=own_shares) for rows in groups]
        charge([len(rows) for rows in groups])
        if not own_shares:
            for total, rows in zip(sums, groups, strict=True):
                self._add_noise(round_.step, total, int((~self._watched[rows]).sum()))
        return Aggregate(
            groups=tuple(
                GroupSum(total=wrap(total), survivors=len(rows))
                for total, rows in zip(sums, groups, strict=True)
            )
        )

    def _sum(
        self, round_: Round, rows: NDArray[np.int64], *, own_shares: bool
    ) -> NDArray[np.int64]:
        """The exact sum of one group, whose devices keep their next states."""
        task = DeviceTask(
            plan=round_.plan, step=round_.step, shared=round_.shared, attempt=round_.attempt
        )
        dimension = round_.step.encoding.dimension
        total = np.zeros(dimension, np.int64)
        alone = self._watched[rows]
        others = self._blocks(rows[~alone], dimension if own_shares else 0)
        for block in chain(rows[alone][:, None], others):
            watched = bool(self._watched[block[0]])
            known = {name: array[block] for name, array in self._local.items()}
            admitted, after = take_part(
                self._model,
                task,
                known if self._has_local[block[0]] else {},
                self._cohort.take(block),
                randomness=self._randomness,
                gate=self._gate,
                add_noise_share=own_shares or watched,
            )
            if watched:
                self._on_upload(round_, int(self._cohort.devices[block[0]]), admitted.upload)
            admitted.add_into(total)
            self._keep(block, after)
            self._done += len(block)
            self._on_devices(self._done)
        return total

    def _keep(self, rows: NDArray[np.int64], after: LocalState) -> None:
        """Each device keeps its next state, in its row of the cohort."""
        for name, array in after.items():
            if name not in self._local:
                shape = (len(self._cohort), *array.shape[1:])
                self._local = {**self._local, name: np.zeros(shape, array.dtype)}
            self._local[name][rows] = array
        self._has_local[rows] = bool(after)

    def _add_noise(self, step: StepPlan, total: NDArray[np.int64], devices: int) -> None:
        if step.terms.share_variance > 0 and devices:
            # A key of its own: the same randomness must never noise two sums.
            stream = Randomness.secret().stream("skellam sum", step.name)
            total += summed_shares(step.terms, devices, len(total), stream)

    def _blocks(self, rows: NDArray[np.int64], dense_entries: int) -> Iterator[NDArray[np.int64]]:
        """Rows whose contributions have at most some millions of entries, alike in having a state.

        No model contributes more than about half the square of a history's length, or a dense
        vector where each device adds its own noise.
        """
        rows = np.concatenate([rows[self._has_local[rows]], rows[~self._has_local[rows]]])
        sizes = self._cohort.sizes[rows].astype(np.float64)
        cost = np.cumsum(np.maximum(sizes * (sizes + 1) / 2, dense_entries))
        with_local = int(self._has_local[rows].sum())
        start = 0
        while start < len(rows):
            before = cost[start - 1] if start else 0.0
            stop = int(np.searchsorted(cost, before + _BLOCK_ENTRIES, side="right"))
            stop = max(min(stop, with_local if start < with_local else stop), start + 1)
            yield rows[start:stop]
            start = stop
