from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from privet.models.catalogue import Catalogue
from privet.models.content import Hashing, ItemVectors, TfIdf, item_terms, nearest
from privet.models.encoders import Encoded, WordVectors
from privet.models.words import fold, stem, terms, words
from privet.privacy.errors import InputError

FILMS = Catalogue(
    item_ids=("a", "b", "c", "d"),
    titles=("Alien", "Aliens", "Toy Story", ""),
    categories=(("Sci-Fi", "Horror"), ("Sci-Fi", "War"), ("Children's",), ()),
    descriptions=("A ship meets a monster", "", "Café of toys", ""),
)
_TEXT = st.text(max_size=30)


def by_hand(catalogue: Catalogue, hashing: Hashing) -> np.ndarray:
    """Dense TF-IDF from the definition, one cell after the other."""
    n = len(catalogue)
    counts: list[dict[str, float]] = []
    for item in range(n):
        fields = [(catalogue.titles[item], hashing.title_weight)]
        fields += [(name, hashing.category_weight) for name in catalogue.categories[item]]
        fields += [(catalogue.descriptions[item], 1.0)]
        counts.append({})
        for text, weight in fields:
            for term in terms(text):
                counts[-1][term] = counts[-1].get(term, 0) + weight
    dense = np.zeros((n, hashing.columns))
    for item, found in enumerate(counts):
        for term, count in found.items():
            column, sign = hashing.place(term)
            dense[item, column] += sign * np.log(1 + count)
    seen = [{hashing.place(term)[0] for term in found} for found in counts]
    for column in range(hashing.columns):
        df = sum(column in columns for columns in seen)
        dense[:, column] *= 1 + np.log((1 + n) / (1 + df))
    norms = np.linalg.norm(dense, axis=1, keepdims=True)
    return np.asarray(dense / np.where(norms > 0, norms, 1))


@pytest.mark.parametrize("columns", [1 << 12, 5])
def test_vectors_are_those_of_the_definition_with_and_without_collisions(columns: int) -> None:
    hashing = Hashing(columns=columns)
    index, dense = TfIdf.build(FILMS, hashing), by_hand(FILMS, hashing)
    found = index.similarities(np.arange(4))
    np.testing.assert_allclose(found, dense @ dense.T, atol=1e-6)
    for item in range(4):
        np.testing.assert_allclose(index.cosines_with(item), dense @ dense[item], atol=1e-6)
    row = np.zeros(columns)
    row[index.columns[index.indptr[0] : index.indptr[1]]] = index.values[: index.indptr[1]]
    np.testing.assert_allclose(row, dense[0], atol=1e-6)


def test_the_same_catalogue_gives_the_same_bytes_and_another_seed_others() -> None:
    first, again = TfIdf.build(FILMS), TfIdf.build(FILMS)
    other = TfIdf.build(FILMS, Hashing(seed="other"))
    assert first.values.tobytes() == again.values.tobytes()
    assert first.columns.tobytes() == again.columns.tobytes()
    assert first.columns.tobytes() != other.columns.tobytes()
    assert Hashing(columns=1000).place("alien") == (471, 1), "columns are the same everywhere"


def test_nearest_are_those_that_share_words_and_never_the_item_itself() -> None:
    index = TfIdf.build(FILMS)
    assert [item for item, _ in nearest(index, 0, 5)] == [1]
    assert nearest(index, 3, 5) == ()
    assert nearest(index, 0, 0) == ()


def test_an_items_own_text_finds_it() -> None:
    index = TfIdf.build(FILMS)
    assert index.cosines("toy story").argmax() == 2
    assert index.cosines("CAFE").argmax() == 2
    assert not index.cosines("of no item").any() or index.cosines("zebra").max() == 0
    assert not index.cosines("").any()


@settings(deadline=None, max_examples=60)
@given(st.lists(st.tuples(_TEXT, _TEXT), min_size=1, max_size=6), _TEXT)
def test_any_text_gives_finite_vectors_of_norm_one_or_zero(
    texts: list[tuple[str, str]], query: str
) -> None:
    catalogue = Catalogue(
        item_ids=tuple(map(str, range(len(texts)))),
        titles=tuple(title for title, _ in texts),
        descriptions=tuple(text for _, text in texts),
    )
    index = TfIdf.build(catalogue, Hashing(columns=64))
    norms = np.diag(index.similarities(np.arange(len(texts))))
    assert np.all((np.abs(norms - 1) < 1e-5) | (norms == 0))
    cosines = index.cosines(query)
    assert np.isfinite(cosines).all() and np.abs(cosines).max() < 1 + 1e-5
    for item, (title, _) in enumerate(texts):
        for term in terms(title):
            found = set(index.having(term).tolist())
            assert found == {n for n in range(len(texts)) if term in item_terms(catalogue, n)}
            assert item in found


@given(_TEXT)
@example("\N{MATHEMATICAL BOLD FRAKTUR CAPITAL A}")
def test_folding_again_changes_no_word(text: str) -> None:
    assert words(fold(text)) == words(text)
    assert all(stem(word) for word in words(text) if len(word) > 2 and word.isascii())


@pytest.mark.parametrize(
    "wrong", [{"columns": 1}, {"columns": 1 << 25}, {"seed": "x" * 65}, {"title_weight": -1.0}]
)
def test_hashing_out_of_range_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(InputError):
        Hashing(**wrong)  # type: ignore[arg-type]


def folder(tmp_path: Path, vocabulary: str, vectors: np.ndarray) -> Path:
    (tmp_path / "vocabulary.txt").write_text(vocabulary)
    np.save(tmp_path / "vectors.npy", vectors)
    return tmp_path


def test_an_encoder_from_a_folder_has_the_interface_of_the_index(tmp_path: Path) -> None:
    vectors = np.array([[2, 0], [1, 1], [0, 3], [9, 9]], np.float32)
    encoder = WordVectors.open(folder(tmp_path, "Alien\nmonster\ntoy\nALIEN\n", vectors))
    index: ItemVectors = Encoded.build(FILMS, encoder)
    assert index.cosines("toy").argmax() == 2
    assert index.cosines("alien")[0] > index.cosines("alien")[2]
    assert not index.cosines("zebra").any()
    assert nearest(index, 2, 5)[0][0] == 0
    half = float(np.sqrt(0.5))
    np.testing.assert_allclose(
        encoder.encode(["alien", "alien monster"]),
        np.array([[1, 0], [(1 + half) / 2, half / 2]]),
        atol=1e-6,
    )
    similar = index.similarities(np.array([0, 2, 3]))
    np.testing.assert_allclose(np.diag(similar), [1, 1, 0], atol=1e-6)


def test_a_folder_that_does_not_fit_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"vocabulary\.txt"):
        WordVectors.open(tmp_path)
    with pytest.raises(InputError, match="2 words and 1 vectors"):
        WordVectors.open(folder(tmp_path, "a\nb\n", np.ones((1, 2), np.float32)))
    with pytest.raises(InputError, match="matrix"):
        WordVectors.open(folder(tmp_path, "a\n", np.ones((1, 2), np.int64)))
    (tmp_path / "vectors.npy").write_bytes(b"\x93NUMPY")
    with pytest.raises(InputError, match=r"ValueError|EOFError"):
        WordVectors.open(tmp_path)


@pytest.mark.parametrize("given_back", [np.ones(4), np.ones((3, 2)), np.full((4, 2), np.nan)])
def test_what_an_encoder_gives_is_checked(given_back: np.ndarray) -> None:
    class Wrong:
        def encode(self, texts: object) -> np.ndarray:
            return given_back

    with pytest.raises(InputError, match="encoder"):
        Encoded.build(FILMS, Wrong())


def test_a_mixture_is_the_weighted_sum_of_cosines_item_by_item(tmp_path: Path) -> None:
    vectors = np.array([[2, 0], [1, 1], [0, 3]], np.float32)
    encoder = WordVectors.open(folder(tmp_path, "alien\nmonster\ntoy\n", vectors))
    films = Catalogue(
        item_ids=tuple(map(str, range(8))),
        titles=("Alien", "", "Toy Story", "Aliens", "", "Monster toys", "alien toy", ""),
    )
    indices: tuple[ItemVectors, ...] = (
        TfIdf.build(films),
        TfIdf.build(films, Hashing(columns=3)),
        Encoded.build(films, encoder),
        TfIdf.build(Catalogue(item_ids=("a", "b"))),
    )
    for index in indices:
        n = len(index.cosines("alien"))
        full = index.similarities(np.arange(n)).astype(np.float64)
        for items in (np.arange(n), np.array([1, 0]), np.zeros(0, np.int64)):
            weights = np.linspace(-1, 2, len(items))
            found = index.mixture(items, weights)
            np.testing.assert_allclose(found, full[:, items] @ weights, atol=1e-6)
            rows = np.array([index.cosines_between(item, items) for item in range(n)])
            np.testing.assert_allclose(rows, full[:, items], atol=1e-6)
            assert np.abs(rows @ weights - found).max() <= 1e-12 * max(1, np.abs(weights).sum())
