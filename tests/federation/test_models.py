"""Published models on their way: what a device keeps, what it refuses, and what it says."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tests.federation.world import FEDERATION, QUICK, SERVER_KEY, TWO_SUMS, World, plan_of

from privet.client import model_store
from privet.client.model_store import ModelStore
from privet.client.session import DeviceSession
from privet.models.federation import Federation
from privet.models.model import SharedState, state_hash
from privet.models.model_message import ModelMessage
from privet.models.plan import Plan
from privet.privacy.accounting.adversaries import Trust
from privet.privacy.errors import IntegrityError, PrivacyError
from privet.privacy.secagg.primitives import SigningKey
from privet.server.delivery import Delivery, Receipt
from privet.server.flower import GridCourier

PLAN = plan_of(Trust.SECURE_AGGREGATION, TWO_SUMS)
OTHER_PLAN = plan_of(Trust.SECURE_AGGREGATION, TWO_SUMS, epsilon=2.0)
SHARED: SharedState = {"popularity": np.arange(14.0)}


def message(
    version: int, decision: int, *, rolled_back: int = 0, plan: Plan = PLAN, add: float = 0.0
) -> ModelMessage:
    shared = {"popularity": np.asarray(SHARED["popularity"], np.float64) + version + add}
    return ModelMessage(
        plan=plan,
        version=version,
        decision=decision,
        rolled_back=rolled_back,
        state_hash=state_hash(shared),
        shared=shared,
    )


class Devices:
    """The world's devices, each with a store for its model, and deliveries to them."""

    def __init__(self, folder: Path) -> None:
        self.world = World(PLAN, TWO_SUMS, lasting=True)
        self.stores = [ModelStore(folder / str(row)) for row in range(len(self.world.devices))]
        for row, device in enumerate(self.world.devices):
            self.world.sessions[row] = DeviceSession(replace(device, models=self.stores[row]))

    def deliver(
        self,
        wanted: ModelMessage,
        *,
        key: SigningKey = SERVER_KEY,
        federation: Federation = FEDERATION,
        greeted: Plan = PLAN,
    ) -> list[Receipt]:
        numbers = {
            device.identity.public: int(device.history.devices[0]) for device in self.world.devices
        }
        delivery = Delivery(
            GridCourier(self.world.grid(), poll_seconds=0.02),
            federation=federation,
            key=key,
            plan=greeted,
            allowed=numbers,
            deadlines=QUICK,
        )
        return delivery.deliver(lambda identity: wanted)

    @property
    def versions(self) -> set[int | None]:
        return {None if (held := store.held) is None else held.version for store in self.stores}


@pytest.fixture
def devices(tmp_path: Path) -> Devices:
    return Devices(tmp_path)


def test_a_model_reaches_every_device_and_is_kept(devices: Devices) -> None:
    receipts = devices.deliver(message(1, 2))
    assert len(receipts) == len(devices.stores)
    assert {(r.version, r.decision) for r in receipts} == {(1, 2)}
    assert devices.versions == {1}
    held = devices.stores[0].held
    assert held is not None and held.state_hash == message(1, 2).state_hash


def test_a_model_is_accepted_again_and_a_newer_one_replaces_it(devices: Devices) -> None:
    for wanted in (message(1, 2), message(1, 2), message(1, 3), message(2, 4)):
        assert len(devices.deliver(wanted)) == len(devices.stores)
    assert devices.versions == {2}


def test_an_older_model_is_refused_unless_it_was_rolled_back_to(devices: Devices) -> None:
    assert devices.deliver(message(2, 4))
    for older in (message(1, 2), message(1, 5), message(1, 5, rolled_back=3)):
        assert devices.deliver(older) == []
    assert devices.versions == {2}
    assert devices.deliver(message(1, 5, rolled_back=5))
    assert devices.versions == {1}
    assert devices.deliver(message(2, 4)) == []  # the message of then, sent again
    assert devices.versions == {1}


def test_one_version_has_one_content(devices: Devices) -> None:
    assert devices.deliver(message(1, 2))
    assert devices.deliver(message(1, 3, add=1.0)) == []


def test_a_model_of_another_plan_server_or_federation_is_refused(devices: Devices) -> None:
    assert devices.deliver(message(1, 2, plan=OTHER_PLAN)) == []
    stranger = SigningKey.from_secret(bytes(32))
    assert devices.deliver(message(1, 2), key=stranger) == []
    elsewhere = replace(FEDERATION, run="another")
    assert devices.deliver(message(1, 2), federation=elsewhere) == []
    assert devices.deliver(message(1, 2), greeted=OTHER_PLAN) == []
    assert devices.versions == {None}


def test_a_device_without_a_store_takes_no_model(tmp_path: Path) -> None:
    devices = Devices(tmp_path)
    devices.world.sessions[:] = [DeviceSession(device) for device in devices.world.devices]
    assert devices.deliver(message(1, 2)) == []


def test_a_model_whose_arrays_were_changed_is_refused() -> None:
    data = bytearray(message(1, 2).encode())
    assert ModelMessage.parse(bytes(data)).version == 1
    data[-3] ^= 1
    with pytest.raises(IntegrityError):
        ModelMessage.parse(bytes(data))


def test_a_receipt_is_of_one_device_for_one_decision() -> None:
    key, wanted = SigningKey.generate(), message(1, 2)
    receipt = wanted.receipt(key, "a-test")
    assert wanted.check_receipt(receipt, "a-test") == key.public
    for other, run in ((message(1, 3), "a-test"), (message(2, 2), "a-test"), (wanted, "b-test")):
        with pytest.raises(IntegrityError):
            other.check_receipt(receipt, run)


def test_a_damaged_file_is_no_model_and_is_not_replaced_in_silence(tmp_path: Path) -> None:
    store = ModelStore(tmp_path / "model")
    store.keep(message(1, 2))
    assert (tmp_path / "model").stat().st_mode & 0o077 == 0
    data = bytearray((tmp_path / "model").read_bytes())
    data[-1] ^= 1
    (tmp_path / "model").write_bytes(data)
    with pytest.raises(IntegrityError):
        store.keep(message(2, 3))


def test_the_tests_of_older_models_catch_a_store_that_keeps_whatever_comes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The mutant: a device takes the server's last message, whichever that is."""

    def keep(self: ModelStore, message: ModelMessage) -> None:
        self._path.write_bytes(message.encode())

    monkeypatch.setattr(model_store.ModelStore, "keep", keep)
    devices = Devices(tmp_path)
    with pytest.raises(AssertionError):
        test_an_older_model_is_refused_unless_it_was_rolled_back_to(devices)


def test_a_lower_version_is_refused_by_the_store_itself(tmp_path: Path) -> None:
    store = ModelStore(tmp_path / "model")
    store.keep(message(3, 3))
    with pytest.raises(PrivacyError):
        store.keep(message(2, 4))
