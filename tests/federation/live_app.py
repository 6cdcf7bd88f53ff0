"""The ClientApp that a SuperNode of a live federation runs: one device, from files in its folder."""

import json
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
from tests.federation.live import LiveFederation, device_session, identity_key
from tests.federation.supernode import SUPERNODE_APP

from privet.client.flower_app import client_app
from privet.client.session import DeviceSession
from privet.models.cohort import Cohort
from privet.models.federation import Federation
from privet.models.plan import Plan
from privet.models.spectral import Spectral

APP = {
    **SUPERNODE_APP,
    "ours.py": b"import tests.federation.live_app\n\napp = tests.federation.live_app.app\n",
}


def write_device(folder: Path, live: LiveFederation, row: int) -> None:
    """Write what `open_device` reads; the model is Spectral as it comes."""
    history = live.cohort.slice(row, row + 1)
    arrays = {name: value for name, value in vars(history).items() if name != "n_items"}
    np.savez(folder / "history.npz", **arrays)
    (folder / "plan.json").write_bytes(live.plan.to_bytes())
    federation = {**asdict(live.federation), "server_key": live.federation.server_key.hex()}
    facts = {"row": row, "n_items": history.n_items, "participations": live.participations}
    (folder / "device.json").write_text(json.dumps({"federation": federation, **facts}))


def open_device(config: Mapping[str, object]) -> DeviceSession:
    """The device of a node's folder."""
    folder = Path(str(config["folder"]))
    facts = json.loads((folder / "device.json").read_text())
    federation = Federation(**facts["federation"])
    with np.load(folder / "history.npz") as arrays:
        history = Cohort(n_items=facts["n_items"], **arrays)
    return device_session(
        folder,
        plan=Plan.from_bytes((folder / "plan.json").read_bytes()),
        model=Spectral(),
        history=history,
        identity=identity_key(facts["row"]),
        federation=replace(federation, server_key=bytes.fromhex(facts["federation"]["server_key"])),
        participations=facts["participations"],
    )


app = client_app(open_device)
