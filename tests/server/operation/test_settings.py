"""Settings: what is written is read back, and nothing unknown or out of range gets in."""

import tomllib
from dataclasses import fields, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from privet.privacy.errors import InputError
from privet.server.operation.settings import (
    Federation,
    Network,
    Privacy,
    Settings,
    read_settings,
    write_settings,
)


def test_what_is_written_is_read_back() -> None:
    changed = Settings(
        federation=Federation(name='a "name" with ünïcode', devices=7),
        privacy=Privacy(epsilon=0.5, trust="central"),
        network=Network(names=("example.org", "10.0.0.1"), port=1),
    )
    for settings in (Settings(), changed):
        assert read_settings(write_settings(settings)) == settings


def test_every_setting_is_explained_above_it() -> None:
    lines = write_settings(Settings()).splitlines()
    names = [item.name for section in fields(Settings) for item in fields(section.type)]  # type: ignore[arg-type]
    for name in names:
        (at,) = [i for i, line in enumerate(lines) if line.startswith(f"{name} = ")]
        assert lines[at - 1].startswith("# ") and len(lines[at - 1]) > 10


def test_what_is_left_out_has_its_default() -> None:
    assert read_settings("") == Settings()
    found = read_settings("[privacy]\nepsilon = 1\n")
    assert found == replace(Settings(), privacy=Privacy(epsilon=1.0))


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[privcy]\n", "section"),
        ("[privacy]\nepsilom = 1.0\n", "epsilom"),
        ("privacy = 3\n", "privacy"),
        ("[privacy]\nepsilon = 0\n", "above 0"),
        ("[privacy]\nepsilon = -1.0\n", "above 0"),
        ("[privacy]\nepsilon = nan\n", "epsilon"),
        ("[privacy]\nepsilon = inf\n", "epsilon"),
        ("[privacy]\nepsilon = '2'\n", "epsilon"),
        ("[privacy]\nepsilon = true\n", "epsilon"),
        ("[privacy]\ntrust = 'me'\n", "secure-aggregation"),
        ("[network]\nport = 70000\n", "65535"),
        ("[network]\nport = true\n", "port"),
        ("[network]\nnames = []\n", "names"),
        ("[network]\nnames = [1]\n", "names"),
        ("[network]\nnames = ['*.example.org']\n", "names"),
        ("[network]\nnames = ['b\u00fccher.example']\n", "names"),
        ("[network]\nhost = '0.0.0.0'\n", "loopback"),
        ("[network]\nhost = '::'\n", "loopback"),
        ("[network]\nhost = '10.0.0.1'\n", "loopback"),
        ("[network]\nhost = 'federation.example.org'\n", "loopback"),
        ("[privacy]\ngroups = 0\n", "groups"),
        ("[privacy]\ncombination = 'mean'\n", "trimmed-mean"),
        ("[privacy]\nanswers = 2.5\n", "found '2.5'"),
        ("[federation]\ncatalogue = 'items.csv'\n", "catalogue"),
        ("[network]\nport = \n", "line 2"),
        ("[federation]\nname = ''\n", "name"),
        ("[federation]\nname = 1\n", "name"),
        ("[federation\n", "TOML"),
        ("#" * 70_000, "characters"),
    ],
)
def test_bad_settings_are_refused_with_the_reason(text: str, says: str) -> None:
    with pytest.raises(InputError, match=says):
        read_settings(text)


@given(st.text(max_size=200))
def test_any_text_is_settings_or_refused(text: str) -> None:
    try:
        found = read_settings(text)
    except InputError:
        return
    assert read_settings(write_settings(found)) == found
    assert tomllib.loads(text) is not None
