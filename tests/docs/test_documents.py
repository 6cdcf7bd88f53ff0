"""Documents say what the code says: commands, options, JSON fields, exit codes, links, snippets."""

import doctest
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest
import typer

from privet.privacy import errors
from privet.simulations import cli

ROOT = Path(__file__).resolve().parents[2]
CLI = (ROOT / "docs" / "cli.md").read_text()
EXIT_CODES = (ROOT / "docs" / "exit-codes.md").read_text()


def _documents() -> list[Path]:
    folders = ("docs", "client", "models", "privacy", "server", "simulations")
    below = [path for folder in folders for path in (ROOT / folder).rglob("*.md")]
    return sorted([*ROOT.glob("*.md"), *below])


def _commands(command: Any = None, name: str = "privet") -> Iterator[tuple[str, click.Command]]:
    command = command or typer.main.get_command(cli.app)
    below = getattr(command, "commands", None)
    if below is None:
        yield name, command
        return
    for word, sub in below.items():
        yield from _commands(sub, f"{name} {word}")


COMMANDS = dict(_commands())


def _sections(text: str) -> dict[str, str]:
    parts = re.split(r"(?m)^## (.+)$", text)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def _table(text: str, header: str) -> list[str]:
    """First cells of the rows of the tables whose first header cell is this one."""
    cells, inside = [], False
    for line in text.splitlines():
        first = line.split("|")[1].strip() if line.startswith("|") else None
        if first is None:
            inside = False
        elif first == header:
            inside = True
        elif inside and set(first) - set("-"):
            cells.append(first)
    return cells


def _names(cells: list[str]) -> set[str]:
    return {name for cell in cells for name in re.findall(r"`([^`]+)`", cell)}


def test_every_command_has_a_section_and_every_section_is_a_command() -> None:
    assert set(_sections(CLI)) == set(COMMANDS)
    assert len(COMMANDS) >= 8  # or the walk over the commands found nothing


@pytest.mark.parametrize("name", COMMANDS)
def test_a_commands_options_are_those_that_its_section_lists(name: str) -> None:
    options = {
        flag
        for parameter in COMMANDS[name].params
        if isinstance(parameter, click.Option) or parameter.param_type_name == "option"
        for flag in (*parameter.opts, *parameter.secondary_opts)
        if flag != "--help"
    }
    assert options, "a command without options: the walk is broken"
    assert _names(_table(_sections(CLI)[name], "option")) == options


def _json_of(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict[str, Any]:
    capsys.readouterr()
    assert cli.run([*arguments, "--json"]) == 0
    body = json.loads(capsys.readouterr().out)
    assert isinstance(body, dict)
    return body


def test_json_fields_are_those_that_are_documented(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    world, run, swept = (str(tmp_path / name) for name in ("world.privet", "run", "sweep"))
    small = ("--users", "120", "--items", "30")
    made = _json_of(capsys, "data", "synthesize", "--out", world, *small)
    described = _json_of(capsys, "data", "describe", world)
    imported = _json_of(capsys, "data", "import", world, "--out", str(tmp_path / "again.privet"))
    popular = ("--model", "popularity", "--no-references")
    counted = ("--population", str(tmp_path), "--population-budget", "5")
    printed = {
        "privet simulate": _json_of(capsys, "simulate", world, *popular, "--out", run, *counted),
        "privet sweep": _json_of(
            capsys, "sweep", world, *popular, "--epsilons", "2", "--seeds", "1", "--out", swept
        ),
        "privet verify": _json_of(capsys, "verify", run),
        "privet budget": _json_of(capsys, "budget", counted[1]),
        "privet doctor": _json_of(capsys, "doctor"),
        "privet data describe": described,
    }
    for name, body in printed.items():
        documented = _names(_table(_sections(CLI)[name], "JSON field"))
        assert documented == set(body), name
    of_runs = re.search(r"one object a run: (.*)", CLI)
    (run_of,) = printed["privet budget"]["runs"]
    assert of_runs and set(run_of) == _names([of_runs[1]])
    assert set(printed["privet simulate"]["population"]) == {
        *set(printed["privet budget"]) - {"stop", "head", "length"}
    }
    assert set(imported) == {*described, "path"}
    assert set(made) == {*described, "path", "seed"}
    assert json.loads(Path(run, "result.json").read_text()) == printed["privet simulate"]


def _error_classes(base: type[errors.PrivetError]) -> Iterator[type[errors.PrivetError]]:
    yield base
    for below in base.__subclasses__():
        yield from _error_classes(below)


def test_exit_codes_are_those_of_the_code() -> None:
    rows = re.findall(r"(?m)^\| (\d+) \| (?:`(\w+)`)? *\|", EXIT_CODES)
    documented = {name: int(code) for code, name in rows}
    classes = [
        error  # a module's own errors are kinds of these and have their codes
        for error in _error_classes(errors.PrivetError)
        if error.__module__ == errors.__name__
    ]
    expected = {error.__name__: error.exit_code for error in classes}
    assert documented == {"": 0, **expected, "Interrupted": cli.INTERRUPTED}
    assert len(rows) == len(documented)


def test_a_wrong_option_and_a_missing_file_exit_with_the_code_of_input_errors(
    capsys: pytest.CaptureFixture[str],
) -> None:
    for arguments in (["simulate", "nowhere.csv"], ["doctor", "--nonsense"]):
        assert cli.run([*arguments, "--json"]) == 2
        body = json.loads(capsys.readouterr().out)
        assert set(body) == {"error", "message", "exit_code"}
        assert (body["error"], body["exit_code"]) == ("InputError", 2)


def _anchors(text: str) -> set[str]:
    headings = re.findall(r"(?m)^#+ (.+)$", re.sub(r"(?ms)^```.*?^```", "", text))
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("document", _documents(), ids=lambda path: str(path.relative_to(ROOT)))
def test_relative_links_resolve(document: Path) -> None:
    text = re.sub(r"(?ms)^```.*?^```", "", document.read_text())
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if "://" in target:
            continue
        path, _, anchor = target.partition("#")
        found = (document.parent / path).resolve() if path else document
        assert found.exists(), f"{target} does not exist"
        assert found.is_relative_to(ROOT), f"{target} is outside of the repository"
        assert not anchor or anchor in _anchors(found.read_text()), f"{target} has no such heading"


def test_every_decision_is_in_their_index() -> None:
    folder = ROOT / "docs" / "decisions"
    index = (folder / "README.md").read_text()
    records = sorted(path.name for path in folder.glob("0*.md"))
    assert [name[:4] for name in records] == [f"{n:04}" for n in range(1, len(records) + 1)]
    assert [name for name in records if f"]({name})" not in index] == []


def test_commands_in_the_readme_are_commands() -> None:
    text = "\n".join(re.findall(r"(?ms)^```(?:sh)?\n(.*?)^```", (ROOT / "README.md").read_text()))
    targets = set(re.findall(r"(?m)^([a-z]+):.* ## ", (ROOT / "Makefile").read_text()))
    used = re.findall(r"(?m)^(?:\S+/)?privet ((?:data )?[a-z]+)", text)
    assert used
    assert {f"privet {name}" for name in used} <= set(COMMANDS)
    assert set(re.findall(r"(?m)^make ([a-z]+)", text)) <= targets


@pytest.mark.parametrize("document", ["README.md", "docs/client.md"])
def test_sessions_in_the_documents_of_the_client_print_what_they_show(
    document: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    text = (ROOT / document).read_text()
    sessions = re.findall(r"(?ms)^```pycon\n(.*?)^```", text)
    assert sessions
    test = doctest.DocTestParser().get_doctest("".join(sessions), {}, document, document, 0)
    assert test.examples
    runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS)
    said: list[str] = []
    assert runner.run(test, out=said.append).failed == 0, "".join(said)


def test_the_readme_embeds_the_client_in_seven_lines() -> None:
    (session,) = re.findall(r"(?ms)^```pycon\n(.*?)^```", (ROOT / "README.md").read_text())
    assert len(re.findall(r"(?m)^(>>>|\.\.\.) ", session)) == 7


def test_the_readmes_python_runs(tmp_path: Path) -> None:
    (code,) = re.findall(r"(?ms)^```python\n(.*?)^```", (ROOT / "README.md").read_text())
    data = Path(os.environ.get("PRIVET_DATA") or ROOT / "../shared/data").resolve()
    if not (data / "ml-100k").is_dir():
        pytest.skip("MovieLens 100K is not there: set PRIVET_DATA")
    ran = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env={**os.environ, "PRIVET_DATA": str(data)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    assert "recall@20" in ran.stdout
