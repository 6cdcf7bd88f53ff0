"""Joining a federation through a sidecar: terms first, then consent to these, and not otherwise."""

from pathlib import Path

from tests.client.app.test_client_federation import INVITATION
from tests.client.sidecar.world import running
from tests.server.operation.federation import CATALOGUE

from privet.models.invitation import EnrolmentRequest


def test_a_device_joins_when_its_user_agreed_to_the_terms_that_were_given(tmp_path: Path) -> None:
    invitation = {"invitation": INVITATION.to_bytes().decode()}
    with running(tmp_path, catalogue=CATALOGUE) as (asker, client):
        unseen = {"purposes": ["contribute"], "plan_hash": INVITATION.plan.hash}
        asker.post("/v1/consent/grant", unseen, status=422)  # no terms were given yet
        found = asker.post("/v1/connect", invitation)
        assert (found["state"], found["request"]) == ("not consented", None)
        assert found["terms"]["plan_hash"] == INVITATION.plan.hash
        assert not (tmp_path / "me.db.federation").exists()
        asker.post("/v1/consent/grant", {"purposes": ["contribute"]}, status=422)
        assert not client.consent.has("contribute")
        asker.post("/v1/consent/gpc", {"signal": True})
        asker.post("/v1/consent/grant", unseen, status=403)
        asker.post("/v1/consent/gpc", {"signal": False})
        asker.post("/v1/consent/grant", unseen)
        assert client.consent.has("contribute", plan_hash=INVITATION.plan.hash)
        joined = asker.post("/v1/connect", invitation)
        assert joined["state"] == "joined"
        request = EnrolmentRequest.from_bytes(joined["request"].encode())
        assert request == client.connect(INVITATION).request
        status, _, _ = asker.raw("GET", "/v1/health", None, {"Sec-GPC": "1"})
        assert status == 200 and not client.consent.has("contribute")
        found = asker.post("/v1/train-if-due", {"idle": True, "charging": True, "unmetered": True})
        assert found["state"] == "not due" and found["why"]


def test_what_is_no_invitation_is_refused(tmp_path: Path) -> None:
    with running(tmp_path, catalogue=CATALOGUE) as (asker, _):
        asker.post("/v1/connect", {"invitation": "{}"}, status=422)
        asker.post("/v1/connect", {"invitation": ""}, status=422)
