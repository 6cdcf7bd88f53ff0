"""Record a run, replay it on a neighbouring data set, and compare all that anyone could see.

Neighbours differ in one user's history. What a run does outside of its devices (which calls it
makes and in which order, how many messages leave, their fields, types and sizes, what is charged,
the plan itself) must be the same on both. What passes the gate must differ by no more than the
plan declares, before noise.

Noise is seeded and every device draws its own, so on both data sets it is the same and cancels in
the difference. A later step builds on what earlier ones released, so the replay is given the
recorded shared states: sensitivity is a statement about one step with everything before it fixed.
"""

import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import FrameType
from typing import Any, ClassVar

import numpy as np
from hypothesis import strategies as st
from numpy.typing import NDArray

from privet.client import device
from privet.models.catalogue import Catalogue
from privet.models.cohort import Cohort
from privet.models.model import LocalState, Model, Release, SharedState
from privet.models.plan import Plan, PublicFacts, Step
from privet.privacy.accounting.adversaries import Trust
from privet.privacy.contribution import Contribution, NeighbouringRelation, sensitivity
from privet.privacy.encoding import wrap
from privet.privacy.errors import EgressError, PrivacyError, PrivetError
from privet.privacy.ledger import charges
from privet.privacy.minimization.gate import Gate, Upload
from privet.privacy.minimization.messages import Message, encode_message, message_bytes
from privet.privacy.minimization.policy import EgressPolicy
from privet.privacy.randomness import Randomness
from privet.server.coordinator import Coordinator
from privet.server.fleet import Aggregate, ChargeSum, GroupSum, Round
from privet.server.storage import RunStore

SEED = 11
_OUTSIDE = ("privet.server.", "privet.client.", "privet.privacy.minimization.")

Planner = Callable[[Cohort], Plan]


@dataclass(frozen=True, kw_only=True)
class Sent:
    """One message as a network observer and the server see it, contents apart."""

    step: str
    fields: tuple[str, ...]
    dtypes: tuple[str, ...]
    size: int


@dataclass(kw_only=True, eq=False)
class Recording:
    """All that a run did outside of its devices, and the sums of what passed the gate."""

    plan: Plan
    policy_hash: str
    control: list[str] = field(default_factory=list)
    sent: list[Sent] = field(default_factory=list)
    log: list[tuple[Any, ...]] = field(default_factory=list)
    charged: list[dict[str, Any]] = field(default_factory=list)
    totals: dict[str, NDArray[np.int64]] = field(default_factory=dict)
    shared: list[SharedState] = field(default_factory=list)


def wire(policy: EgressPolicy, upload: Upload) -> tuple[Message, bytes]:
    """What a transport would send of one device's upload."""
    message = upload.message()
    return message, encode_message(policy, message)


class Tape:
    """A model that records what it releases, or plays back what another run released."""

    name: ClassVar[str] = "tape"
    trusts: ClassVar[frozenset[Trust]] = frozenset(Trust)
    timed: ClassVar[bool] = False

    def __init__(self, model: Model, recording: Recording, playback: Sequence[SharedState]) -> None:
        self._model, self._recording, self._playback = model, recording, playback

    def begin(self, catalogue: Catalogue) -> SharedState:
        """As the model."""
        return self._model.begin(catalogue)

    def steps(self, facts: PublicFacts) -> Sequence[Step]:
        return self._model.steps(facts)

    def contribute(
        self, step: Step, shared: SharedState, local: LocalState, cohort: Cohort, rng: Randomness
    ) -> tuple[Contribution, LocalState]:
        self._recording.control.append(f"contribute {step.name} x{len(cohort)}")
        return self._model.contribute(step, shared, local, cohort, rng)

    def update(
        self, step: Step, shared: SharedState, release: Release, facts: PublicFacts
    ) -> SharedState:
        self._recording.control.append(f"update {step.name} of {release.devices}")
        after = self._model.update(step, shared, release, facts)
        done = len(self._recording.shared)
        after = self._playback[done] if done < len(self._playback) else after
        self._recording.shared.append(after)
        return after

    def personalise(self, shared: SharedState, local: LocalState, cohort: Cohort) -> LocalState:
        return self._model.personalise(shared, local, cohort)

    def score(self, shared: SharedState, local: LocalState, cohort: Cohort) -> NDArray[np.float64]:
        return self._model.score(shared, local, cohort)


class RecordedFleet:
    """Devices one after the other, each with its own gate, share of noise and message."""

    def __init__(self, tape: Tape, cohort: Cohort, recording: Recording) -> None:
        policy = device.egress_policy(recording.plan)
        self.gates = [Gate(policy) for _ in range(len(cohort))]
        self._tape, self._cohort, self._recording = tape, cohort, recording
        self._local: dict[int, LocalState] = {}

    def run(self, round_: Round, charge: ChargeSum) -> Aggregate:
        task = device.DeviceTask(
            plan=round_.plan, step=round_.step, shared=round_.shared, attempt=round_.attempt
        )
        total, survivors = np.zeros(round_.step.encoding.dimension, np.int64), 0
        for row, gate in enumerate(self.gates):
            try:
                admitted, self._local[row] = device.take_part(
                    self._tape,
                    task,
                    self._local.get(row, {}),
                    self._cohort.slice(row, row + 1),
                    randomness=Randomness.insecure_seeded(SEED),
                    gate=gate,
                    add_noise_share=True,
                )
            except (EgressError, PrivacyError):
                continue  # a no is silence
            message, payload = wire(gate.policy, admitted.upload)
            self._recording.sent.append(_sent(message, payload))
            admitted.add_into(total)
            survivors += 1
        self._recording.totals[round_.step.name] = total
        charge([survivors])
        return Aggregate(groups=(GroupSum(total=wrap(total), survivors=survivors),))


def _sent(message: Message, payload: bytes) -> Sent:
    return Sent(
        step=message.step,
        fields=tuple(message.fields),
        dtypes=tuple(str(np.asarray(value).dtype) for value in message.fields.values()),
        size=len(payload),
    )


@contextmanager
def calls_into(control: list[str]) -> Iterator[None]:
    """Record every call of a function of the server, the device's step and its gate, in order."""

    def profile(frame: FrameType, event: str, _: object) -> None:
        module = frame.f_globals.get("__name__", "")
        if event == "call" and module.startswith(_OUTSIDE):
            name = frame.f_code.co_qualname
            if "<" not in name.removeprefix("<").rpartition(".")[2]:
                control.append(f"{module}.{name}")

    before = sys.getprofile()
    sys.setprofile(profile)
    try:
        yield
    finally:
        sys.setprofile(before)


def record(
    model: Model, cohort: Cohort, planner: Planner, *, playback: Sequence[SharedState] = ()
) -> Recording:
    """Run a plan over a cohort and write down what is seen of it.

    Args:
        model: Both halves run.
        cohort: The devices' histories.
        planner: Makes the plan; from public facts alone, or the recordings differ.
        playback: Shared states to go on from instead of the run's own.
    """
    plan = planner(cohort)
    recording = Recording(plan=plan, policy_hash=device.egress_policy(plan).hash)
    tape = Tape(model, recording, playback)
    fleet = RecordedFleet(tape, cohort, recording)
    with tempfile.TemporaryDirectory() as folder:
        store = RunStore(Path(folder) / "run", create=True)
        store._db.execute("PRAGMA synchronous=OFF")  # no recording must survive a crash
        try:
            with calls_into(recording.control):
                _run(tape, plan, fleet, store, recording)
            recording.charged = [charge.to_dict() for charge in charges(store.entries)]
        finally:
            store.close()
    for gate in fleet.gates:
        lines = [replace(line, leaf=None) for line in gate.ledger.lines]
        recording.log.append((gate.denied, *lines))
    return recording


def _run(
    tape: Tape, plan: Plan, fleet: RecordedFleet, store: RunStore, recording: Recording
) -> None:
    try:
        Coordinator(
            model=tape,
            plan=plan,
            fleet=fleet,
            store=store,
            randomness=Randomness.insecure_seeded(SEED),
            repeatable=True,
            observer=lambda progress: recording.control.append(f"phase {progress.phase}"),
        ).run()
    except PrivetError as error:
        recording.control.append(f"ended by {type(error).__name__}")


def differences(
    model: Model,
    cohort: Cohort,
    neighbour: Cohort,
    planner: Planner,
    relation: NeighbouringRelation,
) -> list[str]:
    """What tells two neighbouring data sets apart beyond what the plan declares; nothing, we hope.

    Args:
        model: Both halves run.
        cohort: The devices' histories.
        neighbour: The same but for one device's.
        planner: Makes the plan of each.
        relation: Between the two.
    """
    first = record(model, cohort, planner)
    replayed = record(model, neighbour, planner, playback=first.shared)
    free = record(model, neighbour, planner)
    found = _apart(first, free) + _apart(first, replayed) + _beyond_the_policy(first)
    return found or _too_far(first, replayed, relation)


def _apart(first: Recording, second: Recording) -> list[str]:
    """The names of what must be the same and is not."""
    pairs: Mapping[str, tuple[object, object]] = {
        "plan": (first.plan.hash, second.plan.hash),
        "policy": (first.policy_hash, second.policy_hash),
        "number of messages": (len(first.sent), len(second.sent)),
        "sizes": ([s.size for s in first.sent], [s.size for s in second.sent]),
        "fields and types": (
            [(s.step, s.fields, s.dtypes) for s in first.sent],
            [(s.step, s.fields, s.dtypes) for s in second.sent],
        ),
        "devices' ledgers": (first.log, second.log),
        "charges": (first.charged, second.charged),
        "control flow": (first.control, second.control),
    }
    return [name for name, (one, other) in pairs.items() if one != other]


def _beyond_the_policy(recording: Recording) -> list[str]:
    """Whether a message has anything but what the plan's policy names, at its one size."""
    policy = device.egress_policy(recording.plan)
    for sent in recording.sent:
        rules = policy.of_step(sent.step)
        fields, dtypes = [r.field for r in rules], [str(r.type.dtype) for r in rules]
        if (list(sent.fields), list(sent.dtypes)) != (fields, dtypes):
            return ["fields beyond the policy"]
        if sent.size != message_bytes(policy, sent.step):
            return ["size beyond the policy"]
    return []


def _too_far(first: Recording, second: Recording, relation: NeighbouringRelation) -> list[str]:
    """The steps whose measured sensitivity is above the declared one."""
    found = []
    for step in first.plan.steps:
        moved = first.totals[step.name] - second.totals[step.name]
        declared = sensitivity(step.encoding.l2_bound, relation, nonnegative=step.step.nonnegative)
        if float(np.linalg.norm(moved.astype(np.float64))) > declared * (1 + 1e-9):
            found.append(f"sensitivity of {step.name}")
    return found


@st.composite
def neighbours(
    draw: st.DrawFn,
    relation: NeighbouringRelation,
    *,
    devices: int = 6,
    items: int = 7,
) -> tuple[Cohort, Cohort]:
    """A cohort, and the same with one history emptied or replaced."""
    history = st.dictionaries(st.integers(0, items - 1), st.floats(0.1, 1e6), max_size=items)
    rows = [draw(history) for _ in range(devices)]
    victim = draw(st.integers(0, devices - 1))
    emptied = relation is NeighbouringRelation.ZERO_OUT
    other = [*rows[:victim], {} if emptied else draw(history), *rows[victim + 1 :]]
    return cohort_of(rows, items), cohort_of(other, items)


def cohort_of(rows: Sequence[Mapping[int, float]], items: int) -> Cohort:
    events = [(user, item, w) for user, row in enumerate(rows) for item, w in row.items()]
    users, found, weights = zip(*events, strict=True) if events else ((), (), ())
    return Cohort.from_pairs(
        np.array(users, np.int64),
        np.array(found, np.int64),
        n_users=len(rows),
        n_items=items,
        weights=np.array(weights, np.float64),
    )
