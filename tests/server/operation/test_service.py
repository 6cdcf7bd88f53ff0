"""A server's life: trained, killed, paid for, rolled out and back, restored, and watched."""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families
from tests.server.operation.federation import DEVICES, Fleet, made, settings
from tests.server.operation.here import Here, Killed, Log, changed, here, restored
from tests.server.world import charges_in_file

from privet.client.membership import join
from privet.models.federation import Stage
from privet.privacy.errors import (
    BudgetError,
    InputError,
    IntegrityError,
    PoisoningError,
    PrivacyError,
)
from privet.server.operation.directory import Directory
from privet.server.operation.settings import Settings, write_settings
from privet.server.operation.status import models_of, status_of
from privet.server.operation.training import Training
from privet.server.operation.witness import Witness


@pytest.fixture
def tmp_path() -> Iterator[Path]:
    """In memory where the machine has a place for it: what a disk does is tested elsewhere."""
    with folder_in_memory() as folder:
        yield folder


@pytest.fixture(scope="module")
def twice_trained() -> Iterator[Path]:
    """A federation after two runs, with a backup of its directory after the first."""
    with folder_in_memory() as folder:
        place, fleet = federation(folder)
        with here(fleet) as world:
            world.serve(place)
            shutil.copytree(place, folder / "backup")
            world.serve(place, again=True)
        yield folder


@contextmanager
def folder_in_memory() -> Iterator[Path]:
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None) as folder:
        yield Path(folder)


def federation(folder: Path, wanted: Settings | None = None) -> tuple[Path, Fleet]:
    """A server's directory and its enrolled devices."""
    place = folder / "server"
    wanted = wanted or settings(budget=30.0)
    quick = replace(wanted.rounds, stage_seconds=2.0, gather_seconds=0.1)
    return place, Fleet(made(place, replace(wanted, rounds=quick)), folder)


def releases(place: Path) -> int:
    """What the population's ledger counts."""
    population = Directory(place).population()
    try:
        return len(population.view.spends)
    finally:
        population.close()


def population_head(place: Path) -> str:
    return str(status_of(Directory(place))["population"]["witness"])


def vectors(world: Here) -> int:
    """Requests for something that is made from a history."""
    return sum(request.stage in (Stage.MASK, Stage.CONTRIBUTE) for request in world.asked)


# --- training ---


@pytest.mark.parametrize("trust", ["secure-aggregation", "central", "local"])
def test_a_run_is_trained_published_and_delivered(trust: str, tmp_path: Path) -> None:
    place, fleet = federation(tmp_path, settings(trust=trust))
    with here(fleet) as world:
        outcome = world.serve(place)
        assert outcome.trained and (outcome.delivered, outcome.waiting) == (DEVICES, 0)
        assert outcome.version is not None
        assert fleet.held() == [(1, outcome.version.state_hash)] * DEVICES
        again = world.serve(place)
        assert not again.trained and again.version == outcome.version
    assert releases(place) == 1 == charges_in_file(place / "runs" / "1")


@pytest.mark.parametrize(
    ("phase", "paid"),
    [("allowed", 0), ("collected", 0), ("charged", 1), ("summed", 1), ("updated", 1)],
)
def test_a_server_that_is_killed_goes_on_and_pays_for_what_it_may_have_learnt(
    phase: str, paid: int, tmp_path: Path
) -> None:
    place, fleet = federation(tmp_path)
    with here(fleet) as world:
        with pytest.raises(Killed):
            world.serve(place, Log(killed_at=phase))
        assert releases(place) == paid
        if paid:
            with pytest.raises(BudgetError, match="--budget"):
                world.serve(place)
            assert releases(place) == paid
            assert world.log.events("budget refused a release")
        outcome = world.serve(place, budget=20.0)
        assert outcome.trained and outcome.delivered == DEVICES
        assert world.log.events("run resumed")
    assert releases(place) == paid + 1


def test_a_run_that_was_closed_when_the_server_was_killed_is_not_repeated(tmp_path: Path) -> None:
    place, fleet = federation(tmp_path)
    with here(fleet) as world:
        with pytest.raises(Killed):
            world.serve(place, Log(killed_at="closed"))
        assert world.serve(place).delivered == DEVICES
        assert vectors(world) == DEVICES
    assert releases(place) == 1


def test_a_used_up_budget_ends_training_and_not_the_delivery_of_models(tmp_path: Path) -> None:
    place, fleet = federation(tmp_path, settings(budget=4.0))
    with here(fleet) as world:
        world.serve(place)
        asked, spent = vectors(world), population_head(place)
        with pytest.raises(BudgetError, match="`budget` in privet"):
            world.serve(place, again=True)
        assert (vectors(world), population_head(place)) == (asked, spent)
        assert "privet_releases_refused_total 1.0" in world.service.metrics_text
        assert world.serve(place).delivered == DEVICES


def test_models_can_be_delivered_while_a_run_waits_for_a_decision(tmp_path: Path) -> None:
    place, fleet = federation(tmp_path)
    with here(fleet) as world:
        assert world.serve(place, deliver=True).version is None
        world.serve(place)
        with pytest.raises(Killed):
            world.serve(place, Log(killed_at="charged"), again=True)
        registry = Directory(place).registry()
        registry.roll_back(1)
        registry.close()
        outcome = world.serve(place, deliver=True)
        assert not outcome.trained and (outcome.delivered, outcome.waiting) == (DEVICES, 0)
        with pytest.raises(InputError):
            world.serve(place, deliver=True, again=True)
    assert releases(place) == 2


def test_too_few_devices_cost_nothing_however_often_it_is_tried(tmp_path: Path) -> None:
    place, fleet = federation(tmp_path)
    with here(fleet, rows=slice(0, 5)) as world:
        with pytest.raises(PrivacyError, match="5 devices are connected"):
            world.serve(place)
        assert len(world.log.events("round aborted")) == 2  # `attempts`
        assert vectors(world) == 0
    assert releases(place) == 0


# --- what was spent is not forgotten ---


def copied(folder: Path, target: Path) -> tuple[Path, Fleet, Path]:
    """A copy of a federation with its devices: server, fleet and backup."""
    shutil.copytree(folder, target, dirs_exist_ok=True)
    folders = sorted(target.glob("device-*"), key=lambda path: int(path.name.split("-")[1]))
    return target / "server", Fleet.of(folders), target / "backup"


OLDER = [
    ("population.db",),
    ("population.db", "runs"),
    ("population.db", "runs", "devices.db"),
    ("runs",),
]


@pytest.mark.parametrize("names", OLDER, ids=" ".join)
@pytest.mark.parametrize("again", [False, True])
def test_a_backup_of_a_part_that_is_older_starts_nothing(
    names: tuple[str, ...], again: bool, twice_trained: Path, tmp_path: Path
) -> None:
    place, fleet, backup = copied(twice_trained, tmp_path)
    restored(place, backup, *names)
    with here(fleet) as world:
        if again and names == ("runs",):  # lost runs only cost: they stay counted
            world.serve(place, again=True)
            assert releases(place) == 3
            return
        with pytest.raises(IntegrityError, match="Bring"):
            world.serve(place, again=again)
        assert vectors(world) == 0


def test_the_tests_of_older_copies_catch_a_server_that_does_not_compare_ledgers(
    twice_trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place, fleet, backup = copied(twice_trained, tmp_path)
    restored(place, backup, "population.db")
    monkeypatch.setattr(Training, "_hold_together", lambda self, registry: 0)
    with here(fleet) as world:
        world.serve(place, again=True)
    assert releases(place) == 2  # of three: one was forgotten, and its budget spent again


def test_where_everything_is_older_a_witness_shows_it_and_devices_end_it(tmp_path: Path) -> None:
    wanted = settings(budget=30.0)
    wanted = replace(wanted, privacy=replace(wanted.privacy, answers=2))
    place, fleet = federation(tmp_path, wanted)
    shutil.copytree(place, tmp_path / "backup")
    with here(fleet) as world:
        world.serve(place)
        world.serve(place, again=True)
        witness = Witness.parse(population_head(place))
    restored(place, tmp_path / "backup")
    assert releases(place) == 0  # the server has forgotten all of it
    directory = Directory(place)
    with here(fleet) as world:
        directory.enrol([member.request for member in world.members])
        with pytest.raises(IntegrityError, match="older copy"):
            world.serve(place, witness=witness)
        assert not world.asked
        # Without a witness the server asks; no device answers more often than its user agreed to.
        with pytest.raises(PrivacyError):
            world.serve(place)
        assert world.answered[Stage.HELLO] == DEVICES and world.answered[Stage.MASK] == 0
    assert releases(place) == 0


def test_a_lost_run_is_not_begun_again_by_itself(twice_trained: Path, tmp_path: Path) -> None:
    place, fleet, _ = copied(twice_trained, tmp_path)
    shutil.rmtree(place / "runs" / "1")
    shutil.rmtree(place / "runs" / "2")
    with here(fleet) as world:
        with pytest.raises(IntegrityError, match="--again"):
            world.serve(place)
        outcome = world.serve(place, again=True)
        assert outcome.trained and outcome.version is not None and outcome.version.version == 3
    assert [path.name for path in Directory(place).runs] == ["3"]
    assert releases(place) == 3


# --- models ---


def test_a_rollout_reaches_its_share_and_a_rollback_all_and_the_next_run_goes_on_from_there(
    tmp_path: Path,
) -> None:
    wanted = settings(budget=30.0)
    staged = replace(wanted, rounds=replace(wanted.rounds, rollout_permille=500))
    place, fleet = federation(tmp_path, staged)
    registry = Directory(place).registry()

    def versions() -> list[int | None]:
        return [None if held is None else held[0] for held in fleet.held()]

    def chosen() -> list[int | None]:
        registry.refresh()
        return [registry.version_for(member.request.identity) for member in world.members]

    with here(fleet) as world:
        world.serve(place)
        assert versions() == chosen() and set(versions()) == {None, 1}
        registry.roll_out(1, 1000)
        world.serve(place)
        assert versions() == [1] * DEVICES
        world.serve(place, again=True)
        assert versions() == chosen() and set(versions()) == {1, 2}
        assert registry.roll_back() == 1
        world.serve(place)
        assert versions() == [1] * DEVICES
        world.serve(place, again=True)
        assert versions() == chosen() and set(versions()) == {1, 3}
        found = models_of(Directory(place))
        assert (found["stable"], found["candidate"]) == (1, 3)
    registry.close()


def test_a_model_that_was_changed_on_its_way_or_on_the_disk_is_kept_by_nobody(
    tmp_path: Path,
) -> None:
    place, fleet = federation(tmp_path)
    with here(fleet) as world:
        world.change = lambda r: changed(r) if r.stage == Stage.MODEL else r
        outcome = world.serve(place)
        assert (outcome.trained, outcome.waiting) == (True, DEVICES)
        assert fleet.held() == [None] * DEVICES
        world.change = lambda request: request
        registry = Directory(place).registry()
        connection = registry._file.connection
        ((data,),) = connection.execute("SELECT data FROM state").fetchall()
        worse = bytes(data[:-1]) + bytes([data[-1] ^ 1])
        connection.execute("UPDATE state SET data = ?", (worse,))
        registry.close()
        with pytest.raises(IntegrityError, match="not those published"):
            world.serve(place)
        assert fleet.held() == [None] * DEVICES


def test_a_device_that_joins_twice_is_two_and_takes_part_as_either(tmp_path: Path) -> None:
    place, fleet = federation(tmp_path)
    directory = Directory(place)
    again = join(directory.invitation, tmp_path / "again")
    assert directory.enrol([again]) == (1, DEVICES + 1)
    assert directory.enrol([again]) == (0, DEVICES + 1)
    fleet.folders.append(tmp_path / "again")
    with here(fleet) as world:
        outcome = world.serve(place)
        assert outcome.delivered == DEVICES + 1
        assert vectors(world) == DEVICES  # no more than the plan is made for


def test_a_device_that_is_not_enrolled_is_not_asked(tmp_path: Path) -> None:
    place, fleet = federation(tmp_path)
    join(Directory(place).invitation, tmp_path / "stranger")
    fleet.folders.append(tmp_path / "stranger")
    with here(fleet) as world:
        world.serve(place)
        assert not world.members[-1].store.ledger.entries
        assert fleet.held()[-1] is None


# --- groups ---


def in_groups(combination: str) -> Settings:
    wanted = settings(budget=30.0)
    grouped = replace(wanted.privacy, groups=3, combination=combination, drop_permille=250)
    return replace(wanted, privacy=grouped)


def test_a_spoiled_group_is_borne_and_told_where_groups_are_combined(tmp_path: Path) -> None:
    place, fleet = federation(tmp_path, in_groups("median"))
    with here(fleet, cheats=[4]) as world:
        outcome = world.serve(place)
        assert outcome.trained and outcome.delivered == DEVICES
        (line,) = world.log.events("groups were spoiled and borne")
        (step,) = status_of(Directory(place))["run"]["spoiled_groups"]
        found = status_of(Directory(place))["run"]["spoiled_groups"][step]
        assert (line["groups"], line["numbers"]) == (1, str(found[0]))
        assert "privet_groups_spoiled_total 1.0" in world.service.metrics_text
        assert "privet_devices_in_last_sum 12.0" in world.service.metrics_text


def test_a_sum_that_was_poisoned_stays_paid_and_makes_no_model(tmp_path: Path) -> None:
    place, fleet = federation(tmp_path, in_groups("sum"))
    with here(fleet, cheats=[4]) as world:
        with pytest.raises(PoisoningError):
            world.serve(place)
        assert world.log.events("a released sum was poisoned")
        assert not world.log.events("round aborted")  # it is not tried again by itself
        assert "privet_sums_poisoned_total 1.0" in world.service.metrics_text
    assert releases(place) == 1
    assert fleet.held() == [None] * DEVICES
    assert models_of(Directory(place))["models"] == []


def test_honest_groups_are_combined_without_a_word(tmp_path: Path) -> None:
    place, fleet = federation(tmp_path, in_groups("trimmed-mean"))
    with here(fleet) as world:
        world.serve(place)
        assert not world.log.events("groups were spoiled and borne")
    found = status_of(Directory(place))
    assert found["run"]["groups"] == 3 and found["run"]["spoiled_groups"] == {}
    assert found["devices"]["needed"] == 9


def test_groups_are_part_of_what_devices_agreed_to(tmp_path: Path) -> None:
    place, _ = federation(tmp_path, in_groups("median"))
    own = Directory(place).settings
    for other in (
        replace(own.privacy, groups=4),
        replace(own.privacy, combination="trimmed-mean"),
    ):
        (place / "privet.toml").write_text(write_settings(replace(own, privacy=other)))
        with pytest.raises(InputError, match="devices agreed to"):
            _ = Directory(place).invitation


# --- what is written ---


@pytest.mark.parametrize("trust", ["secure-aggregation", "central"])
def test_logs_and_metrics_hold_nothing_of_a_device(trust: str, tmp_path: Path) -> None:
    place, fleet = federation(tmp_path, settings(trust=trust, budget=30.0))
    with here(fleet) as world:
        with pytest.raises(Killed):
            world.serve(place, Log(killed_at="summed"))
        text = world.log.getvalue()
        world.serve(place, budget=20.0)
        text += world.log.getvalue() + world.service.metrics_text
        assert text.count("\n") > 20
        families = list(text_string_to_metric_families(world.service.metrics_text))
        assert {family.name for family in families} > {
            "privet_releases",
            "privet_phase_time_seconds",
        }
        invitation = Directory(place).invitation
        secrets = [invitation.name, invitation.federation.run, "item-", "12 of"]
        for member in world.members:
            request = member.request
            secrets += [request.identity.hex(), str(request.number), str(member.directory)]
            secrets += request.node.splitlines()[1:3]
        secrets += [str(tmp_path)]
        assert [secret for secret in secrets if secret.lower() in text.lower()] == []
        if trust == "central":  # who takes part may be a secret there
            assert not world.log.events("stage finished")
            assert str(DEVICES) not in [
                str(v)
                for line in world.log.lines
                if line["event"] != "devices enrolled"
                for v in line.values()
            ]
