"""A rehearsal is a federation: an app's client joins it, trains, gets the model, and is counted."""

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from tests.client.app.test_client_federation import agreed_by_nobody

from privet.client.client import Client
from privet.client.connection import Trained
from privet.client.device import egress_policy
from privet.client.embedded import transport
from privet.client.embedded.errors import RejectedError, UntrustedServerError
from privet.client.embedded.fleet_server import FleetServer
from privet.client.embedded.identity import NodeIdentity, ServerClock
from privet.client.embedded.objects import make_reply
from privet.client.embedded.transport import FleetConnection
from privet.client.testing.checks import no_connections, uploads_of
from privet.client.testing.store import temporary_client
from privet.models.catalogue import Catalogue
from privet.models.cohort import Cohort
from privet.models.popularity import Popularity
from privet.privacy import noise
from privet.privacy.errors import InputError
from privet.privacy.minimization.gate import Gate
from privet.privacy.randomness import Randomness
from privet.server.fleet import Round
from privet.simulations.fleet import InProcessFleet
from privet.simulations.rehearsal import Rehearsal

CATALOGUE = Catalogue(item_ids=tuple(f"item-{n}" for n in range(14)))
LIKED = 3
DEVICES = 12
STAGES = ["hello", "advertise", "share", "mask", "cosign", "unmask", "hello", "model"]


def liking(client: Client) -> Client:
    client.consent.grant("personalize")
    client.record("like", CATALOGUE.item_ids[LIKED])
    return client


def simulated(rehearsal: Rehearsal, liked: list[int]) -> NDArray[np.float64]:
    """The sum of the same plan in a simulation, with noise of its own."""
    played = rehearsal.histories
    everyone = Cohort.from_pairs(
        np.concatenate([played.rows, np.full(len(liked), len(played))]),
        np.concatenate([played.items, np.array(liked, np.int32)]),
        n_users=DEVICES,
        n_items=len(CATALOGUE),
    )
    plan = rehearsal.invitation.plan
    here = InProcessFleet(
        Popularity(), everyone, randomness=Randomness.secret(), gate=Gate(egress_policy(plan))
    )
    asked = Round(plan=plan, step=plan.steps[0], shared={})
    total = here.run(asked, lambda survivors: None).total
    return total.astype(np.int32) / plan.steps[0].encoding.scale


def published(client: Client) -> NDArray[np.float64]:
    found = client._parts.place.published()
    assert found is not None
    return np.asarray(found.shared["popularity"], np.float64)


def test_a_client_joins_trains_gets_the_model_and_is_counted_as_in_a_simulation(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # Without the noise of both, what is left to differ is each device's rounding.
    monkeypatch.setattr(noise, "sample_skellam", lambda variance, n, rng: np.zeros(n, np.int64))
    with Rehearsal(CATALOGUE, epsilon=100.0) as rehearsal, temporary_client(CATALOGUE) as client:
        rehearsal.join(liking(client))
        found = rehearsal.train(client)
        assert found.delivered == DEVICES and found.version == 1
        place = client._parts.place.joined()
        assert place is not None and place.membership is not None
        held = place.membership.models.held
        assert held is not None
        assert held.state_hash == found.model_hash == rehearsal.model_hash
        rounding = 2 * DEVICES / rehearsal.invitation.plan.steps[0].encoding.scale
        assert rounding < 0.5  # of the one that a like is worth
        learnt = published(client)
        assert np.abs(learnt - simulated(rehearsal, [LIKED])).max() < rounding
        without = np.abs(learnt - simulated(rehearsal, []))
        assert without.argmax() == LIKED and without.max() > rounding


def test_a_rehearsals_model_has_the_noise_of_its_plan() -> None:
    with Rehearsal(CATALOGUE, epsilon=1.0) as rehearsal, temporary_client(CATALOGUE) as client:
        rehearsal.join(liking(client))
        rehearsal.train(client)
        noise = np.sqrt(2) * rehearsal.invitation.plan.steps[0].noise_std(DEVICES)
        errors = published(client) - simulated(rehearsal, [LIKED])
        assert noise / 4 < np.sqrt(np.mean(errors**2)) < 3 * noise


def received_as_agreed(rehearsal: Rehearsal, client: Client) -> None:
    rehearsal.join(liking(client))
    rehearsal.train(client)
    terms = client.connect(rehearsal.invitation).terms
    sizes = {message.step: message.size_bytes for message in terms.messages}
    sizes["mask"] = sizes["popularity"]
    found = [(one.stage, one.size_bytes) for one in rehearsal.received]
    assert found == [(name, sizes[name]) for name in STAGES]


def test_what_was_received_is_what_the_terms_said_to_the_byte() -> None:
    with Rehearsal(CATALOGUE) as rehearsal, temporary_client(CATALOGUE) as client:
        received_as_agreed(rehearsal, client)


def test_a_client_that_adds_a_field_behind_its_gate_is_noticed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(
        transport, "make_reply", lambda request, payload: make_reply(request, payload + b"age=41")
    )
    with Rehearsal(CATALOGUE, seconds=1) as rehearsal, temporary_client(CATALOGUE) as client:
        with pytest.raises(AssertionError):
            received_as_agreed(rehearsal, client)
        assert rehearsal.received


def test_what_may_leave_reads_the_same_in_every_rehearsal_of_a_plan() -> None:
    with Rehearsal(CATALOGUE) as one, Rehearsal(CATALOGUE, seed=1) as two:
        text = uploads_of(one.invitation)
        assert uploads_of(two.invitation) == text
    with Rehearsal(CATALOGUE, epsilon=4.0) as three:
        assert uploads_of(three.invitation) != text
    with pytest.raises(InputError, match="clients of the app"):
        Rehearsal(CATALOGUE, apps=12)


@pytest.mark.parametrize("trust", ["central", "local"])
def test_a_rehearsal_has_the_other_trusts_and_runs_again(trust: str) -> None:
    with Rehearsal(CATALOGUE, trust=trust) as rehearsal, temporary_client(CATALOGUE) as client:
        rehearsal.join(liking(client))
        first, second = rehearsal.train(client), rehearsal.train(client)
        assert (first.version, second.version) == (1, 2)
        assert first.model_hash != second.model_hash == rehearsal.model_hash
        assert first.delivered == second.delivered == DEVICES


def test_two_clients_of_an_app_rehearse_together() -> None:
    with (
        Rehearsal(CATALOGUE, apps=2) as rehearsal,
        temporary_client(CATALOGUE) as one,
        temporary_client(CATALOGUE) as two,
    ):
        for client in (one, two):
            rehearsal.join(liking(client))
        assert rehearsal.train(one, two).delivered == DEVICES
        assert np.array_equal(published(one), published(two))
        assert len({answer.node for answer in rehearsal.received}) == 2


def withdrawn(client: Client, rehearsal: Rehearsal) -> None:
    rehearsal.join(liking(client))
    client.consent.withdraw("contribute")
    found = rehearsal.train(client)
    assert found.delivered == DEVICES - 1
    assert {one.state for one in found.training} == {Trained.NOT_DUE}
    assert rehearsal.received == ()


def test_a_client_whose_user_took_consent_back_sends_nothing() -> None:
    with Rehearsal(CATALOGUE, seconds=1) as rehearsal, temporary_client(CATALOGUE) as client:
        withdrawn(client, rehearsal)


def test_a_client_that_does_not_ask_for_consent_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    agreed_by_nobody(monkeypatch)
    with Rehearsal(CATALOGUE, seconds=1) as rehearsal, temporary_client(CATALOGUE) as client:
        with pytest.raises(AssertionError):
            withdrawn(client, rehearsal)
        assert rehearsal.received


def test_a_client_that_has_not_joined_cannot_be_enrolled_and_connects_to_nobody() -> None:
    with (
        Rehearsal(CATALOGUE) as rehearsal,
        temporary_client(CATALOGUE) as client,
        no_connections(),
    ):
        with pytest.raises(InputError, match="has not joined"):
            rehearsal.enrol(client.connect(rehearsal.invitation).request)
        rehearsal.join(client)  # keys are made without a connection


def test_a_refused_call_is_made_again() -> None:
    with Rehearsal(CATALOGUE) as rehearsal, temporary_client(CATALOGUE) as client:
        rehearsal.join(liking(client))
        rehearsal.faults.refuse = 2
        found = rehearsal.train(client)
        assert found.delivered == DEVICES and rehearsal.faults.refuse == 0
        failed = [one for one in found.training if one.state is Trained.FAILED]
        assert failed and "cannot answer now" in failed[0].why


def test_a_server_that_is_away_brings_no_client_down_and_the_others_go_on() -> None:
    with Rehearsal(CATALOGUE, seconds=1) as rehearsal, temporary_client(CATALOGUE) as client:
        rehearsal.join(liking(client))
        rehearsal.faults.away = True
        found = rehearsal.train(client)
        assert found.delivered == DEVICES - 1 and rehearsal.received == ()
        assert {one.state for one in found.training} == {Trained.FAILED}
        rehearsal.faults.away = False
        again = rehearsal.train(client)
        assert Trained.DONE in {one.state for one in again.training} and rehearsal.received


def test_an_answer_that_comes_too_late_is_left_out() -> None:
    with Rehearsal(CATALOGUE, seconds=1) as rehearsal, temporary_client(CATALOGUE) as client:
        rehearsal.join(liking(client))
        rehearsal.faults.late = 0.6  # of five calls, each
        assert rehearsal.train(client).delivered == DEVICES - 1
        assert "mask" not in {one.stage for one in rehearsal.received}


def connection(rehearsal: Rehearsal, authority: Path, clock: ServerClock) -> FleetConnection:
    own = rehearsal.invitation
    server = FleetServer(host=own.host, port=own.port, authority=authority)
    return FleetConnection(server, NodeIdentity.generate(), clock=clock)


def authority_of(rehearsal: Rehearsal) -> Path:
    return rehearsal.directory.superlink.authority


def test_a_rehearsals_server_knows_registered_devices_that_sign_the_time_alone() -> None:
    with Rehearsal(CATALOGUE) as rehearsal, Rehearsal(CATALOGUE) as other:
        line = connection(rehearsal, authority_of(rehearsal), ServerClock())
        with pytest.raises(RejectedError, match="not registered"):
            line.activate(30.0)
        rehearsal._link.register([line.identity.public_pem().decode()])
        node = line.activate(30.0)
        assert line.poll(node) is None
        with pytest.raises(RejectedError):
            line.poll(node + 1)  # somebody else's
        line.clock.offset = -1000.0
        assert line.poll(node) is None and abs(line.clock.offset) < 3  # by the server's date
        honest = line.identity
        headers = honest.headers(line.clock.now())
        liar = type("Liar", (), {"headers": lambda self, now: headers | other_signature(now)})()
        line.identity = liar
        with pytest.raises(RejectedError):
            line.poll(node)
        line.close()
        stranger = connection(rehearsal, authority_of(other), ServerClock())
        with pytest.raises(UntrustedServerError):
            stranger.activate(30.0)


def other_signature(now: float) -> dict[str, str]:
    made = NodeIdentity.generate().headers(now)
    return {name: made[name] for name in ("flwr-signature", "flwr-timestamp")}


def test_a_rehearsal_leaves_nothing_behind() -> None:
    with Rehearsal(CATALOGUE) as rehearsal:
        place = rehearsal.directory.path
        assert place.is_dir()
        with pytest.raises(InputError):
            rehearsal.enrol(None)
    assert not place.parent.exists()
