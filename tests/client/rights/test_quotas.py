"""What taking part may cost is counted durably; conditions that nobody knows of do not hold."""

from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.client.rights.world import Clock, consents, terms, vault

from privet.client.rights.conditions import PlatformConditions
from privet.client.rights.due import WHY_NOT, Due, Needs, Reason, due
from privet.client.rights.quotas import MAX_ROUNDS, Quotas, Usage
from privet.privacy.errors import InputError


def check_durable(folder: Path) -> None:
    """Two rounds a day: a restart gives none back, and the next day gives both."""
    clock, taken = Clock(), []
    for number in range(3):
        with vault(folder) as held:
            usage = Usage(held, Quotas(participations=2), clock=clock)
            taken.append(usage.take(sent_bytes=10, round_of=("run", number)))
    assert taken == [True, True, False]
    clock.now += 86_400
    with vault(folder) as held:
        usage = Usage(held, Quotas(participations=2), clock=clock)
        assert usage.take(sent_bytes=10, round_of=("run", 7))


def test_what_was_spent_stays_spent_after_a_restart(tmp_path: Path) -> None:
    check_durable(tmp_path)


def check_two_processes(folder: Path) -> None:
    with vault(folder) as one, vault(folder) as other:
        clock = Clock()
        both = [Usage(held, Quotas(sent_bytes=30), clock=clock) for held in (one, other)]
        assert [both[turn % 2].take(sent_bytes=10) for turn in range(5)] == [True] * 3 + [False] * 2


def test_two_processes_spend_one_quota(tmp_path: Path) -> None:
    check_two_processes(tmp_path)


def test_messages_of_one_round_are_one_participation(tmp_path: Path) -> None:
    with vault(tmp_path) as held:
        clock = Clock()
        usage = Usage(held, Quotas(participations=2), clock=clock)
        for round_of in (("a", 1), ("a", 1), None, ("a", 2), ("a", 1)):
            assert usage.take(sent_bytes=1, round_of=round_of)
        assert not usage.take(sent_bytes=1, round_of=("b", 1))
        assert usage.spent().participations == 2 and usage.spent().sent_bytes == 5
        assert [(one.run, one.round_number, one.at) for one in usage.rounds()] == [
            ("a", 1, int(clock.now)), ("a", 2, int(clock.now)),
        ]  # fmt: skip


def test_what_is_refused_costs_nothing_and_what_costs_nothing_fits(tmp_path: Path) -> None:
    with vault(tmp_path) as held:
        usage = Usage(held, Quotas(sent_bytes=10), clock=Clock())
        assert not usage.take(sent_bytes=11, round_of=("a", 1))
        assert usage.spent().sent_bytes == 0 and usage.rounds() == ()
        assert usage.take(sent_bytes=10)
        assert usage.take(sent_bytes=0)


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.integers(-500, 99), max_size=8))
def test_a_clock_that_goes_back_or_creeps_gives_nothing_back(
    tmp_path_factory: pytest.TempPathFactory, moves: list[int]
) -> None:
    """Within a period forward, and however far back."""
    with vault(tmp_path_factory.mktemp("usage")) as held:
        clock = Clock()
        usage = Usage(held, Quotas(period_seconds=100, sent_bytes=1), clock=clock)
        assert usage.take(sent_bytes=1)
        lowest = clock.now
        for move in moves:
            clock.now = min(clock.now, lowest) + move if move < 0 else lowest + move
            lowest = min(lowest, clock.now)
            assert not usage.take(sent_bytes=1) or clock.now - lowest >= 100


def test_energy_is_counted_whatever_becomes_of_the_training(tmp_path: Path) -> None:
    with vault(tmp_path) as held:
        usage, joules = Usage(held, Quotas(energy=5.0), clock=Clock()), iter((10.0, 13.0))
        with pytest.raises(ZeroDivisionError), usage.metered(lambda: next(joules)):
            raise ZeroDivisionError
        assert usage.spent().energy == 3.0
        with usage.metered():
            sum(range(1000))
        assert usage.spent().energy >= 3.0
        for bad in (-1.0, float("nan"), float("inf")):
            with pytest.raises(InputError, match="finite"):
                usage.add_energy(bad)


def test_times_are_kept_of_the_latest_rounds_alone(tmp_path: Path) -> None:
    with vault(tmp_path) as held:
        usage = Usage(held, clock=Clock())
        usage.take(sent_bytes=1, round_of=("a", 0))
        one = {"run": "a", "round_number": 1, "at": 1}
        from privet.client.rights import quotas

        held.put(quotas._entry("rounds", [one] * MAX_ROUNDS))
        usage.take(sent_bytes=1, round_of=("a", 5))
        assert len(usage.rounds()) == MAX_ROUNDS and usage.rounds()[-1].round_number == 5


@pytest.mark.parametrize(
    "make",
    [
        pytest.param(lambda: Quotas(period_seconds=0), id="period"),
        pytest.param(lambda: Quotas(energy=-1.0), id="energy"),
        pytest.param(lambda: Quotas(sent_bytes=-1), id="bytes"),
        pytest.param(lambda: Quotas(energy=float("nan")), id="nan"),
    ],
)
def test_a_quota_that_is_none_is_refused(make: Callable[[], Quotas]) -> None:
    with pytest.raises(InputError, match="Expected"):
        make()


class Host:
    """What a host says; an exception where it fails."""

    def __init__(self, *answers: bool | type[Exception] | None) -> None:
        self.answers = answers

    def _say(self, number: int) -> bool | None:
        found = self.answers[number]
        if isinstance(found, type):
            raise found("the host's own")
        return found

    def idle(self) -> bool | None:
        return self._say(0)

    def charging(self) -> bool | None:
        return self._say(1)

    def unmetered(self) -> bool | None:
        return self._say(2)


def asked(
    folder: Path, host: Host, needs: Needs | None = None, quotas: Quotas | None = None
) -> Due:
    with vault(folder) as held:
        agreed = consents(held)
        if not agreed.has("contribute"):
            agreed.grant("contribute", terms=terms())
        return due(host, Usage(held, quotas, clock=Clock()), agreed, needs=needs)


def test_a_device_is_due_if_every_condition_is_known_to_hold(tmp_path: Path) -> None:
    assert asked(tmp_path, Host(True, True, True)).yes
    found = asked(tmp_path, Host(False, False, False))
    assert found.reasons == (Reason.BUSY, Reason.BATTERY, Reason.METERED) and not found.yes
    assert found.why() == (
        "the device is in use; the device runs on its battery; the network costs by the byte"
    )
    unknown = (Reason.IDLE_UNKNOWN, Reason.POWER_UNKNOWN, Reason.NETWORK_UNKNOWN)
    assert asked(tmp_path, Host(None, None, None)).reasons == unknown
    assert asked(tmp_path, Host(OSError, ValueError, RuntimeError)).reasons == unknown
    assert asked(tmp_path, Host(True, True, None), Needs(unmetered=False)).yes


def test_a_device_whose_quota_is_used_up_or_whose_user_has_not_agreed_is_not_due(
    tmp_path: Path,
) -> None:
    fine = Host(True, True, True)
    none = Quotas(energy=0.0, sent_bytes=0, participations=0)
    assert asked(tmp_path, fine, quotas=none).reasons == (
        Reason.ENERGY, Reason.BYTES, Reason.PARTICIPATIONS,
    )  # fmt: skip
    with vault(tmp_path) as held:
        agreed = consents(held)
        agreed.withdraw("contribute")
        assert due(fine, Usage(held), agreed).reasons == (Reason.CONSENT,)


def test_reasons_can_be_said_in_another_language(tmp_path: Path) -> None:
    german = WHY_NOT.translated({**WHY_NOT.templates, "busy": "das Gerät wird benutzt"})
    assert asked(tmp_path, Host(False, True, True)).why(german) == "das Gerät wird benutzt"
    with pytest.raises(InputError, match="busy"):
        WHY_NOT.translated({k: v for k, v in WHY_NOT.templates.items() if k != "busy"})
    with pytest.raises(InputError, match="no other fields"):
        WHY_NOT.translated({**WHY_NOT.templates, "busy": "{name}"})


SUPPLIES: dict[str, tuple[dict[str, dict[str, str]], bool | None]] = {
    "no battery": ({}, True),
    "mains on": ({"AC": {"type": "Mains", "online": "1"}, "BAT0": {"type": "Battery",
                  "status": "Discharging"}}, True),
    "mains off": ({"AC": {"type": "Mains", "online": "0"}, "BAT0": {"type": "Battery",
                   "status": "Discharging"}}, False),
    "charging": ({"BAT0": {"type": "Battery", "status": "Charging"}}, True),
    "unknown status": ({"BAT0": {"type": "Battery", "status": "Unknown"}}, False),
    "a mouse": ({"hid": {"type": "Battery", "scope": "Device", "status": "Discharging"}}, True),
    "unreadable": ({"BAT0": {"type": "Battery"}}, False),
}  # fmt: skip


@pytest.mark.parametrize("name", SUPPLIES)
def test_what_linux_tells_of_power_is_read(tmp_path: Path, name: str) -> None:
    files, expected = SUPPLIES[name]
    for supply, values in files.items():
        (tmp_path / supply).mkdir()
        for key, value in values.items():
            (tmp_path / supply / key).write_text(value + "\n")
    assert PlatformConditions(power=tmp_path).charging() is expected


ROUTES = "Iface\tDestination\tGateway\n{}\t00000000\t0102A8C0\neth0\t0002A8C0\t00000000\n"


def test_what_a_platform_does_not_tell_is_not_known(tmp_path: Path) -> None:
    nothing = PlatformConditions(
        power=tmp_path / "none", routes=tmp_path / "none", load=lambda: None
    )
    assert (nothing.idle(), nothing.charging(), nothing.unmetered()) == (None, None, None)
    routes = tmp_path / "route"
    for interface, expected in (("wwan0", False), ("eth0", None), ("wlan0", None)):
        routes.write_text(ROUTES.format(interface))
        assert PlatformConditions(routes=routes).unmetered() is expected
    assert PlatformConditions(load=lambda: 0.1).idle() is True
    assert PlatformConditions(load=lambda: 0.9).idle() is False
    assert PlatformConditions().idle() in (True, False, None)
