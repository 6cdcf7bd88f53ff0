"""The page of known failures is complete, and what it names exists."""

import ast
import re
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "known-failures.md").read_text()
FAILURES = 35


def rows() -> dict[int, list[str]]:
    """Each failure's cells by its number."""
    found = re.findall(r"(?m)^\| (\d+) \| (.+) \|$", PAGE)
    assert len({number for number, _ in found}) == len(found), "a number twice"
    return {int(number): rest.split(" | ") for number, rest in found}


@cache
def functions(path: str) -> frozenset[str]:
    """Names of a file's functions, and of its classes' methods after the class's."""
    found = set()
    for node in ast.parse((ROOT / path).read_text()).body:
        if isinstance(node, ast.FunctionDef):
            found.add(node.name)
        elif isinstance(node, ast.ClassDef):
            below = (n for n in node.body if isinstance(n, ast.FunctionDef))
            found |= {f"{node.name}::{method.name}" for method in below}
    return frozenset(found)


def test_every_failure_is_there_with_what_is_done_and_a_test_or_what_it_waits_for() -> None:
    found = rows()
    assert list(found) == list(range(1, FAILURES + 1))
    for number, cells in found.items():
        failed, done, caught = cells
        assert failed and done, number
        assert "::test_" in caught or caught.startswith("later: "), number
        assert all(part.strip() for part in caught.split("later:")[1:]), number


def test_every_test_that_is_named_exists() -> None:
    named = re.findall(r"`([\w/]+\.py)::([\w:]+)`", PAGE)
    assert len(named) > 80
    for path, name in named:
        assert name.rpartition("::")[2].startswith("test_"), name
        assert name in functions(path), f"{path} has no {name}"


def test_every_mutant_that_is_named_exists() -> None:
    named = 0
    for path, quoted in re.findall(r"(?m)^\| [^|]+ \| `([\w/]+\.py)`: (.+) \|$", PAGE):
        tree = ast.parse((ROOT / path).read_text())
        keys = {
            key.value
            for node in ast.walk(tree)
            if isinstance(node, ast.Dict)
            for key in node.keys
            if isinstance(key, ast.Constant)
        }
        for name in re.findall(r'"([^"]+)"', quoted):
            named += 1
            assert name in keys, f"{path} has no mutant {name!r}"
    assert named >= 9


def test_a_name_that_does_not_exist_is_noticed() -> None:
    assert "test_nothing" not in functions("tests/test_layout.py")
    assert "ModelConformance::test_measured_sensitivity_is_never_above_the_declared" in functions(
        "models/privet/models/testing.py"
    )
