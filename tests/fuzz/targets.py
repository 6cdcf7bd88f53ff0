"""Every reader of foreign bytes in the repository, one target each."""

import io
import sqlite3
import tempfile
import zipfile
from contextlib import closing
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from tests.fuzz.federation_targets import federation_targets
from tests.fuzz.harness import Target
from tests.fuzz.secagg_targets import secagg_targets
from tests.fuzz.vault_targets import vault_targets
from tests.privacy.minimization.policies import EVERY_KIND
from tests.privacy.minimization.test_egress_log import DATA as EGRESS_LEDGER
from tests.privacy.minimization.test_messages import message
from tests.privacy.report.example import make_report
from tests.server.population_world import look, run_counted
from tests.server.world import plan_of, run

from privet.models.plan import Plan
from privet.models.planning import check_noise
from privet.privacy.accounting.accountants import claimed_epsilon
from privet.privacy.accounting.adversaries import Adversary, ReleaseTerms, Trust
from privet.privacy.accounting.events import (
    GaussianEvent,
    RepeatedEvent,
    event_from_dict,
    event_to_dict,
)
from privet.privacy.canonical import canonical_bytes, parse_canonical
from privet.privacy.errors import InputError
from privet.privacy.ledger import Entry, EntryKind, charges, closed_steps, next_entry
from privet.privacy.minimization.egress_log import EgressLedger
from privet.privacy.minimization.envelope import Envelope
from privet.privacy.minimization.merkle import Receipt
from privet.privacy.minimization.messages import decode_message, encode_message
from privet.privacy.minimization.policy import EgressPolicy
from privet.privacy.population import PopulationView
from privet.privacy.report.verify import read_report, verify_ledger
from privet.server.population import POPULATION
from privet.server.storage import DATABASE, RunStore
from privet.simulations.data.load import load
from privet.simulations.data.privet_file import save


@cache
def _run_directory() -> tuple[bytes, tuple[Entry, ...]]:
    """A finished run's database and its ledger."""
    with tempfile.TemporaryDirectory(prefix="privet-fuzz-") as folder:
        path = Path(folder) / "run"
        run(path, plan_of(Trust.SECURE_AGGREGATION))
        store = RunStore(path)
        try:
            entries = store.entries
        finally:
            store.close()
        return (path / DATABASE).read_bytes(), entries


def _bodies(entries: tuple[Entry, ...]) -> bytes:
    return canonical_bytes([[str(entry.kind), entry.body] for entry in entries])


def _chained(data: bytes) -> list[Entry]:
    """A ledger of these bodies, rightly hashed: what a server can write who means harm."""
    value: Any = parse_canonical(data)
    entries: list[Entry] = []
    if not isinstance(value, list) or any(not isinstance(v, list) or len(v) != 2 for v in value):
        raise InputError("not pairs of kind and body")
    for kind, body in value:
        if not isinstance(kind, str) or kind not in list(EntryKind):
            raise InputError("no kind")
        entries.append(next_entry(entries[-1] if entries else None, EntryKind(kind), body))
    return entries


def _ledger(data: bytes) -> None:
    entries = _chained(data)
    head = entries[-1].hash if entries else ""
    verify_ledger(tuple(entries), head=head, length=len(entries))


@cache
def _population() -> tuple[bytes, tuple[Entry, ...]]:
    """The database of a population with a finished run, and its ledger."""
    with tempfile.TemporaryDirectory(prefix="privet-fuzz-") as folder:
        path = Path(folder)
        run_counted(path / "run", path, plan_of(Trust.SECURE_AGGREGATION))
        return (path / POPULATION).read_bytes(), look(path).entries


def _population_figures(view: PopulationView) -> None:
    view.check()
    _ = view.guarantees, view.by_run, view.budget


def _population_ledger(data: bytes) -> None:
    _population_figures(PopulationView(entries=tuple(_chained(data))))


def _population_database(data: bytes) -> None:
    with tempfile.TemporaryDirectory(prefix="privet-fuzz-") as folder:
        (Path(folder) / POPULATION).write_bytes(data)
        _population_figures(look(Path(folder)))


def _open(path: Path) -> None:
    store = RunStore(path)
    try:
        charges(store.entries)
        closed_steps(store.entries)
        store.checkpoint()
    finally:
        store.close()


def _database(data: bytes) -> None:
    with tempfile.TemporaryDirectory(prefix="privet-fuzz-") as folder:
        (Path(folder) / DATABASE).write_bytes(data)
        _open(Path(folder))


def _database_rows(data: bytes) -> None:
    """The rows of a ledger's table, whatever is in them, with the rest as it should be."""
    value: Any = parse_canonical(data)
    if not isinstance(value, list) or any(not isinstance(v, list) or len(v) != 5 for v in value):
        raise InputError("not rows")
    with tempfile.TemporaryDirectory(prefix="privet-fuzz-") as folder:
        path = Path(folder) / DATABASE
        path.write_bytes(_run_directory()[0])
        with closing(sqlite3.connect(path)) as database, database:
            database.execute("DELETE FROM ledger")
            try:
                database.executemany("INSERT INTO ledger VALUES (?, ?, ?, ?, ?)", value)
            except (sqlite3.Error, OverflowError, UnicodeError):
                raise InputError("SQLite does not store this") from None
        _open(Path(folder))


def _rows() -> bytes:
    return canonical_bytes(
        [
            [e.seq, str(e.kind), canonical_bytes(e.body).decode(), e.previous_hash, e.hash]
            for e in _run_directory()[1]
        ]
    )


def _checkpoint(data: bytes) -> None:
    """A checkpoint's blob in an otherwise honest run."""
    with tempfile.TemporaryDirectory(prefix="privet-fuzz-") as folder:
        path = Path(folder) / DATABASE
        path.write_bytes(_run_directory()[0])
        with closing(sqlite3.connect(path)) as database, database:
            database.execute("UPDATE checkpoint SET state = ?", (data,))
        _open(Path(folder))


def _state() -> bytes:
    with tempfile.TemporaryDirectory(prefix="privet-fuzz-") as folder:
        path = Path(folder) / DATABASE
        path.write_bytes(_run_directory()[0])
        with closing(sqlite3.connect(path)) as database:
            return bytes(database.execute("SELECT state FROM checkpoint").fetchone()[0])


def _chained_egress(data: bytes) -> None:
    entries = _chained(data)
    EgressLedger.from_bytes(b"".join(canonical_bytes(e.to_dict()) + b"\n" for e in entries))


def _egress_bodies() -> bytes:
    return _bodies(EgressLedger.from_bytes(EGRESS_LEDGER).entries)


def _plan(data: bytes) -> None:
    plan = Plan.from_bytes(data)
    if Plan.from_dict(plan.to_dict()) != plan or plan.to_bytes() != data:
        raise AssertionError("a plan that was read is another one than was written")
    check_noise(plan)


def _event(data: bytes) -> None:
    body = parse_canonical(data)
    if not isinstance(body, dict):
        raise InputError("no object")
    event = event_from_dict(body)
    claimed_epsilon([event], 1e-6)


def _terms(data: bytes) -> None:
    body: Any = parse_canonical(data)
    found = ReleaseTerms.from_dict(body)
    for adversary in Adversary:
        found.seen_by(adversary)


def _report(data: bytes) -> None:
    found = read_report(data)
    if found.to_bytes() != data:
        raise AssertionError("a report that was read is another one than was written")


def _data_file(suffix: str, data: bytes) -> None:
    with tempfile.TemporaryDirectory(prefix="privet-fuzz-") as folder:
        path = Path(folder) / f"data{suffix}"
        path.write_bytes(data)
        found = load(path)
        for problem in found.problems:
            if "Qz7anna" in problem.reason:
                raise AssertionError("a problem quotes what a user did")


CSV = b"user_id,item_id,weight,datetime\n" + b"".join(
    b"u%d,i%d,%d,%d\n" % (i % 5, i % 7, 1 + i % 3, 1_700_000_000 + i) for i in range(30)
)


def _privet_file() -> bytes:
    with tempfile.TemporaryDirectory(prefix="privet-fuzz-") as folder:
        csv, out = Path(folder) / "data.csv", Path(folder) / "data.privet"
        csv.write_bytes(CSV)
        save(load(csv), out)
        return out.read_bytes()


def _npz() -> bytes:
    buffer = io.BytesIO()
    np.savez(buffer, user_id=np.arange(4), item_id=np.arange(4), negatives=np.ones((4, 3), int))
    return buffer.getvalue()


def bomb() -> bytes:
    """A small archive whose one array takes a gigabyte."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        header = io.BytesIO()
        np.lib.format.write_array_header_1_0(
            header, {"descr": "<f8", "fortran_order": False, "shape": (1 << 27,)}
        )
        archive.writestr("a.npy", header.getvalue() + bytes(1 << 22))
    return buffer.getvalue()


ENVELOPE = canonical_bytes({"stage": "masked", "run": "r", "round": 3, "payload": "text"})


def _envelope(data: bytes) -> None:
    """A message's record, as Flower gives it: fields of some types, the payload bytes."""
    body: Any = parse_canonical(data)
    if not isinstance(body, dict):
        raise InputError("no record")
    if isinstance(body.get("payload"), str):
        body["payload"] = body["payload"].encode("utf-8", "replace")
    Envelope.from_fields(body)


def _receipt(data: bytes) -> None:
    Receipt.from_dict(parse_canonical(data)).check(b"message", bytes(32))


def _plans() -> tuple[bytes, ...]:
    return tuple(
        plan_of(trust, epsilon=epsilon).to_bytes()
        for trust in Trust
        for epsilon in (8.0, float("inf"))
    )


@cache
def targets() -> dict[str, Target]:
    """By name."""
    database, entries = _run_directory()
    population, counted = _population()
    gaussian = RepeatedEvent(event=GaussianEvent(noise_multiplier=2.0), times=3)
    sum_terms = plan_of(Trust.SECURE_AGGREGATION).steps[0].terms
    receipt = Receipt.of([b"one", b"message", b"three"], 1)
    found = [
        *secagg_targets(),
        *federation_targets(),
        *vault_targets(),
        Target(name="canonical JSON", read=parse_canonical, seeds=(b'{"a":[1,2.5,null]}',),
               json=True),
        Target(name="run ledger", read=_ledger, seeds=(_bodies(entries),), json=True, slow=True,
               may_quote=True),
        Target(name="run database", read=_database, seeds=(database,), slow=True),
        Target(name="run database, rows", read=_database_rows, seeds=(_rows(),), json=True,
               slow=True),
        Target(name="population ledger", read=_population_ledger, seeds=(_bodies(counted),),
               json=True, slow=True, may_quote=True),
        Target(name="population database", read=_population_database, seeds=(population,),
               slow=True),
        Target(name="checkpoint", read=_checkpoint, seeds=(_state(),), slow=True),
        Target(name="device ledger", read=EgressLedger.from_bytes, seeds=(EGRESS_LEDGER,)),
        Target(name="device ledger, bodies", read=_chained_egress, seeds=(_egress_bodies(),),
               json=True),
        Target(name="receipt", read=_receipt, seeds=(canonical_bytes(receipt.to_dict()),),
               json=True),
        Target(name="policy", read=lambda d: EgressPolicy.from_toml(d.decode("utf-8", "replace")),
               seeds=(EVERY_KIND.to_toml().encode(),), may_quote=True),
        Target(name="egress message", read=lambda d: decode_message(EVERY_KIND, d),
               seeds=(encode_message(EVERY_KIND, message()),)),
        Target(name="envelope", read=_envelope, seeds=(ENVELOPE,), json=True),
        Target(name="plan", read=_plan, seeds=_plans(), json=True, may_quote=True),
        Target(name="event", read=_event, seeds=(canonical_bytes(event_to_dict(gaussian)),),
               json=True, slow=True),
        Target(name="release terms", read=_terms, seeds=(canonical_bytes(sum_terms.to_dict()),),
               json=True),
        Target(name="report", read=_report, seeds=(make_report().to_bytes(),), json=True,
               may_quote=True),
        Target(name="data in CSV", read=lambda d: _data_file(".csv", d), seeds=(CSV,), slow=True),
        Target(name="data in a .privet file", read=lambda d: _data_file(".privet", d),
               seeds=(_privet_file(),), slow=True),
        Target(name="data in an npz file", read=lambda d: _data_file(".npz", d), seeds=(_npz(),),
               slow=True),
    ]  # fmt: skip
    return {target.name: target for target in found}
