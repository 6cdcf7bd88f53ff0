"""What stays on the disk and what opens a connection: after erasing everything, nothing; never."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from tests.client.app.world import KEY, bytes_of, consenting, opened

from privet.client.client import Client
from privet.client.connection import NothingToSend
from privet.client.features import SETTING
from privet.client.vault.event import EntryKind
from privet.client.vault.key_source import HostKey
from privet.models.catalogue import Catalogue

ROOT = Path(__file__).parents[3]
# Of both an item of the catalogue and one that it lacks; a query that is recorded; words of a profile.
CANARIES = (
    "canary-known-item",
    "canary-lost-item",
    "canary-query",
    "canary-session",
    "canary-list",
)


def canary_catalogue() -> Catalogue:
    return Catalogue(
        item_ids=("canary-known-item-1", "canary-known-item-2", "other"),
        titles=("laughs and jokes", "jokes and laughs", "screams"),
        categories=(("Comedy",), ("Comedy",), ("Horror",)),
    )


def use(client: Client) -> None:
    """Everything that could leave a trace."""
    client.record("like", "canary-known-item-1", context={"session": "canary-session"})
    client.record("like", "canary-lost-item-1")
    client.record("search", context={"query": "canary-query"})
    client.feedback("hide", item="canary-known-item-2")
    client.feedback("hide", item="canary-lost-item-2")
    client.feedback("more", item="canary-lost-item-3")
    client.feedback("block topic", topic="canary-list")
    client.record_impressions(["canary-lost-item-4"])
    for found in client.recommend(3, query="laughs"):
        client.explain(found)
    client.search("canary-query")
    client.similar("canary-known-item-1")
    client.edit_profile("canary-topic", weight=0.5)
    client.profile()
    asking = client.ask()
    if asking is not None:
        client.answer(asking, "skip")
    client.main_parameters()
    assert client.ledger() == ()
    assert client.train_if_due().state == "not connected"
    assert isinstance(client.preview_upload(), NothingToSend)


def assert_nothing_of(words: tuple[str, ...], folder: Path) -> None:
    """No word, and no longer part of one, in any encoding that SQLite or JSON may use."""
    found = bytes_of(folder)
    for word in words:
        for part in {word, word[:10], word[-10:]}:
            assert part.encode() not in found and part.encode("utf-16-le") not in found


@pytest.mark.parametrize("clean", [True, False])
def test_nothing_of_a_history_is_in_any_file_while_and_after_it_is_used(
    tmp_path: Path, clean: bool
) -> None:
    client = consenting(tmp_path / "me.db", catalogue=canary_catalogue())
    use(client)
    assert (tmp_path / "me.db.features").is_file()
    assert_nothing_of(CANARIES, tmp_path)
    if clean:
        client.close()
    assert_nothing_of(CANARIES, tmp_path)
    client.close()


def sealed_parts(path: Path) -> list[bytes]:
    """What is in the tables, as anyone can read it."""
    import sqlite3

    db = sqlite3.connect(path)
    rows = [row for t in ("event", "entry") for (row,) in db.execute(f"SELECT sealed FROM {t}")]
    rows += [bytes(v) for v in db.execute("SELECT wrapped, tally FROM meta").fetchone()]
    db.close()
    return rows


def test_after_everything_was_erased_no_byte_of_it_or_of_its_keys_is_left(tmp_path: Path) -> None:
    secret = bytes(range(100, 132))
    client = consenting(tmp_path / "me.db", catalogue=canary_catalogue(), key=HostKey(secret))
    use(client)
    client.flush()
    rows, data_key = sealed_parts(tmp_path / "me.db"), client._parts.vault._store._wrapping
    assert len(rows) > 8 and data_key is not None
    receipt = client.erase(all=True).store
    assert receipt.events == 5 and receipt.entries >= 4
    assert (receipt.events_left, receipt.entries_left, receipt.key_destroyed) == (0, 0, True)
    for closed in (False, True):
        if closed:
            client.close()
        found = bytes_of(tmp_path)
        assert_nothing_of(CANARIES, tmp_path)
        assert secret not in found and data_key.key not in found
        assert not (tmp_path / "me.db.features").exists()
        for row in rows:
            assert not any(row[at : at + 16] in found for at in range(0, len(row) - 15, 16))
    with opened(tmp_path / "me.db", catalogue=canary_catalogue(), key=HostKey(secret)) as client:
        assert not client.consent.has("personalize")
        assert len(client.recommend(10)) == 3


def test_erasing_items_takes_them_out_of_lists_of_hidden_items_too(tmp_path: Path) -> None:
    with consenting(tmp_path / "me.db", catalogue=canary_catalogue()) as client:
        use(client)
        client.erase(items=["canary-known-item-2", "canary-lost-item-2", "canary-known-item-1"])
        client.export(tmp_path / "left.json")
        held = json.loads((tmp_path / "left.json").read_text())["history"]
    names = [e["item"] for e in held["events"]] + [e["name"] for e in held["entries"]]
    erased = ("canary-known-item-1", "canary-known-item-2", "canary-lost-item-2")
    assert not any(word in name for name in names for word in erased)
    assert any("canary-lost-item-1" in name for name in names)


def test_what_waits_in_memory_is_not_written_by_erasing_everything(tmp_path: Path) -> None:
    with consenting(tmp_path / "me.db") as client:
        client.record_impressions(["tt0001"])
        assert client.erase(all=True).store.events == 0
        client.flush()
        client.export(tmp_path / "left.json")
    assert "tt0001" not in (tmp_path / "left.json").read_text()


def test_a_changed_file_of_features_changes_no_list(tmp_path: Path) -> None:
    file = tmp_path / "me.db.features"
    with consenting(tmp_path / "me.db") as client:
        client.record("like", "tt0001")
        before, data = client.recommend(10), file.read_bytes()
    for changed in (b"", data[:100], data[:-1], data[:5000] + b"\1" + data[5001:], b"no archive"):
        file.write_bytes(changed)
        with opened(tmp_path / "me.db") as client:
            assert client.recommend(10) == before
        assert file.read_bytes() == data  # it was made anew
    file.unlink()
    file.mkdir()
    with opened(tmp_path / "me.db") as client:
        assert client.recommend(10) == before


def test_kept_features_are_read_again_and_not_for_another_catalogue(tmp_path: Path) -> None:
    with opened(tmp_path / "me.db") as client:
        client.similar("tt0001")
        written = (tmp_path / "me.db.features").stat().st_mtime_ns
    with opened(tmp_path / "me.db") as client:
        assert client._parts.features._kept() is not None
        assert [h.item for h in client.similar("tt0001", 3)]
    assert (tmp_path / "me.db.features").stat().st_mtime_ns == written
    with opened(tmp_path / "me.db", catalogue=canary_catalogue()) as client:
        assert client._parts.features._kept() is None
        assert [h.item for h in client.similar("other")] == []
        assert SETTING in client._parts.vault.entries(EntryKind.SETTING)


ALONE = """
import json, sys
from pathlib import Path

seen = []


def hook(event, arguments):
    network = event.startswith(("socket.", "urllib.", "http.", "ftplib.", "smtplib."))
    process = event in {"os.system", "subprocess.Popen", "os.posix_spawn", "os.fork", "os.exec"}
    if network or process or event.startswith(("webbrowser.", "_thread.start", "_thread.start_")):
        seen.append(event)
        raise RuntimeError("forbidden")


sys.addaudithook(hook)
from privet.client import Client, HostKey
from tests.client.app.test_client_traces import canary_catalogue, use

path = Path(sys.argv[1])
with Client.open(path, catalogue=canary_catalogue(), key=HostKey(bytes(32))) as client:
    use(client)
    client.consent.grant("personalize")
    use(client)
    client.export(path.with_suffix(".json"))
    client.erase(items=["other"])
    client.erase(all=True)
print(json.dumps(seen))
"""


def test_the_whole_client_works_where_connections_threads_and_processes_are_forbidden(
    tmp_path: Path,
) -> None:
    done = subprocess.run(
        [sys.executable, "-c", ALONE, str(tmp_path / "me.db")],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
        cwd=ROOT,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == []


def test_a_store_of_another_key_says_so_and_stays(tmp_path: Path) -> None:
    with consenting(tmp_path / "me.db") as client:
        client.record("like", "tt0001")
    before = bytes_of(tmp_path)
    with pytest.raises(Exception, match="does not open the store"):
        opened(tmp_path / "me.db", key=HostKey(bytes(32)))
    assert bytes_of(tmp_path) == before
    with opened(tmp_path / "me.db", key=KEY) as client:
        assert client.recommend(1)[0].item != "tt0001"
