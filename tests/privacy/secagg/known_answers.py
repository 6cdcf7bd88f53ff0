"""Known answers for every message format and every derived value, from fixed keys.

`python -m tests.privacy.secagg.known_answers` from the repository's root writes the files anew,
which is right only when the protocol's version changes.
"""

import json
from pathlib import Path
from typing import Any

import numpy as np
from tests.privacy.secagg.world import CERTIFIER, answer, cohort, run_until, terms, vectors

from privet.privacy.randomness import WordStream
from privet.privacy.secagg import graph, primitives, shamir
from privet.privacy.secagg.wire import Kind

FOLDER = Path(__file__).parent / "vectors"
KEY = bytes(range(32))


def messages() -> dict[str, dict[str, Any]]:
    """All nine messages of one round in which device 7 sends no vector, as device 2 sees it."""
    sent: dict[str, bytes] = {}
    world = cohort(8)
    stages = ("sharing", "masked", "cosignature", "shares")
    received = ("ROSTER", "DELIVERY", "SURVIVORS", "UNMASK_REQUEST")
    answers = ("SHARING", "MASKED", "COSIGNATURE", "SHARES")
    sent["ADVERT"] = cohort(8).clients[2].advertise()
    for stage, name, answered in zip(stages, received, answers, strict=True):
        world = cohort(8)
        inbox = run_until(world, stage, {"masked": [7]})
        client = world.clients[2]
        sent[name] = inbox[2]
        sent[answered] = answer(client, stage, inbox[2], vectors(8)[2])
    about = {"protocol": "privet.secagg/1", "devices": 8, "dimension": 5, "certified": False}
    return {name.lower(): {**about, "kind": name, "hex": data.hex()} for name, data in sent.items()}


def certified_messages() -> dict[str, dict[str, Any]]:
    """The two messages whose format depends on whether identities are certified."""
    inbox = run_until(cohort(8, certifier_key=CERTIFIER.public), "sharing")
    advert = cohort(8, certifier_key=CERTIFIER.public).clients[2].advertise()
    about = {"protocol": "privet.secagg/1", "devices": 8, "dimension": 5, "certified": True}
    return {
        "advert-certified": {**about, "kind": "ADVERT", "hex": advert.hex()},
        "roster-certified": {**about, "kind": "ROSTER", "hex": inbox[2].hex()},
    }


def derived() -> dict[str, Any]:
    """Derived values: keys, masks, envelopes, shares, neighbours and digests."""
    total = np.zeros(6, np.uint32)
    primitives.apply_mask(total, KEY, subtract=False)
    public = primitives.public_key(b"\2" * 32)
    ids = (b"a" * 32, b"b" * 32)
    neighbours = graph.choose_neighbours(KEY, bytes(32), own=3, devices=50, count=8)
    shares = shamir.split(KEY, threshold=3, count=4, stream=WordStream(b"\3" * 32))
    return {
        "protocol": "privet.secagg/1",
        "hkdf": primitives.hkdf(KEY, b"purpose", b"one", b"two").hex(),
        "pairwise_key": primitives.pairwise_key(b"\1" * 32, public, bytes(32), 7, ids).hex(),
        "self_key": primitives.self_key(KEY, bytes(32), 7, ids[0]).hex(),
        "mask": total.tolist(),
        "envelope": primitives.seal(KEY, b"plain", b"associated").hex(),
        "commitment": graph.commit(KEY, ids[0]).hex(),
        "neighbours": list(neighbours),
        "shares": [f"{share:066x}" for share in shares],
        "terms_digest": terms().digest.hex(),
        "round_id": terms().round_id.hex(),
        "kinds": {kind.name: int(kind) for kind in Kind},
    }


def all_answers() -> dict[str, dict[str, Any]]:
    """Every file's content by its name."""
    return {**messages(), **certified_messages(), "derived": derived()}


def main() -> None:
    """Write the files."""
    FOLDER.mkdir(exist_ok=True)
    for name, content in all_answers().items():
        (FOLDER / f"{name}.json").write_text(json.dumps(content, indent=1) + "\n")


if __name__ == "__main__":
    main()
