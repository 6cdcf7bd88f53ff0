"""A federation's directory, who joins it, and what its commands say to bad input."""

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.server.operation.federation import CATALOGUE, DEVICES, made, settings

from privet.client.membership import Membership, join
from privet.models.invitation import EnrolmentRequest, Invitation
from privet.privacy.errors import BudgetError, EgressError, InputError, IntegrityError
from privet.privacy.secagg.primitives import SigningKey
from privet.server.operation.certificates import KeyPair, make_server_certificate
from privet.server.operation.directory import Directory
from privet.server.operation.settings import Federation, Settings, write_settings
from privet.server.operation.witness import Witness
from privet.simulations import cli


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Directory:
    return made(tmp_path_factory.mktemp("made") / "server")


def run(capsys: pytest.CaptureFixture[str], *arguments: str | Path) -> tuple[int, dict[str, Any]]:
    capsys.readouterr()
    code = cli.run([*map(str, arguments), "--json"])
    return code, json.loads(capsys.readouterr().out)


def test_everything_in_it_is_its_owners_only(place: Directory) -> None:
    assert place.path.stat().st_mode & 0o777 == 0o700
    for path in place.path.rglob("*"):
        if path.is_dir() or path.suffix in {".key", ".toml", ".json", ".pem"}:
            assert path.stat().st_mode & 0o077 == 0, path


def test_nothing_is_overwritten(place: Directory, tmp_path: Path) -> None:
    before = {p: p.read_bytes() for p in place.path.rglob("*") if p.is_file()}
    with pytest.raises(InputError, match="not empty"):
        Directory.make(place.path, settings())
    with pytest.raises(InputError, match="fixed already"):
        place.invite(CATALOGUE)
    assert before == {p: p.read_bytes() for p in place.path.rglob("*") if p.is_file()}
    device = tmp_path / "device"
    join(place.invitation, device)
    with pytest.raises(InputError, match="not empty"):
        join(place.invitation, device)


def test_a_directory_that_others_may_read_is_not_used(place: Directory) -> None:
    place.path.chmod(0o750)
    try:
        with pytest.raises(InputError, match="chmod 700"):
            Directory(place.path)
    finally:
        place.path.chmod(0o700)


def test_settings_that_devices_agreed_to_cannot_be_changed_afterwards(tmp_path: Path) -> None:
    directory = made(tmp_path / "server")
    own = directory.settings
    for changed in (
        replace(own, privacy=replace(own.privacy, epsilon=5.0)),
        replace(own, privacy=replace(own.privacy, answers=50)),
        replace(own, privacy=replace(own.privacy, min_survivors_permille=900)),
        replace(own, federation=replace(own.federation, devices=DEVICES + 1)),
    ):
        (directory.path / "privet.toml").write_text(write_settings(changed))
        with pytest.raises(InputError, match="devices agreed to"):
            _ = Directory(directory.path).invitation
    more = replace(own, privacy=replace(own.privacy, budget=9.0))
    (directory.path / "privet.toml").write_text(write_settings(more))
    assert Directory(directory.path).invitation == directory.invitation


def test_where_devices_connect_to_cannot_be_changed_afterwards(tmp_path: Path) -> None:
    directory = made(tmp_path / "server")
    own = directory.settings
    for network in (
        replace(own.network, public_port=444),
        replace(own.network, names=("elsewhere.example.org",)),
    ):
        (directory.path / "privet.toml").write_text(write_settings(replace(own, network=network)))
        with pytest.raises(InputError, match=r"connect to 127\.0\.0\.1"):
            _ = Directory(directory.path).invitation
    moved = replace(own.network, port=444, names=("127.0.0.1", "elsewhere.example.org"))
    (directory.path / "privet.toml").write_text(write_settings(replace(own, network=moved)))
    assert Directory(directory.path).invitation == directory.invitation


# --- the server's certificate ---


def test_a_certificate_is_for_the_names_that_the_settings_have_when_the_plan_is_fixed(
    tmp_path: Path,
) -> None:
    directory = Directory.make(tmp_path / "server", Settings())
    own = settings()
    named = replace(own, network=replace(own.network, names=("federation.example.org",)))
    (directory.path / "privet.toml").write_text(write_settings(named))
    directory = Directory(directory.path)
    assert directory.invite(CATALOGUE).host == "federation.example.org"
    directory.check_certificate()  # for devices, and for the server's own calls on loopback
    assert set(directory.certified_names) == {"federation.example.org", "127.0.0.1"}


def test_a_certificate_that_nobody_would_accept_is_noticed_and_can_be_made_anew(
    tmp_path: Path,
) -> None:
    directory, other = made(tmp_path / "server"), made(tmp_path / "other")
    tls = directory.path / "tls"
    good = {path.name: path.read_bytes() for path in tls.iterdir()}
    authority = KeyPair(certificate=good["authority.pem"], key=good["authority.key"])
    long_ago = make_server_certificate(
        authority, ["127.0.0.1"], now=datetime.now(UTC) - timedelta(days=400)
    )
    elsewhere = make_server_certificate(authority, ["federation.example.org"])
    others = {path.name: path.read_bytes() for path in (other.path / "tls").iterdir()}
    for files, says in (
        ({"server.pem": long_ago.certificate, "server.key": long_ago.key}, "valid from"),
        ({"server.pem": elsewhere.certificate, "server.key": elsewhere.key}, "not for 127"),
        ({"server.key": others["server.key"]}, "do not belong together"),
        ({n: others[n] for n in ("server.pem", "server.key")}, "authority that devices pinned"),
        ({"server.pem": b"junk"}, "cannot be read"),
    ):
        for name, data in {**good, **files}.items():
            (tls / name).write_bytes(data)
        with pytest.raises(InputError, match=says):
            directory.check_certificate()
        directory.certify()
        directory.check_certificate()
    assert (tls / "authority.pem").read_bytes() == good["authority.pem"]
    assert all(path.stat().st_mode & 0o077 == 0 for path in tls.iterdir())
    (tls / "server.key").unlink()
    with pytest.raises(InputError, match="privet server certificate"):
        directory.check_certificate()
    (tls / "authority.key").unlink()
    with pytest.raises(InputError, match="Bring it back"):
        directory.certify()


def test_a_plan_that_was_refused_can_be_put_right(tmp_path: Path) -> None:
    own = settings()
    poor = replace(own, privacy=replace(own.privacy, budget=1.0, delta=1e-5))
    directory = Directory.make(tmp_path / "server", poor)
    with pytest.raises(BudgetError, match=r"`budget` in privet\.toml"):
        directory.invite(CATALOGUE)
    assert not directory.fixed
    (directory.path / "privet.toml").write_text(write_settings(own))
    directory = Directory(directory.path)
    directory.invite(CATALOGUE)
    population = directory.population()
    assert (population.view.budget, population.view.opening.delta) == (8.0, 1e-4)
    population.close()


def test_a_population_that_was_spent_from_is_never_begun_anew(tmp_path: Path) -> None:
    directory = made(tmp_path / "server")
    population = directory.population()
    population.start(directory.invitation.plan, tuning=False)
    population.close()
    (directory.path / "invitation.json").unlink()
    with pytest.raises(IntegrityError, match="bring it back"):
        Directory(directory.path).invite(CATALOGUE)


def test_without_its_population_nothing_goes_on(tmp_path: Path) -> None:
    directory = made(tmp_path / "server")
    (directory.path / "population.db").unlink()
    with pytest.raises(InputError, match="bring it back"):
        directory.population()


def test_another_signing_key_is_noticed(tmp_path: Path) -> None:
    directory = made(tmp_path / "server")
    (directory.path / "signing.key").write_bytes(bytes(32))
    with pytest.raises(IntegrityError, match="pinned"):
        _ = Directory(directory.path).invitation


def test_one_server_at_a_time(place: Directory) -> None:
    with place.locked(), pytest.raises(InputError, match="already"), Directory(place.path).locked():
        pass
    assert not place.served


def test_a_witness_notices_an_older_copy_of_the_population(tmp_path: Path) -> None:
    directory = made(tmp_path / "server")
    older = (directory.path / "population.db").read_bytes()
    population = directory.population()
    population.start(directory.invitation.plan, tuning=False)
    entries = population.view.entries
    witness = Witness.parse(f"{len(entries)}:{entries[-1].hash}")
    witness.check(population)
    population.close()
    (directory.path / "population.db").write_bytes(older)
    population = directory.population()
    with pytest.raises(IntegrityError, match="older copy"):
        witness.check(population)
    population.close()


# --- joining and enrolling ---


def test_a_device_pins_what_the_invitation_says(place: Directory, tmp_path: Path) -> None:
    request = join(place.invitation, tmp_path / "device")
    member = Membership.open(tmp_path / "device")
    assert member.invitation == place.invitation
    assert member.request == request
    assert member.agreement.limits.max_participations == place.invitation.answers
    assert {p.name for p in (tmp_path / "device").iterdir() if p.stat().st_mode & 0o077} == set()
    member.close()


def test_a_device_obeys_what_its_user_agreed_to_and_not_a_changed_invitation(
    place: Directory, tmp_path: Path
) -> None:
    join(place.invitation, tmp_path / "device")
    own = place.invitation
    others = SigningKey.generate().public
    for changed in (
        replace(own, federation=replace(own.federation, server_key=others)),
        replace(own, host="elsewhere.example.org"),
    ):
        (tmp_path / "device" / "invitation.json").write_bytes(changed.to_bytes())
        with pytest.raises(EgressError, match="did not agree"):
            Membership.open(tmp_path / "device")


def test_an_invitation_asks_for_as_many_answers_as_its_plan_is_made_for(place: Directory) -> None:
    with pytest.raises(InputError, match="answers"):
        replace(place.invitation, answers=place.invitation.answers + 1)


def test_devices_are_enrolled_once_and_all_or_none(tmp_path: Path) -> None:
    directory = made(tmp_path / "server")
    one, two, three = (join(directory.invitation, tmp_path / name) for name in "abc")
    assert directory.enrol([one]) == (1, 1)
    assert directory.enrol([one, two]) == (1, 2)
    own = directory.invitation
    key = SigningKey.generate()
    theft = {
        "number": EnrolmentRequest.sign(
            key, one.number, three.node.encode(), federation=own.federation, plan_hash=own.plan.hash
        ),
        "node": EnrolmentRequest.sign(
            key, 5, one.node.encode(), federation=own.federation, plan_hash=own.plan.hash
        ),
    }
    for stolen in theft.values():
        with pytest.raises(InputError, match="another device"):
            directory.enrol([three, stolen])
    assert directory.enrol([]) == (0, 2)


def test_devices_can_be_left_out_by_enrolling_the_others_again(tmp_path: Path) -> None:
    directory = made(tmp_path / "server")
    one, two = (join(directory.invitation, tmp_path / name) for name in "ab")
    directory.enrol([one, two])
    (directory.path / "devices.db").unlink()
    with pytest.raises(InputError, match="enrol again"):
        directory.devices()
    assert directory.enrol([two]) == (1, 1)


Change = Callable[[EnrolmentRequest], EnrolmentRequest]


@pytest.mark.parametrize(
    ("change", "error"),
    [
        (lambda r: replace(r, number=r.number ^ 1), IntegrityError),
        (lambda r: replace(r, identity=SigningKey.generate().public), IntegrityError),
        (lambda r: replace(r, signature=bytes(64)), IntegrityError),
        (lambda r: replace(r, run="another"), InputError),
        (lambda r: replace(r, plan_hash="0" * 64), InputError),
    ],
    ids=["number", "identity", "signature", "federation", "plan"],
)
def test_a_request_that_is_not_the_devices_own_is_refused(
    change: Change, error: type[Exception], place: Directory, tmp_path: Path
) -> None:
    request = join(place.invitation, tmp_path / "device")
    with pytest.raises(error):
        place.enrol([change(request)])


def test_a_request_for_another_server_of_the_same_name_is_refused(
    place: Directory, tmp_path: Path
) -> None:
    own = place.invitation
    other = replace(
        own, federation=replace(own.federation, server_key=SigningKey.generate().public)
    )
    with pytest.raises(IntegrityError):
        place.enrol([join(other, tmp_path / "device")])


def test_files_that_people_carry_are_read_back(place: Directory, tmp_path: Path) -> None:
    data = place.invitation.to_bytes()
    assert Invitation.from_bytes(data) == place.invitation
    request = join(place.invitation, tmp_path / "device")
    assert EnrolmentRequest.from_bytes(request.to_bytes()) == request


# --- the commands ---


def test_a_federation_is_made_joined_and_enrolled_by_commands(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    server, device = tmp_path / "server", tmp_path / "device"
    wanted, items = tmp_path / "settings.toml", tmp_path / "items.csv"
    wanted.write_text(write_settings(settings()))
    items.write_text("item_id\n" + "\n".join(CATALOGUE.item_ids) + "\n")
    code, body = run(capsys, "server", "init", server, "--settings", wanted)
    assert (code, body["invitation"]) == (0, None)
    assert run(capsys, "server", "status", server)[1]["population"] is None
    assert run(capsys, "server", "up", server)[0] == 2
    code, body = run(capsys, "server", "invite", server, "--catalogue", items)
    assert code == 0
    code, joined = run(capsys, "client", "join", body["invitation"], device, "--yes")
    assert code == 0 and joined["plan_hash"] == body["plan_hash"]
    code, enrolled = run(capsys, "server", "enrol", server, joined["request"])
    assert (code, enrolled) == (0, {"new": 1, "enrolled": 1})
    status = run(capsys, "server", "status", server)[1]
    assert status["devices"]["enrolled"] == 1 and status["run"] is None


def test_a_user_sees_what_leaves_and_nobody_agrees_in_silence(
    place: Directory, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    invitation = place.path / "invitation.json"
    assert cli.run(["client", "join", str(invitation), str(tmp_path / "device")]) == 2
    shown = capsys.readouterr().out
    assert "at most 5 times" in shown and "an honest-but-curious server: " in shown
    assert "a malicious server: no guarantee" in shown and place.invitation.plan.hash in shown
    assert not (tmp_path / "device").exists()


def test_commands_refuse_bad_input(
    place: Directory, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    junk, server = tmp_path / "junk", place.path
    junk.write_bytes(b"\xff\x00junk")
    bad: list[tuple[str | Path, ...]] = [
        ("server", "init", server),
        ("server", "init", tmp_path / "new", "--settings", junk),
        ("server", "init", tmp_path / "new", "--catalogue", tmp_path / "none.csv"),
        ("server", "invite", server, "--catalogue", junk),
        ("server", "invite", tmp_path / "nowhere", "--catalogue", junk),
        ("server", "enrol", server, junk),
        ("server", "enrol", server, tmp_path / "none"),
        ("server", "certificate", tmp_path / "nowhere"),
        ("server", "up", tmp_path / "nowhere"),
        ("server", "up", server, "--deliver", "--again"),
        ("server", "up", server, "--witness", "7"),
        ("server", "up", server, "--witness", f"{'9' * 99}:{'0' * 64}"),
        ("server", "status", tmp_path / "nowhere"),
        ("server", "budget", tmp_path / "nowhere"),
        ("server", "models", tmp_path / "nowhere"),
        ("server", "rollout", server, "1", "1000"),
        ("server", "rollout", server, "1", "0"),
        ("server", "rollback", server),
        ("server", "rollback", server, "7"),
        ("client", "join", junk, tmp_path / "device"),
        ("client", "join", tmp_path / "none", tmp_path / "device"),
        ("client", "run", tmp_path / "nowhere", "--data", junk, "--catalogue", junk),
    ]
    for arguments in bad:
        code, body = run(capsys, *arguments)
        assert code == 2, (arguments, body)
        assert "junk" not in body["message"].replace(str(junk), "")
    assert not (tmp_path / "new").exists() and not (tmp_path / "device").exists()


def test_a_plan_whose_noise_is_not_worth_its_epsilon_is_not_offered_to_a_user(
    place: Directory, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    own = place.invitation
    facts = replace(own.plan.facts, epsilon=0.5)  # what it says; its noise is for more
    lying = replace(own, plan=replace(own.plan, facts=facts))
    (tmp_path / "lying.json").write_bytes(lying.to_bytes())
    code, body = run(capsys, "client", "join", tmp_path / "lying.json", tmp_path / "d", "--yes")
    assert (code, body["error"]) == (3, "PrivacyError")


def test_a_federation_that_nobody_could_join_is_not_made(tmp_path: Path) -> None:
    wanted = replace(
        settings(trust="central"), federation=Federation(model="trending", devices=DEVICES)
    )
    directory = Directory.make(tmp_path / "server", wanted)
    with pytest.raises(InputError):
        directory.invite(CATALOGUE)
    assert not directory.fixed and not (directory.path / "population.db").exists()
