"""The house's layout: five source roots, one namespace, light inits, a light client."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import privet.client

ROOT = Path(__file__).parents[1]
PARTS = ["client", "models", "privacy", "server", "simulations"]
LATE_INIT = ROOT / "client" / "privet" / "client" / "__init__.py"
"""Gives public names when they are asked for (PEP 562), and loads nothing before."""


@pytest.mark.parametrize("part", PARTS)
def test_no_root_has_an_init_that_would_hide_the_other_four(part: str) -> None:
    assert not (ROOT / part / "__init__.py").exists()
    assert not (ROOT / part / "privet" / "__init__.py").exists()
    assert [p.name for p in (ROOT / part / "privet").glob("*.py") if p.name != "__main__.py"] == []


@pytest.mark.parametrize("part", PARTS)
def test_every_root_is_typed(part: str) -> None:
    assert (ROOT / part / "privet" / part / "py.typed").is_file()


@pytest.mark.parametrize("part", PARTS)
def test_every_package_has_an_init_and_inits_import_nothing(part: str) -> None:
    package = ROOT / part / "privet" / part
    folders = {file.parent for file in package.rglob("*.py")}
    assert all((folder / "__init__.py").is_file() for folder in folders)
    for init in package.rglob("__init__.py"):
        if init == LATE_INIT:
            continue
        body = ast.parse(init.read_text()).body
        assert len(body) == 1 and isinstance(body[0], ast.Expr), f"{init} has more than a docstring"


def loaded_by(module: str) -> set[str]:
    code = f"import {module}, sys; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    return set(done.stdout.split())


def test_importing_the_client_loads_nothing_and_its_name_loads_the_client() -> None:
    assert {n for n in loaded_by("privet.client") if n.startswith(("privet", "numpy"))} == {
        "privet",
        "privet.client",
    }
    loaded = loaded_by("privet.client.public")
    assert loaded & (HEAVY | LATER | {"pandas", "asyncio", "ssl", "socket"}) == set()
    # What plans, accounts for and sends messages is not needed before somebody joins a federation.
    assert not any(name.startswith("privet.privacy.accounting") for name in loaded)


def test_every_public_name_of_the_client_can_be_imported() -> None:
    from privet.client import _PUBLIC, public

    assert set(public.__all__) == _PUBLIC
    assert all(getattr(privet.client, name) is getattr(public, name) for name in _PUBLIC)
    with pytest.raises(AttributeError):
        privet.client.nothing  # noqa: B018 - asking for it is the test


HEAVY = {"scipy", "dp_accounting", "jinja2", "typer", "rich", "torch", "hypothesis", "flwr"}
LATER = {"cryptography", "keyring", "vader"}


@pytest.mark.parametrize(
    "module",
    [
        "privet.client.device",
        "privet.client.embedded.device_loop",
        "privet.client.profile.reviews",
        "privet.client.vault.portable",
        "privet.server.coordinator",
        "privet.models.popularity",
        "privet.models.spectral",
        "privet.models.planning",
        "privet.models.testing",
    ],
)
def test_what_a_device_or_a_server_imports_loads_nothing_heavy(module: str) -> None:
    assert loaded_by(module) & HEAVY == set()


def test_the_store_loads_cryptography_and_the_keyring_when_it_is_used() -> None:
    assert loaded_by("privet.client.vault.portable") & (HEAVY | LATER) == set()


def test_the_client_and_the_server_do_not_know_each_other() -> None:
    client = {name for name in loaded_by("privet.client.device") if name.startswith("privet.")}
    server = {name for name in loaded_by("privet.server.coordinator") if name.startswith("privet.")}
    assert not any(name.startswith(("privet.server", "privet.simulations")) for name in client)
    assert not any(name.startswith(("privet.client", "privet.simulations")) for name in server)


def test_privacy_knows_no_model() -> None:
    for file in (ROOT / "privacy" / "privet").rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("privet."):
                assert node.module is not None and node.module.startswith("privet.privacy"), file
