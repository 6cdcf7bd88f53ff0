"""A client in a federation: nothing at all leaves without consent, and with it what was shown."""

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.client.app.world import KEY, bytes_of
from tests.federation.test_session import request
from tests.federation.world import FEDERATION
from tests.server.operation.federation import CATALOGUE, DEVICES, made, privet, settings

from privet.client import federated
from privet.client.client import Client
from privet.client.connection import Connected, NothingToSend, Trained
from privet.client.embedded import device_loop
from privet.client.embedded.device_loop import EmbeddedDevice, Outcome, Step
from privet.client.embedded.objects import Request
from privet.client.embedded.pace import Pace
from privet.client.learning.situation import Mode
from privet.client.policy import Policy
from privet.client.release import Preview
from privet.client.results import Kept
from privet.client.rights.due import Due
from privet.client.rights.due import due as honestly_due
from privet.client.rights.quotas import Quotas
from privet.client.rights.uploads import Uploads
from privet.models.catalogue import Catalogue
from privet.models.invitation import Invitation
from privet.models.plan import PublicFacts
from privet.models.planning import make_plan
from privet.models.popularity import Popularity
from privet.privacy.accounting.adversaries import Trust
from privet.privacy.errors import InputError, PrivacyError
from privet.server.operation.certificates import make_authority

FACTS = PublicFacts(devices=12, items=len(CATALOGUE), epsilon=8.0, delta=1e-4, trust=Trust.LOCAL)
INVITATION = Invitation(
    name="Films",
    host="127.0.0.1",
    port=9,
    authority=make_authority("a test").certificate.decode(),
    federation=FEDERATION,
    plan=make_plan(Popularity(), FACTS, catalogue_hash=CATALOGUE.hash),
    answers=3,
)


class Good:
    """A good moment."""

    def idle(self) -> bool:
        return True

    def charging(self) -> bool:
        return True

    def unmetered(self) -> bool:
        return True


class OnBattery(Good):
    def charging(self) -> bool:
        return False


def opened(path: Path, **options: Any) -> Client:
    given: dict[str, Any] = {"catalogue": CATALOGUE, "key": KEY} | options
    return Client.open(path, **given)


@pytest.fixture
def tried(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[object]]:
    """Connections are forbidden; those that were tried."""
    found: list[object] = []

    def forbidden(*args: object, **kwargs: object) -> None:
        found.append(args)
        raise OSError("forbidden")

    monkeypatch.setattr(socket, "create_connection", forbidden)
    monkeypatch.setattr(socket.socket, "connect", forbidden)
    monkeypatch.setattr(socket, "getaddrinfo", forbidden)
    yield found


def joined(client: Client) -> None:
    """Agree to the terms that were shown, and join."""
    shown = client.connect(INVITATION)
    assert shown.state is Connected.NOT_CONSENTED and shown.request is None
    client.consent.grant("contribute", terms=shown.terms)
    now = client.connect(INVITATION)
    assert now.state is Connected.JOINED and now.request is not None
    again = client.connect(INVITATION)
    assert again.state is Connected.ALREADY and again.request == now.request


def personal_only(client: Client) -> None:
    client.consent.grant("personalize")
    client.record("like", "item-1")
    hooked: list[Preview] = []

    def hook(preview: Preview) -> bool:
        hooked.append(preview)
        return True

    client.on_upload(hook)
    assert client.connect(INVITATION).state is Connected.NOT_CONSENTED
    assert client.train_if_due(Good(), seconds=1.0).state is Trained.NOT_CONNECTED
    assert isinstance(client.preview_upload(), NothingToSend)
    assert client.ledger() == () and hooked == []


def test_with_consent_to_personalize_only_nothing_is_made_or_sent(
    tmp_path: Path, tried: list[object]
) -> None:
    with opened(tmp_path / "me.db") as client:
        personal_only(client)
    assert tried == []
    assert {path.name for path in tmp_path.iterdir()} <= {"me.db", "me.db.features"}


def after_withdrawal(client: Client) -> None:
    client.consent.grant("personalize")
    client.record("like", "item-1")
    joined(client)
    client.consent.withdraw("contribute")
    found = client.train_if_due(Good(), seconds=1.0)
    assert found.state is Trained.NOT_DUE and "not agreed to contribute" in found.why
    assert isinstance(client.preview_upload(), NothingToSend)
    assert client.connect(INVITATION).state is Connected.NOT_CONSENTED


def test_what_was_agreed_to_and_taken_back_sends_nothing(
    tmp_path: Path, tried: list[object]
) -> None:
    with opened(tmp_path / "me.db") as client:
        after_withdrawal(client)
    assert tried == []


def bad_moments(client: Client) -> None:
    client.consent.grant("personalize")
    joined(client)
    found = client.train_if_due(OnBattery(), seconds=1.0)
    assert (found.state, found.why) == (Trained.NOT_DUE, "the device runs on its battery")


def test_at_a_bad_moment_or_beyond_a_quota_nothing_is_sent(
    tmp_path: Path, tried: list[object]
) -> None:
    with opened(tmp_path / "me.db") as client:
        bad_moments(client)
    policy = Policy(quotas=Quotas(participations=0))
    with opened(tmp_path / "me.db", policy=policy) as client:
        found = client.train_if_due(Good(), seconds=1.0)
        assert found.state is Trained.NOT_DUE and "often enough" in found.why
    assert tried == []


def agreed_by_nobody(patch: pytest.MonkeyPatch) -> None:
    """Consent is not asked for by whoever decides whether it is due, nor before a message."""

    def due(conditions: Any, usage: Any, consents: Any, *, needs: Any = None) -> Any:
        class Everybody:
            def has(self, purpose: str, *, plan_hash: str | None = None) -> bool:
                return True

        return honestly_due(conditions, usage, Everybody(), needs=needs)  # type: ignore[arg-type]

    patch.setattr(federated, "due", due)
    patch.setattr(Uploads, "open", lambda uploads: True)


def always_due(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(federated, "due", lambda *args, **kwargs: Due(reasons=()))


@pytest.mark.parametrize(
    ("mutant", "use"), [(agreed_by_nobody, after_withdrawal), (always_due, bad_moments)]
)
def test_a_client_that_does_not_ask_is_noticed(
    tmp_path: Path,
    tried: list[object],
    monkeypatch: pytest.MonkeyPatch,
    mutant: Callable[[pytest.MonkeyPatch], None],
    use: Callable[[Client], None],
) -> None:
    mutant(monkeypatch)
    with opened(tmp_path / "me.db") as client, pytest.raises(AssertionError):
        use(client)
    assert tried != []


def test_a_server_that_is_away_is_told_and_brings_nothing_down(
    tmp_path: Path, tried: list[object]
) -> None:
    with opened(tmp_path / "me.db") as client:
        joined(client)
        found = client.train_if_due(Good(), seconds=1.0)
        assert found.state is Trained.FAILED and found.why
        assert isinstance(client.preview_upload(), NothingToSend)
        assert client.recommend(3)
    assert tried


def test_whatever_goes_wrong_in_the_background_stays_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*args: object) -> None:
        raise ZeroDivisionError("item-1 is in my history")

    with opened(tmp_path / "me.db") as client:
        joined(client)
        monkeypatch.setattr(EmbeddedDevice, "join", broken)
        found = client.train_if_due(Good(), seconds=1.0)
        assert (found.state, found.why) == (Trained.FAILED, "an error within the client")
        (tmp_path / "me.db.federation" / "agreement.json").write_text("{")
        client._parts.place.close()
        assert client.train_if_due(Good(), seconds=1.0).state is Trained.FAILED
        assert client.recommend(3)


def test_another_catalogue_or_federation_is_refused_and_makes_nothing(tmp_path: Path) -> None:
    other = Catalogue(item_ids=tuple(reversed(CATALOGUE.item_ids)))
    with opened(tmp_path / "me.db", catalogue=other) as client:
        client.consent.grant("contribute", terms=client.connect(INVITATION).terms)
        with pytest.raises(InputError, match="another catalogue"):
            client.connect(INVITATION)
        assert not (tmp_path / "me.db.federation").exists()
    with opened(tmp_path / "me.db") as client:
        assert client.connect(INVITATION).state is Connected.JOINED
        with pytest.raises(InputError, match="in another federation"):
            client.connect(replace(INVITATION, port=10))


def test_erasing_everything_leaves_the_federation_too(tmp_path: Path) -> None:
    with opened(tmp_path / "me.db") as client:
        joined(client)
        secret = (tmp_path / "me.db.federation" / "identity.key").read_bytes()
        receipt = client.erase(all=True)
        assert receipt.left and not (tmp_path / "me.db.federation").exists()
        assert secret not in bytes_of(tmp_path)
        assert client.connect(INVITATION).state is Connected.NOT_CONSENTED
        joined(client)  # it never took part


@pytest.mark.parametrize("erase", [{"items": ["item-1"]}, {"before": 10}])
def test_a_reply_that_waits_goes_with_the_history_that_it_was_made_from(
    tmp_path: Path, erase: dict[str, Any]
) -> None:
    with opened(tmp_path / "me.db") as client:
        joined(client)
        place = client._parts.place.joined()
        assert place is not None
        asked = request("contribute", INVITATION.plan)
        admitted, device = place._answer(asked), place._opened()
        assert admitted is not None
        waiting = Request(metadata={}, envelope=asked)
        device._reply = device_loop._Answer(request=waiting, admitted=admitted)
        client.erase(**erase)
        assert device._reply is None and place._session is None


def test_what_a_crash_left_of_a_place_is_removed_at_the_next_opening(tmp_path: Path) -> None:
    with opened(tmp_path / "me.db") as client:
        joined(client)
    (tmp_path / "me.db.federation" / "invitation.json").unlink()
    with opened(tmp_path / "me.db") as client:
        assert not (tmp_path / "me.db.federation").exists()
        assert client.connect(INVITATION).state is Connected.JOINED


def test_closing_or_erasing_ends_training_in_another_thread(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    device = EmbeddedDevice
    monkeypatch.setattr(device, "join", lambda self: 1)
    monkeypatch.setattr(device, "step", lambda self: Step(outcome=Outcome.IDLE))
    client = opened(tmp_path / "me.db")
    joined(client)
    for end in (lambda: client.erase(items=["item-1"]), client.close):
        found: list[Trained] = []

        def train(found: list[Trained] = found) -> None:
            while not found or found[-1] is Trained.BUSY:
                found.append(
                    client.train_if_due(
                        Good(), seconds=60.0, pace=Pace(poll_seconds=30, idle_seconds=30)
                    ).state
                )

        thread = threading.Thread(target=train)
        thread.start()
        while client.train_if_due(Good(), seconds=0.0).state is not Trained.BUSY:
            time.sleep(0.01)
        end()
        thread.join(timeout=20)
        assert found[-1] is Trained.DONE


@pytest.mark.slow
def test_clients_train_get_the_model_use_it_and_can_leave(tmp_path: Path) -> None:
    place = tmp_path / "server"
    directory = made(place, settings(budget=30.0))
    previews: list[Preview] = []
    done = threading.Event()
    with ExitStack() as stack:
        clients = []
        for row in range(DEVICES):
            (tmp_path / f"app-{row}").mkdir()
            client = stack.enter_context(opened(tmp_path / f"app-{row}" / "me.db"))
            client.consent.grant("personalize")
            for number in range(row % 4 + 1):
                assert client.record("like", f"item-{number}") is Kept.KEPT
            invitation = Invitation.from_bytes(directory.invitation.to_bytes())
            client.consent.grant("contribute", terms=client.connect(invitation).terms)
            clients.append(client)
        requests = [client.connect(invitation).request for client in clients]
        directory.enrol([request for request in requests if request is not None])

        def look(preview: Preview) -> bool:
            previews.append(preview)
            return True

        clients[0].on_upload(look)

        def live(client: Client) -> None:
            while not done.is_set():
                client.train_if_due(Good(), seconds=20.0, pace=Pace(poll_seconds=0.2))
                done.wait(0.2)

        threads = [threading.Thread(target=live, args=(client,)) for client in clients]
        for thread in threads:
            thread.start()
        code, body, log = privet("server", "up", str(place), "--once")
        done.set()
        for thread in threads:
            thread.join(timeout=60)
        assert code == 0 and body["trained"], log
        assert {"hello", "popularity", "model"} <= {preview.step for preview in previews}
        first = clients[0]
        assert first._parts.place.published() is not None
        assert first.recommend(5, mode="popular")[0].item == "item-0"
        why = first.explain(first.recommend(5, mode=Mode.POPULAR)[0])
        assert "many people like it" in why.text
        said = " ".join(first.ledger())
        assert "A test" in said and "took part" in said and "epsilon" in said
        first.export(tmp_path / "mine.json")
        receipt = first.erase(all=True)
        assert receipt.left and receipt.departures == 1 and receipt.beyond
        first.consent.grant("contribute", terms=first.connect(invitation).terms)
        with pytest.raises(PrivacyError, match="took part in this plan and left"):
            first.connect(invitation)
        assert clients[1].recommend(3)
