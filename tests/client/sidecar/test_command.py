"""`privet client sidecar`: a process of its own, which opens no connection and leaves no token."""

import json
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from tests.client.sidecar.world import Asker

from privet.client.sidecar.catalogue_file import read_catalogue_json
from privet.privacy.errors import InputError
from privet.simulations import cli

ROOT = Path(__file__).parents[3]
ITEMS = {
    "items": [
        {"item": "1", "title": "Alien", "categories": ["Space"], "year": 1979},
        {"item": "2", "title": "Aliens", "categories": ["Space"], "year": 1986},
    ]
}

# Every socket but the one that listens, and those that it accepts, is refused.
ALONE = """
import sys
bound = []


def hook(event, arguments):
    if event == "socket.bind":
        bound.append(arguments[1])
        if len(bound) == 1 and arguments[1][0] == "127.0.0.1":
            return
    elif not event.startswith("socket.") or event in ("socket.__new__", "socket.gethostname"):
        return
    raise SystemExit(f"refused: {event}")


sys.addaudithook(hook)
from privet.simulations import cli

code = cli.run(sys.argv[1:])
assert bound[1:] == []
sys.exit(code)
"""


@contextmanager
def process(folder: Path, *options: str) -> Iterator[tuple[Asker, dict[str, Any]]]:
    """The command, with other sockets forbidden, until it is stopped by SIGTERM."""
    (folder / "items.json").write_text(json.dumps(ITEMS))
    arguments = ["client", "sidecar", "me.db", "--catalogue", "items.json", "--json", *options]
    with subprocess.Popen(
        [sys.executable, "-c", ALONE, *arguments],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as running:
        assert running.stdout is not None
        lines: list[str] = []
        try:
            while not lines or lines[-1].strip() not in ("}", ""):
                lines.append(running.stdout.readline())
            assert lines[-1], running.stderr.read() if running.stderr else ""
            said = json.loads("".join(lines))
            yield Asker(folder / said["token_file"]), said
        finally:
            running.send_signal(signal.SIGTERM)
            out, error = running.communicate(timeout=30)
        assert (running.returncode, out, error) == (0, "", "")


def test_the_command_serves_keeps_and_leaves_nothing_behind_with_other_sockets_forbidden(
    tmp_path: Path,
) -> None:
    with process(tmp_path, "--key-file", "me.key") as (asker, said):
        assert said == {"port": asker.port, "token_file": "me.db.sidecar.json"}
        assert stat.S_IMODE((tmp_path / "me.db.sidecar.json").stat().st_mode) == 0o600
        asker.post("/v1/consent/grant", {"purposes": ["personalize"]})
        assert asker.post("/v1/record", {"kind": "like", "item": "1"}) == {"kept": "kept"}
        found = asker.post("/v1/recommend", {"k": 1})["items"]
        assert [one["title"] for one in found] == ["Aliens"]
        assert asker.post("/v1/train-if-due", {"seconds": 1})["state"] == "not connected"
        held = {"me.db", "me.key", "me.db.features", "items.json", "me.db.sidecar.json"}
        names = {file.name for file in tmp_path.iterdir()}
        assert held <= names
    assert not (tmp_path / "me.db.sidecar.json").exists()
    with process(tmp_path, "--key-file", "me.key") as (asker, _):
        assert asker.post("/v1/profile")["liked"][0]["item"] == "1"


def test_a_passphrase_is_read_from_its_owners_file_alone(tmp_path: Path) -> None:
    (tmp_path / "items.json").write_text(json.dumps(ITEMS))
    secret = tmp_path / "passphrase"
    secret.write_text("correct horse battery staple\n")
    secret.chmod(0o644)
    store = (
        "client",
        "sidecar",
        str(tmp_path / "me.db"),
        "--catalogue",
        str(tmp_path / "items.json"),
    )
    assert cli.run([*store, "--passphrase-file", str(secret)]) == 2
    secret.chmod(0o600)
    assert cli.run([*store, "--passphrase-file", str(secret), "--host", "0.0.0.0"]) == 2
    assert not (tmp_path / "me.db.sidecar.json").exists()
    assert cli.run([*store, "--passphrase-file", str(secret), "--keyring", "x"]) == 2
    assert cli.run([*store]) == 2


def test_errors_of_the_command_hold_no_passphrase(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "items.json").write_text(json.dumps(ITEMS))
    secret = tmp_path / "passphrase"
    secret.write_bytes(b"canary-passphrase\xff")
    secret.chmod(0o600)
    store = (
        "client",
        "sidecar",
        str(tmp_path / "me.db"),
        "--catalogue",
        str(tmp_path / "items.json"),
    )
    assert cli.run([*store, "--passphrase-file", str(secret)]) == 2
    found = capsys.readouterr()
    assert "canary" not in found.out + found.err and not (tmp_path / "me.db").exists()


def test_a_catalogue_in_json_is_read_whole(tmp_path: Path) -> None:
    (tmp_path / "items.json").write_text(json.dumps(ITEMS))
    found = read_catalogue_json(tmp_path / "items.json")
    assert (found.item_ids, found.titles) == (("1", "2"), ("Alien", "Aliens"))
    assert (found.categories, found.years) == ((("Space",), ("Space",)), (1979, 1986))
    assert found.prices == () and found.declared_public


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        '{"items": []}',
        '{"items": [{"title": "Alien"}]}',
        '{"items": [{"item": 1}]}',
        '{"items": [{"item": "1", "price": true}]}',
        '{"items": [{"item": "1", "categories": "Space"}]}',
        '{"items": [{"item": "1", "categories": [1]}]}',
        '{"items": [{"item": "1", "colour": "red"}]}',
        '{"items": [{"item": "1", "year": 1}, {"item": "2"}]}',
        '{"items": [{"item": "1"}, {"item": "1"}]}',
        '{"items": [{"item": "1"}], "more": 1}',
        "[" * 100_000,
    ],
)
def test_what_is_no_catalogue_is_refused(text: str, tmp_path: Path) -> None:
    (tmp_path / "items.json").write_text(text)
    with pytest.raises(InputError):
        read_catalogue_json(tmp_path / "items.json")
    with pytest.raises(InputError, match="cannot be read"):
        read_catalogue_json(tmp_path / "nowhere.json")
