"""Every route does what the client does, and the description lists exactly the routes."""

import json
import stat
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from tests.client.app.world import CATALOGUE, opened
from tests.client.sidecar.world import Asker, events, running

from privet.client.client import Client
from privet.client.results import Recommendation
from privet.client.sidecar.given import plain
from privet.client.sidecar.routes import DOCUMENT, ROUTES

LIKED = ("tt0000", "tt0004", "tt0008", "tt0001")


@pytest.fixture
def both(tmp_path: Path) -> Iterator[tuple[Asker, Client]]:
    """A sidecar, and a client that is called directly, with the same history."""
    for name in ("http", "direct"):
        (tmp_path / name).mkdir()
    with (
        running(tmp_path / "http") as (asker, _),
        opened(tmp_path / "direct" / "me.db") as direct,
    ):
        asker.post("/v1/consent/grant", {"purposes": ["personalize"]})
        direct.consent.grant("personalize")
        for item in LIKED:
            asker.post("/v1/record", {"kind": "like", "item": item, "time": 1_690_000_000})
            direct.record("like", item, time=1_690_000_000)
        yield asker, direct


def test_reading_routes_answer_as_the_client_does(both: tuple[Asker, Client]) -> None:
    asker, direct = both
    lists: tuple[dict[str, Any], ...] = (
        {"k": 5},
        {"k": 3, "query": "laughs"},
        {"k": 4, "mode": "popular", "exclude_seen": True},
        {"k": 4, "mode": "contextual", "context": {"device": "tv"}, "diversity": 0.7},
    )
    for given in lists:
        found = asker.post("/v1/recommend", given)
        wanted: tuple[Recommendation, ...] = direct.recommend(**given)
        assert found["items"] == plain(wanted) and wanted
        for one in wanted:
            why = asker.post("/v1/explain", {"item": one.item, "list": found["list"]})
            assert why == plain(direct.explain(one))
    same: dict[str, tuple[dict[str, Any], object]] = {
        "/v1/explain": ({"item": "tt0005"}, direct.explain("tt0005")),
        "/v1/search": ({"query": "laughs", "k": 3}, direct.search("laughs", 3)),
        "/v1/profile": (
            {"context": {"utc_offset_s": 0}},
            direct.profile(context={"utc_offset_s": 0}),
        ),
    }
    for path, (asked, result) in same.items():
        assert asker.post(path, asked) == plain(result)
    assert asker.post("/v1/similar", {"item": "tt0001"}) == {
        "hits": plain(direct.similar("tt0001"))
    }
    assert asker.get("/v1/main-parameters") == {"sentences": list(direct.main_parameters())}
    assert asker.get("/v1/ledger") == {"sentences": list(direct.ledger())}
    assert asker.get("/v1/health") == {"status": "ok"}


def test_writing_routes_keep_what_the_client_keeps(
    both: tuple[Asker, Client], tmp_path: Path
) -> None:
    asker, direct = both
    given: dict[str, Any] = {
        "kind": "rate",
        "item": "tt0002",
        "value": 4,
        "context": {"device": "tv"},
    }
    assert asker.post("/v1/record", {**given, "time": 5}) == {"kept": "kept"}
    direct.record("rate", "tt0002", value=4, time=5, context={"device": "tv"})
    assert asker.post("/v1/impressions", {"items": ["tt0003"]})["kept"] == "kept"
    direct.record_impressions(["tt0003"])
    assert asker.post("/v1/feedback", {"said": "hide", "item": "tt0012"})["kept"] == "kept"
    direct.feedback("hide", item="tt0012")
    assert asker.post("/v1/profile/edit", {"topic": "Western", "weight": 0.5})["kept"] == "kept"
    direct.edit_profile("Western", weight=0.5)
    asked, wanted = asker.post("/v1/ask")["asking"], direct.ask()
    assert wanted is not None and asked.pop("name") and asked == plain(wanted)
    again = asker.post("/v1/ask")["asking"]["name"]
    assert asker.post("/v1/answer", {"asking": again, "answer": "skip"})["kept"] == "kept"
    direct.answer(wanted, "skip")
    assert asker.post("/v1/flush") == {"flushed": True}
    direct.flush()
    texts = []
    assert asker.post("/v1/export", {"path": str(tmp_path / "a.json")}) == {"written": True}
    direct.export(tmp_path / "b.json")
    for name in ("a.json", "b.json"):
        texts.append(json.loads((tmp_path / name).read_text())["history"])
        assert stat.S_IMODE((tmp_path / name).stat().st_mode) == 0o600
    assert texts[0] == texts[1]
    erased = asker.post("/v1/erase", {"items": ["tt0002"]})["receipt"]
    there, here = erased["store"], direct.erase(items=["tt0002"]).to_dict()["store"]
    assert isinstance(here, dict) and (there["erased"], there["left"]) == (
        here["erased"],
        here["left"],
    )
    assert asker.post("/v1/erase", {"all": True})["receipt"]["store"]["left"]["events"] == 0


def test_consent_is_given_and_taken_back_with_receipts(tmp_path: Path) -> None:
    with running(tmp_path) as (asker, client):
        assert (
            asker.post("/v1/record", {"kind": "like", "item": "tt0000"})["kept"] == "not consented"
        )
        receipt = asker.post("/v1/consent/grant", {"purposes": ["personalize"]})["receipt"]
        assert asker.get("/v1/consent") == {"agreed": ["personalize"], "opted_out": []}
        assert client.consent.has("personalize")
        asker.post("/v1/consent/withdraw", {"purposes": ["personalize"]})
        assert not client.consent.has("personalize")
        asker.post("/v1/opt-out", {"scope": "all"})
        assert asker.get("/v1/consent")["opted_out"] == ["personalize", "contribute"]
        found = asker.get("/v1/consent/receipts")["receipts"]
        assert found[0] == receipt and len(found) == 3
        assert events(client) == 0


def test_what_was_given_out_is_forgotten_with_what_it_was_made_from(both: Any) -> None:
    asker, _ = both
    name = asker.post("/v1/recommend", {"k": 1})
    item = {"item": name["items"][0]["item"], "list": name["list"]}
    asker.post("/v1/explain", item)
    asker.post("/v1/erase", {"items": ["tt0000"]})
    asker.post("/v1/explain", item, status=422)


def test_requests_at_once_are_all_kept(both: Any) -> None:
    asker, _ = both
    with ThreadPoolExecutor(8) as pool:
        given = [{"kind": "view", "item": item} for item in CATALOGUE.item_ids]
        found = list(pool.map(lambda body: asker.post("/v1/record", body)["kept"], given))
    assert found == ["kept"] * len(CATALOGUE)


def test_in_no_federation_nothing_is_trained_or_shown(both: Any) -> None:
    asker, _ = both
    assert asker.post("/v1/train-if-due", {"idle": True, "seconds": 1})["state"] == "not connected"
    found = asker.post("/v1/preview-upload")
    assert found["preview"] is None and found["why"]


def test_the_description_lists_exactly_the_routes_and_their_members(both: Any) -> None:
    asker, _ = both
    found = asker.get(DOCUMENT)
    assert found["openapi"].startswith("3.1")
    assert found["paths"].keys() == {DOCUMENT, *(route.path for route in ROUTES)}
    assert len({route.path for route in ROUTES}) == len(ROUTES)
    names = set()
    for route in ROUTES:
        ((method, operation),) = found["paths"][route.path].items()
        names.add(operation["operationId"])
        assert method == route.method.lower()
        assert ("requestBody" in operation) is not route.reads
        if not route.reads:
            schema = operation["requestBody"]["content"]["application/json"]["schema"]
            assert schema["properties"].keys() == {field.name for field in route.takes}
    assert len(names) == len(ROUTES)


CALLS: dict[str, dict[str, Any]] = {
    "/v1/record": {"kind": "view", "item": "tt0000"},
    "/v1/impressions": {"items": ["tt0000"]},
    "/v1/feedback": {"said": "more", "item": "tt0000"},
    "/v1/explain": {"item": "tt0000"},
    "/v1/search": {"query": "laughs"},
    "/v1/similar": {"item": "tt0000"},
    "/v1/profile/edit": {"topic": "Space", "remove": True},
    "/v1/consent/grant": {"purposes": ["personalize"]},
    "/v1/consent/withdraw": {"purposes": ["contribute"]},
    "/v1/consent/gpc": {"signal": True},
    "/v1/opt-out": {"scope": "contribute"},
    "/v1/erase": {"before": 1},
}
ELSEWHERE = {"/v1/review", "/v1/answer", "/v1/export", "/v1/connect"}


def test_answers_have_the_members_that_the_table_says(both: Any) -> None:
    asker, _ = both
    for route in (route for route in ROUTES if route.path not in ELSEWHERE):
        if route.reads:
            found = asker.get(route.path)
        else:
            found = asker.post(route.path, CALLS.get(route.path, {}))
        assert found.keys() == {field.name for field in route.gives}, route.path
