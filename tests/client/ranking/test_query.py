import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.client.ranking.queries import QUERIES, TITLES

from privet.client.ranking.limits import Range
from privet.client.ranking.query import category_names, parse
from privet.client.ranking.titles import Likened, title_key
from privet.client.ranking.understood import Understood
from privet.models.catalogue import Catalogue
from privet.privacy.errors import InputError

GENRES = ("Animation", "Children's", "Comedy", "Film-Noir", "Horror", "Romance", "Sci-Fi", "War")
NAMES = category_names(Catalogue(item_ids=("1",), categories=(GENRES,)))


def read(query: str) -> Understood:
    return parse(query, NAMES)


@pytest.mark.parametrize(
    ("query", "line"),
    [
        (
            "short funny films, no horror",
            "wanted: funny (Comedy); without: Horror; duration: at most 90 min",
        ),
        ("sci-fi from the 90s but not violent",
         "wanted: Sci-Fi; without: violent; years: 1990 to 1999"),
        ("under 2 hours", "duration: under 120 min"),
        ("science fiction", "wanted: science fiction (Sci-Fi)"),
        ("film noir before 1950", "wanted: Film-Noir; years: until 1949"),
        ("childrens movies", "wanted: Children's"),
        ("no horror, war or zombies", "without: Horror, War, zombies"),
        ("no horror, funny", "wanted: funny (Comedy); without: Horror"),
        ("no horror; romantic or funny",
         "wanted: romantic (Romance), funny (Comedy); without: Horror"),
        ("neither war nor horror", "without: War, Horror"),
        ("not violent but funny", "wanted: funny (Comedy); without: violent"),
        ("no war movies with aliens", "wanted: aliens; without: War"),
        ("not only romantic", "wanted: romantic (Romance)"),
        ("not without robots", "wanted: robots"),
        ("robots -horror dogs", "wanted: robots, dogs; without: Horror"),
        ("non-violent cartoon", "wanted: cartoon (Animation); without: violent"),
        ("films about dogs without Kids!", "wanted: dogs; without: kids (Children's)"),
        ("a film that is not too long, about dogs",
         "wanted: dogs; not the duration: at least 150 min"),
        ("no longer than 1h30", "not the duration: over 90 min"),
        ("between 1 and 2 hours", "duration: at least 60 min and at most 120 min"),
        ("two and a half hours or less", "duration: at most 150 min"),
        ("at least an hour and 20 minutes", "duration: at least 80 min"),
        ("nothing before 1980", "not the years: until 1979"),
        ("not from the 60s or 70s", "not the years: 1960 to 1969, 1970 to 1979"),
        ("60s or 90s", "years: 1960 to 1969, 1990 to 1999"),
        ("since the late 1970s until 1985", "years: 1977 to 1985"),
        ("1990-1995 war", "wanted: War; years: 1990 to 1995"),
        ("after the eighties", "years: from 1990 on"),
        ("after 1990, before 1980", "years: none"),
        ("scary movies that aren't bloody", "wanted: scary (Horror); without: bloody"),
        ("posts to watch about robots", "wanted: robots"),
        ("1984", "wanted: 1984"),
        ("", "everything"),
        ("show me something please", "everything"),
    ],
)  # fmt: skip
def test_a_query_is_understood_as_its_line_says(query: str, line: str) -> None:
    assert str(read(query)) == line
    assert str(read(query.upper())) == line.replace("1h30", "1H30")


def test_without_categories_their_words_are_text() -> None:
    found = parse("no horror, scary or funny", {})
    assert [wish.said for wish in found.without] == ["horror", "scary", "funny"]
    assert not any(wish.category for wish in found.without)


def test_a_category_named_like_a_function_word_is_the_category() -> None:
    names = category_names(Catalogue(item_ids=("1",), categories=(("Short", "Kids"),)))
    found = parse("short kids films", names)
    assert [wish.category for wish in found.wanted] == ["Short", "Kids"]
    assert found.durations == ()


def test_limits_are_exact_at_their_ends() -> None:
    assert read("under 2 hours").durations == (Range(high=7199),)
    assert read("at most 2 hours").durations == (Range(high=7200),)
    assert read("over 90 min").durations == (Range(low=5401, high=math.inf),)
    assert read("over 1 hour, under 2 hours").durations == (Range(low=3601, high=7199),)
    assert read("after 1994").years == (Range(low=1995, high=math.inf),)


_WORDS = [
    "no",
    "not",
    "without",
    "-",
    "non-",
    "between",
    "and",
    "or",
    ",",
    ";",
    "1",
    "2 hours",
    "an hour",
]
_WORDS += [
    "a half",
    "90s",
    "'90s",
    "1994",
    "from",
    "before",
    "under",
    "horror",
    "sci-fi",
    "film",
    "noir",
]
_WORDS += [
    "short",
    "but",
    "only",
    "1h30",
    "the",
    "late",
    "é",
    "😀",
    "|",
    "max",
    "half an",
    "robots",
    "-x",
    "like",
    "$20",
    "30 euros",
    "cheap",
]


@settings(deadline=None, max_examples=300)
@given(st.lists(st.sampled_from(_WORDS), max_size=14), st.sampled_from([" ", ""]))
def test_any_order_of_the_grammars_words_is_read_without_an_error(
    parts: list[str], space: str
) -> None:
    found = read(space.join(parts))
    assert str(found)
    assert not set("|,;").intersection("".join(w.said for w in (*found.wanted, *found.without)))


@settings(deadline=None)
@given(st.text(max_size=200))
def test_any_text_is_read_without_an_error(text: str) -> None:
    assert str(read(text))


def test_a_query_that_is_too_long_is_refused() -> None:
    with pytest.raises(InputError, match="1000 characters, found 1001"):
        read("x" * 1001)


@pytest.mark.parametrize(("categories", "query", "line"), QUERIES)
def test_queries_as_people_put_them_are_understood_as_documented(
    categories: tuple[str, ...], query: str, line: str
) -> None:
    names = category_names(Catalogue(item_ids=("1",), categories=(categories,)))
    items = {title_key(title): Likened(item=n, title=title) for n, title in enumerate(TITLES)}
    assert str(parse(query, names, titled=items.get)) == line


@pytest.mark.parametrize(
    ("query", "line"),
    [
        ("$20-30", "price: 20.00 to 30.00"),
        ("from 20 to 30 €", "price: 20.00 to 30.00"),
        ("under $1,500", "price: at most 1499.99"),
        ("at least 49,90 euros", "price: at least 49.90"),
        ("for $50 or less", "price: at most 50.00"),
        ("20 dollars or more", "price: at least 20.00"),
        ("a £10 book", "wanted: book; price: 8.00 to 12.00"),
        ("not over 30 eur", "not the price: at least 30.01"),
        ("over 30 euros, under 20 euros", "price: none"),
        ("cheap, under 20 euros", "price: at most 19.99"),
        ("not too expensive headphones", "wanted: headphones; cheap"),
        ("no expensive or ugly headphones", "without: ugly, headphones; cheap"),
        ("expensive headphones", "wanted: expensive, headphones"),
        ("under 30 minutes, under 30 euros", "duration: under 30 min; price: at most 29.99"),
        ("20 eurovision songs", "wanted: 20, eurovision, songs"),
    ],
)
def test_prices_are_understood_with_any_sign_of_a_currency(query: str, line: str) -> None:
    assert str(read(query)) == line
