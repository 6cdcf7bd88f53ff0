"""A realistic report, whose figures are made up for the tests."""

import hashlib
from dataclasses import replace

from privet.privacy.canonical import canonical_bytes
from privet.privacy.report.claims import ADVERSARIES, RELATION_TEXTS, AdversaryCode
from privet.privacy.report.document import Report
from privet.privacy.report.minimization import (
    DeviceField,
    FieldSize,
    LeavingField,
    Minimization,
)
from privet.privacy.report.sections import (
    AdversaryGuarantee,
    CurvePoint,
    Data,
    Definition,
    Egress,
    EgressStep,
    Identity,
    Interval,
    LedgerRecord,
    MechanismStep,
    Quality,
    QualityRow,
    RowKind,
    Verification,
)
from privet.privacy.report.security import Security
from privet.privacy.report.spending import (
    AccountantResult,
    Accounting,
    AttackBound,
    Budget,
    Composition,
    DeltaLimit,
    Profile,
    ProfilePoint,
    Role,
    SpentPoint,
)

PROTECTED: dict[AdversaryCode, tuple[float, str, str, str]] = {
    "A1": (
        0.9987,
        "Skellam noise, one share a device",
        "",
        "Sees the model only, which is made from the noisy sums.",
    ),
    "A2": (
        0.9989,
        "Skellam noise, less its own share",
        "The device knows its own noise and no one else's.",
        "Sees every shared state; no amplification by sampling.",
    ),
    "A3": (
        0.99871,
        "Secure aggregation and Skellam noise",
        "The server follows the protocol; at least 5,738 devices add their noise.",
        "Sees the noisy sums, who takes part and when.",
    ),
    "A6": (
        0.9996,
        "Skellam noise, less the group's shares",
        "No more than 60 devices collude.",
        "The group knows its members' noise.",
    ),
}
UNPROTECTED: dict[AdversaryCode, str] = {
    "A4": "A server that may invent devices leaves an honest one alone with its noise share.",
    "A5": "The app records the events itself, so it has them.",
    "A7": "Whoever unlocks the device reads what is stored on it.",
    "A8": "Sees who takes part, when, and how many bytes; messages are padded and encrypted.",
}


def make_report() -> Report:
    """A run of two releases with epsilon about 1 under secure aggregation."""
    return Report(
        identity=_identity(),
        definition=_definition(),
        adversaries=tuple(_adversary(code) for code in ADVERSARIES),
        profiles=tuple(_profile(code) for code in PROTECTED),
        mechanism=(_step("head", 3706, 0.09), _step("co-occurrence", 45_150, 0.91)),
        accounting=_accounting(),
        population=None,
        egress=_egress(),
        minimization=_minimization(),
        security=_security(),
        quality=_quality(),
        data=_data(),
        ledger=make_ledger(),
        verification=Verification(
            commands=("privet verify report.json run.db",),
            note="It recomputes epsilon from the ledger with two accountants and follows the "
            "chain. It cannot show that the devices really added their noise.",
        ),
        sources={
            "identity": "measured",
            "definition": "declared",
            "adversaries": "computed",
            "profiles": "computed",
            "mechanism": "computed",
            "mechanism.devices": "measured",
            "accounting": "computed",
            "accounting.budget": "declared",
            "egress": "measured",
            "minimization": "computed",
            "minimization.on_device": "declared",
            "security": "declared",
            "quality": "measured",
            "data": "measured",
            "data.catalogue_public": "declared",
            "ledger": "measured",
        },
    )


def seeded() -> Report:
    """The same run with seeded noise."""
    report = make_report()
    identity = replace(report.identity, noise_randomness="seeded", private=False)
    return replace(report, identity=identity)


def without_guarantee(epsilon: float | None = None) -> Report:
    """The same run without noise; epsilon is none or infinite."""
    report = make_report()
    return replace(
        report,
        identity=replace(report.identity, noise_randomness="none", private=False),
        adversaries=tuple(replace(row, epsilon=epsilon) for row in report.adversaries),
        profiles=(),
        accounting=replace(
            report.accounting,
            results=(),
            gap=None,
            budget=Budget(epsilon=None, delta=None),
            spent=(),
        ),
    )


def make_ledger() -> LedgerRecord:
    """A chain of five entries."""
    entries: list[dict[str, object]] = []
    kinds = ("plan", "release-open", "release-closed", "release-open", "release-closed")
    previous = "0" * 64
    for seq, kind in enumerate(kinds):
        body: dict[str, object] = {"step": seq // 2, "survivors": 5931, "colluders": 60}
        content = {"seq": seq, "kind": kind, "body": body, "previous_hash": previous}
        digest = hashlib.sha256(canonical_bytes(content)).hexdigest()
        entries.append({**content, "hash": digest})
        previous = digest
    return LedgerRecord(entries=tuple(entries), head=previous, length=len(entries))


def _identity() -> Identity:
    return Identity(
        report_id="ml-1m-spectral-eps1-0007",
        created_at="2026-11-23T20:00:00Z",
        toolkit_version="0.1.0",
        dependencies={"numpy": "2.4.6", "dp-accounting": "0.6.0", "cryptography": "50.0.2"},
        reproduction_command="privet simulate --data ml-1m --model spectral --epsilon 1",
        noise_randomness="operating-system",
        private=True,
        ledger_head=make_ledger().head,
        plan_hash=hashlib.sha256(b"plan").hexdigest(),
        policy_hash=hashlib.sha256(b"policy").hexdigest(),
        run_id="ml-1m-spectral",
        git_commit="0" * 40,
        git_dirty=False,
    )


def _definition() -> Definition:
    return Definition(
        unit="user",
        relation="zero-out",
        relation_text=RELATION_TEXTS["zero-out"],
        trust="secure-aggregation",
        headline_adversary="A3",
        not_protected=(
            "How many users there are, who takes part, who drops out, and when",
            "The sizes of messages, which are the same for all devices",
        ),
        outputs_released=("Two noisy sums", "Every shared state made from them"),
    )


def _adversary(code: AdversaryCode) -> AdversaryGuarantee:
    who = ADVERSARIES[code].capitalize()
    if code in UNPROTECTED:
        return AdversaryGuarantee(
            adversary=code,
            who=who,
            epsilon=None,
            delta=None,
            mu=None,
            mu_kind=None,
            mechanism="",
            assumption="",
            reason=UNPROTECTED[code],
        )
    epsilon, mechanism, assumption, reason = PROTECTED[code]
    return AdversaryGuarantee(
        adversary=code,
        who=who,
        epsilon=epsilon,
        delta=1e-6,
        mu=None,
        mu_kind=None,
        mechanism=mechanism,
        assumption=assumption,
        reason=reason,
    )


def _profile(code: AdversaryCode) -> Profile:
    epsilon = PROTECTED[code][0]
    deltas = (0.1, 0.03, 4e-3, 1e-4, 1e-6, 2e-9, 5e-12)
    return Profile(
        adversaries=(code,),
        epsilon=epsilon,
        delta=1e-6,
        mu=None,
        mu_kind=None,
        rho=0.067,
        rho_kind="upper",
        points=tuple(ProfilePoint(epsilon=epsilon * i / 4, delta=d) for i, d in enumerate(deltas)),
        attacks=(
            AttackBound(false_positive_rate=0.001, true_positive_rate=0.00264),
            AttackBound(false_positive_rate=0.01, true_positive_rate=0.0213),
            AttackBound(false_positive_rate=0.05, true_positive_rate=0.0871),
        ),
        advantage=0.1,
        accountants=("privet RDP",),
    )


def _step(name: str, dimension: int, share: float) -> MechanismStep:
    multiplier = 3.845 / share**0.5
    return MechanismStep(
        name=name,
        dimension=dimension,
        l2_clip_norm=1.0,
        integer_bound=4096.4,
        scale=4096.0,
        noise="Skellam, one share a device",
        noise_std_planned=multiplier,
        noise_std_effective=multiplier * 1.011,
        noise_multiplier=multiplier * 1.011,
        cohort=6040,
        devices=5931,
        min_survivors=5738,
        colluders=60,
    )


def _accounting() -> Accounting:
    names: tuple[tuple[str, str, str, Role, float], ...] = (
        ("dp-accounting", "RDP of Skellam", "0.6.0", "check", 0.9987),
        ("privet", "RDP", "0.1.0", "claimed", 0.9987),
    )
    results = tuple(
        AccountantResult(
            name=n,
            method=m,
            role=r,
            version=v,
            settings={"largest_order": 4095.0},
            epsilon=e,
            delta=1e-6,
            bound="upper",
        )
        for n, m, v, r, e in names
    )
    lower = replace(
        results[1], method="continuous Gaussian", role="bound", epsilon=0.9412, bound="lower"
    )
    return Accounting(
        results=(*results, lower),
        gap=0.0,
        delta_limit=DeltaLimit(delta=1e-6, users=6040, limit=1 / 6040, holds=True),
        composition=Composition(
            runs=(hashlib.sha256(b"plan").hexdigest(),),
            releases=2,
            repeats=0,
            participations=2,
            counted=("Both releases of this run",),
            not_counted=("Other runs on the same users",),
        ),
        budget=Budget(
            epsilon=1.0, delta=1e-6, spent=0.9996, remaining=1.0 - 0.9996, stop="plan finished"
        ),
        spent=(SpentPoint(release=1, epsilon=0.281), SpentPoint(release=2, epsilon=0.9987)),
    )


def _egress() -> Egress:
    fields = ("masked vector", "public keys", "encrypted shares")
    steps = (
        EgressStep(name="head", fields=fields, bytes_per_device=16_384, padded=True, devices=5990),
        EgressStep(
            name="co-occurrence", fields=fields, bytes_per_device=182_272, padded=True, devices=5931
        ),
    )
    return Egress(steps=steps, upload_bytes_per_device=198_656)


def _minimization() -> Minimization:
    sizes = (
        FieldSize(step="head", shape=(3706,), bytes=14_824),
        FieldSize(step="co-occurrence", shape=(45_150,), bytes=180_600),
    )
    return Minimization(
        on_device=(
            DeviceField(name="items", purpose="what the user did something with", leaves=False),
            DeviceField(name="times", purpose="order and age", leaves=False),
        ),
        leaving=(
            LeavingField(
                field="contribution",
                type="uint32",
                bits=32,
                purpose="train the shared spectral model",
                mechanism="clipped in L2 norm, rounded to integers; a share of Skellam noise",
                retention="until the round's sum is taken",
                adversaries=("A3", "A4", "A8"),
                sizes=sizes,
            ),
        ),
        header_bytes=39,
        denied=None,
        telemetry="none: no usage, crash or update reports",
        pseudonyms="none needed: the vector carries no name",
    )


def _security() -> Security:
    return Security(
        generators={"noise": "ChaCha20 streams under a key from the operating system"},
        constant_size=True,
        message_sizes="every message of a step has the same size",
        floats="noise is drawn as integers by exact samplers",
        limitations=("The time that a device takes to answer is not hidden.",),
    )


def _row(name: str, kind: RowKind, epsilon: float | None, recall: float) -> QualityRow:
    def interval(mean: float) -> Interval:
        return Interval(mean=mean, low=mean - 0.006, high=mean + 0.006)

    metrics = {"Recall@20": interval(recall), "NDCG@20": interval(recall * 1.45)}
    return QualityRow(name=name, kind=kind, epsilon=epsilon, metrics=metrics)


def _quality() -> Quality:
    curve = ((1, 0.194), (2, 0.218), (5, 0.243), (10, 0.256), (20, 0.264))
    return Quality(
        rows=(
            _row("Spectral with public features", "private", 0.9987, 0.194),
            _row("Popularity", "reference", None, 0.113),
            _row("Local only", "reference", None, 0.128),
            _row("Federated without privacy", "no privacy", None, 0.279),
            _row("Centralised", "no privacy", None, 0.281),
        ),
        curve=tuple(
            CurvePoint(
                epsilon=float(e), metric="Recall@20", mean=m, low=m - 0.007, high=m + 0.007, seeds=5
            )
            for e, m in curve
        ),
        interval="95 % by bootstrap over users and seeds",
    )


def _data() -> Data:
    return Data(
        name="MovieLens 1M",
        users=6040,
        items=3706,
        interactions=1_000_209,
        split="Last five of each user's events held out by time",
        catalogue_hash=hashlib.sha256(b"catalogue").hexdigest(),
        catalogue_public=False,
    )
