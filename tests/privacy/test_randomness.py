"""Random words: unpredictable, independent by name, never repeated, never from a seedable library."""

import ast
import os
import random
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from tests.privacy.statistics import FALSE_ALARM

from privet.privacy import randomness as module
from privet.privacy.errors import PrivacyError
from privet.privacy.randomness import Randomness, WordStream

ROOT = Path(__file__).parents[2]
labels = st.lists(st.text(max_size=6) | st.integers(-10, 10_000), max_size=4)


def head(source: Randomness, *names: str | int) -> bytes:
    return source.stream(*names).words64(4).tobytes()


def test_streams_of_different_names_differ() -> None:
    source = Randomness.insecure_seeded(1)
    names: list[tuple[str | int, ...]] = [
        (),
        ("",),
        ("", ""),
        ("a",),
        ("a", "bc"),
        ("ab", "c"),
        ("abc",),
        ("1",),
        (1,),
        (1, 1),
        (11,),
        ("str:a",),
    ]
    assert len({head(source, *name) for name in names}) == len(names)


@given(first=labels, second=labels)
def test_the_encoding_of_names_is_injective(
    first: list[str | int], second: list[str | int]
) -> None:
    source = Randomness.insecure_seeded(1)
    assert (head(source, *first) == head(source, *second)) == (first == second)


def test_seeded_streams_repeat_and_secret_ones_do_not() -> None:
    assert head(Randomness.insecure_seeded(7), "a") == head(Randomness.insecure_seeded(7), "a")
    assert head(Randomness.insecure_seeded(7), "a") != head(Randomness.insecure_seeded(8), "a")
    assert head(Randomness.secret(), "a") != head(Randomness.secret(), "a")
    key = os.urandom(32)
    assert head(Randomness.from_key(key), "a") == head(Randomness.from_key(key), "a")


def test_seeded_randomness_says_so_and_secret_randomness_shows_no_key() -> None:
    assert Randomness.insecure_seeded(1).seeded
    assert not Randomness.secret().seeded
    assert repr(Randomness.secret()) == "Randomness(seeded=False)"


def test_seeding_numpy_and_random_changes_nothing() -> None:
    found = set()
    for _ in range(2):
        np.random.seed(0)  # noqa: NPY002 - the global state is what is shown not to matter
        random.seed(0)
        found.add(head(Randomness.secret(), "a"))
    assert len(found) == 2


def test_a_stream_refuses_to_be_used_after_a_fork() -> None:
    stream = Randomness.secret().stream("a")
    stream.words64(1)
    child = os.fork()
    if child == 0:
        try:
            stream.words64(1)
        except PrivacyError:
            os._exit(42)
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 42
    assert len(stream.words64(1)) == 1


def test_two_forked_processes_draw_different_secrets() -> None:
    found = set()
    for _ in range(2):
        reader, writer = os.pipe()
        if os.fork() == 0:
            os.write(writer, head(Randomness.secret(), "a"))
            os._exit(0)
        os.wait()
        found.add(os.read(reader, 64))
        os.close(reader)
        os.close(writer)
    assert len(found) == 2


def test_no_block_of_16_bytes_repeats_in_a_long_stream_or_across_streams() -> None:
    source = Randomness.insecure_seeded(2)
    long = source.stream("long").words64(1 << 20)
    short = [source.stream("round", i).words64(4) for i in range(5_000)]
    blocks = np.concatenate([long, *short]).reshape(-1, 2)
    assert len(np.unique(blocks, axis=0)) == len(blocks)


@pytest.mark.parametrize("bit", [0, 7, 128, 255])
def test_flipping_one_bit_of_the_key_gives_an_unrelated_stream(bit: int) -> None:
    key = bytes(range(32))
    flipped = (int.from_bytes(key, "little") ^ (1 << bit)).to_bytes(32, "little")
    mixed = WordStream(key).words64(20_000) ^ WordStream(flipped).words64(20_000)
    ones = int(np.unpackbits(mixed.view(np.uint8)).sum())
    bits = 64 * len(mixed)
    assert abs(ones - bits / 2) < 5 * np.sqrt(bits) / 2  # 5 standard deviations: 6e-7


def test_the_stream_is_chacha20_by_its_published_test_vector() -> None:
    # RFC 8439, appendix A.1, test vector 1: key, nonce and counter all zero.
    expected = "76b8e0ada0f13d90405d6ae55386bd28bdd219b8a08ded1aa836efcc8b770dc7"
    assert WordStream(bytes(32)).words64(4).tobytes().hex() == expected


@pytest.mark.parametrize("bound", [1, 2, 3, 5, 7, 1000, (1 << 31) + 1, (1 << 62) + 1])
def test_below_is_exactly_uniform(bound: int) -> None:
    draws = WordStream(bytes(32)).below(bound, 40_000)
    assert draws.max() < bound
    cells = min(bound, 50)
    cell = (draws.astype(object) * cells // bound).astype(np.int64)
    edges = [-(-bound * i // cells) for i in range(cells + 1)]
    expected = np.diff(np.array([float(edge) for edge in edges])) / bound * len(draws)
    if cells > 1:
        assert stats.chisquare(np.bincount(cell, minlength=cells), expected).pvalue > FALSE_ALARM


def test_below_rejects_rather_than_folds() -> None:
    # 3 of 4 two-bit words are kept: every draw is one of the stream's own words.
    words = (WordStream(bytes(32)).words64(2 * 10 + 8) >> np.uint64(62)).tolist()
    kept = [word for word in words if word < 3][:10]
    assert WordStream(bytes(32)).below(3, 10).tolist() == kept


@pytest.mark.parametrize("length", [0, 16, 31, 33])
def test_a_key_of_another_length_is_refused(length: int) -> None:
    with pytest.raises(PrivacyError, match="32 bytes"):
        WordStream(bytes(length))
    with pytest.raises(PrivacyError, match="32 bytes"):
        Randomness.from_key(bytes(length))


def test_a_stream_stops_before_its_counter_wraps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_MAX_BYTES", 64)
    stream = WordStream(bytes(32))
    stream.words64(8)
    with pytest.raises(PrivacyError, match="exhausted"):
        stream.words32(1)


BANNED = {"random", "numpy.random", "torch"}
# Simulated attacks and risk measures take their caller's generator; no noise is made there.
TAKE_A_GENERATOR = [ROOT / "privacy/privet/privacy" / room for room in ("anonymization", "audit")]


def banned_imports(source: str) -> Iterator[str]:
    for node in ast.walk(ast.parse(source)):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            full = "numpy" if node.value.id == "np" else node.value.id
            names = [f"{full}.{node.attr}"]
        for name in names:
            if any(name == banned or name.startswith(banned + ".") for banned in BANNED):
                yield name


@pytest.mark.parametrize("root", ["privacy", "client", "server", "models"])
def test_no_source_that_could_touch_noise_imports_a_seedable_generator(root: str) -> None:
    files = sorted((ROOT / root / "privet").rglob("*.py"))
    assert files
    for file in files:
        source = file.read_text()
        if any(map(file.is_relative_to, TAKE_A_GENERATOR)):
            source = source.replace("np.random.Generator", "np.Generator")
        assert not list(banned_imports(source)), file


@pytest.mark.parametrize(
    "source",
    [
        "import random",
        "import numpy.random",
        "from numpy import random",
        "from numpy.random import default_rng",
        "import numpy as np\nnp.random.normal()",
        "import numpy\nnumpy.random.seed(1)",
        "def f():\n    import torch.nn",
        "from torch import nn",
    ],
)
def test_the_ban_sees_every_way_to_import(source: str) -> None:
    assert list(banned_imports(source))
