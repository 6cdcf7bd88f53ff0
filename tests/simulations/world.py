"""Small real files, and the command line run in this process."""

import json
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from privet.simulations.cli import run
from privet.simulations.data.dataset import Dataset
from privet.simulations.data.privet_file import save
from privet.simulations.data.synthetic import SyntheticConfig, synthesize


class Answer(NamedTuple):
    """What a command said."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> dict[str, Any]:
        """The one JSON object on standard output."""
        body = json.loads(self.out)
        assert isinstance(body, dict)
        return body

    @property
    def complaint(self) -> str:
        """The one line on standard error."""
        lines = self.err.strip().splitlines()
        assert len(lines) == 1, self.err
        assert lines[0].startswith("privet: ")
        return lines[0]


class Privet:
    """Runs ``privet`` with its output captured."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self._capsys = capsys

    def __call__(self, *arguments: object) -> Answer:
        self._capsys.readouterr()
        code = run([str(argument) for argument in arguments])
        return Answer(code, *self._capsys.readouterr())

    def json(self, *arguments: object) -> dict[str, Any]:
        """Of a command that works."""
        answer = self(*arguments, "--json")
        assert answer.code == 0, answer.err
        assert answer.err == ""
        return answer.json


def small_dataset(*, users: int = 300, items: int = 40, seed: int = 0) -> Dataset:
    return synthesize(SyntheticConfig(users=users, items=items), seed=seed).dataset


def save_world(path: Path, *, users: int = 300, items: int = 40, seed: int = 0) -> Path:
    save(small_dataset(users=users, items=items, seed=seed), path)
    return path


def write_csv(path: Path, rows: list[tuple[str, str]]) -> Path:
    lines = [",".join(f'"{value}"' for value in row) for row in rows]
    path.write_text("\n".join(["user_id,item_id", *lines]) + "\n", encoding="utf-8")
    return path
