from dataclasses import replace

import numpy as np
import pytest

from privet.client.ranking.query import parse
from privet.client.ranking.search import Search
from privet.models.catalogue import Catalogue
from privet.models.content import Hashing, TfIdf
from privet.privacy.errors import InputError

FILMS = Catalogue(
    item_ids=tuple("abcdef"),
    titles=("Ghost Dog", "Space Dogs", "The Violent Moon", "Moon Comedy", "Old Laughs", "No Year"),
    categories=(
        ("Horror", "Comedy"),
        ("Sci-Fi",),
        ("Sci-Fi",),
        ("Comedy",),
        ("Comedy",),
        ("Comedy",),
    ),
    years=(1995, 1992, 1999, 2001, 1950, 0),
    durations=(5000, 7300, 7100, 8000, 4000, 0),
)


def search(catalogue: Catalogue = FILMS, columns: int = 1 << 12) -> Search:
    return Search.build(catalogue, TfIdf.build(catalogue, Hashing(columns=columns)))


def ids(query: str, found: Search | None = None) -> str:
    return "".join(FILMS.item_ids[item] for item in (found or search()).find(query, 10).items)


def test_what_is_not_wanted_is_not_found() -> None:
    assert set(ids("short funny films, no horror")) == {"e"}
    assert set(ids("sci-fi from the 90s but not violent")) == {"b"}
    assert set(ids("comedy, no horror")) == {"d", "e", "f"}


def test_limits_alone_filter_the_whole_catalogue() -> None:
    assert ids("under 2 hours") == "ace"
    assert ids("before 1995") == "be"
    assert ids("between 5000 minutes and 6000 minutes") == ""
    assert ids("") == "abcdef"


def test_unknown_years_meet_no_wish_and_are_not_left_out_by_an_unwanted_one() -> None:
    assert "f" not in ids("funny since 1900")
    assert "f" in ids("funny, not from the 50s") and "e" not in ids("funny, not from the 50s")


def test_words_are_left_out_exactly_even_when_all_terms_share_two_columns() -> None:
    assert ids("no violent", search(columns=2)) == "abdef"
    assert ids("no zebras", search(columns=2)) == "abcdef"


def test_words_and_limits_that_could_not_be_used_are_said() -> None:
    found = search().find("dogs and zebras, no unicorns", 3)
    assert found.unknown == ("zebras", "unicorns")
    bare = search(replace(FILMS, years=(), durations=())).find("dogs from 1994 under 2 hours", 3)
    assert bare.unused == ("years", "durations")
    assert search().find("1994 dogs under 1 hour", 3).unused == ()


def test_more_in_common_comes_first_and_a_prior_decides_ties() -> None:
    assert ids("moon sci-fi")[0] == "c"
    prior = np.array([0.0, 1, 2, 3, 5, 4])
    assert search().find("since 1900", 3, prior=prior).items == (4, 3, 2)
    scores = search().find("dogs", 3).scores
    assert list(scores) == sorted(scores, reverse=True) and min(scores) > 0


def test_the_found_items_are_the_allowed_ones_of_highest_cosine() -> None:
    made = search()
    understood = parse("funny dogs, no sci-fi", made.names)
    cosines = np.where(made.allowed(understood), made.index.cosines("comedy dogs"), 0)
    found = made.find("funny dogs, no sci-fi", 10)
    assert set(found.items) == set(np.flatnonzero(cosines > 0).tolist())
    np.testing.assert_allclose(found.scores, cosines[list(found.items)], atol=1e-6)


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(InputError, match="index has 6"):
        Search.build(Catalogue(item_ids=("1",)), TfIdf.build(FILMS))
    with pytest.raises(InputError, match="prior"):
        search().find("dogs", 3, prior=np.zeros(2))
    with pytest.raises(InputError):
        search().find("dogs", -1)


LIKED = Catalogue(
    item_ids=tuple("abcdefg"),
    titles=(
        "Alien (1979)", "Matrix, The (1999)", "Space Toys", "Blade Runner",
        "The Good, the Bad and the Ugly", "It", "Alien",
    ),
    categories=(
        ("Sci-Fi", "Horror"), ("Sci-Fi", "Action"), ("Comedy",), ("Sci-Fi",), ("Western",),
        ("Horror",), ("Musical",),
    ),
)  # fmt: skip


@pytest.mark.parametrize(
    ("query", "line", "first"),
    [
        ("something like Alien but not scary", "like: Alien (1979); without: scary (Horror)", "d"),
        ("films like the matrix", "like: Matrix, The (1999)", "d"),
        ("similar to Blade Runner or Alien", "like: Blade Runner, Alien (1979)", "b"),
        ("more like The Matrix, no sci-fi", "like: Matrix, The (1999); without: Sci-Fi", "e"),
        ("comedies like Blade Runner", "wanted: comedies (Comedy); like: Blade Runner", "c"),
        ("something like the good, the bad and the ugly",
         "like: The Good, the Bad and the Ugly", "b"),
        ("I would like alien films", "wanted: alien", "g"),
        ("something like it", "everything", "a"),
        ("nothing like alien", "without: alien", "b"),
        ("like Hitchcock", "wanted: hitchcock", ""),
    ],
)  # fmt: skip
def test_what_is_like_a_title_is_found_and_the_title_itself_is_not(
    query: str, line: str, first: str
) -> None:
    found = search(LIKED).find(query, 7)
    assert str(found.understood) == line
    ids = [LIKED.item_ids[item] for item in found.items]
    assert ids[:1] == list(first)
    assert not {likened.item for likened in found.understood.like} & set(found.items)
    assert all(0 <= score <= 1.0001 for score in found.scores)


def test_without_titles_nothing_is_likened() -> None:
    bare = replace(LIKED, titles=())
    assert search(bare).find("like Alien", 3).understood.like == ()


SHOES = Catalogue(
    item_ids=tuple("abcdefg"),
    titles=tuple(
        f"{name} shoes" for name in ("Fell", "Hill", "Lane", "Mile", "Path", "Road", "Way")
    ),
    prices=(9900, 2000, 0, 5000, 4999, 3000, 8000),
)


@pytest.mark.parametrize(
    ("query", "ids"),
    [
        ("shoes under 50 euros", "bef"),
        ("shoes up to $50", "bdef"),
        ("shoes between 30 and 80 euros", "defg"),
        ("shoes, not under 80 euros", "acg"),
        ("cheap shoes", "bf"),
        ("shoes like mile shoes but cheaper", "bef"),
        ("shoes", "abcdefg"),
    ],
)
def test_prices_filter_and_unknown_ones_meet_no_wish(query: str, ids: str) -> None:
    found = search(SHOES).find(query, 7)
    assert "".join(sorted(SHOES.item_ids[item] for item in found.items)) == ids
    assert found.unused == ()


def test_a_catalogue_without_prices_says_that_they_were_not_used() -> None:
    for query in ("shoes under 50 euros", "cheap shoes", "shoes, not under 80 euros"):
        found = search(replace(SHOES, prices=())).find(query, 7)
        assert found.unused == ("prices",) and len(found.items) == 7
