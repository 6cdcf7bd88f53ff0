import json
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.client.learning.world import NOW, now, published
from tests.client.learning.world import made as recommender
from tests.client.profile.sentences import HELD_OUT, TUNED

from privet.client.learning.situation import Mode
from privet.client.profile.aspects import Aspects, Domain, frequent_nouns
from privet.client.profile.reviews import Review, Reviews
from privet.client.profile.topics import wishes
from privet.client.vault.event import Event
from privet.client.vault.history import history
from privet.models.catalogue import Catalogue
from privet.privacy.errors import InputError

FILMS = Catalogue(
    item_ids=("a", "b", "c"),
    titles=("The Good, the Bad and the Ugly", "Alien", "Up"),
    categories=(("Western",), ("Horror", "Sci-Fi"), ("Animation", "Comedy")),
)
READER = Reviews(Aspects.of(FILMS))


def signs(review: Review) -> dict[str, str]:
    found = {o.aspect: review.of(o.aspect) or 0.0 for o in review.opinions}
    return {aspect: "+" if value > 0 else "-" for aspect, value in found.items()}


def judged(data: tuple[tuple[str, dict[str, str]], ...], reader: Reviews) -> tuple[float, float]:
    """Precision and recall of pairs of aspect and sign."""
    found = [(signs(reader.read(text)), wanted) for text, wanted in data]
    right = sum(len(got.items() & wanted.items()) for got, wanted in found)
    return right / sum(len(got) for got, _ in found), right / sum(len(w) for _, w in found)


@pytest.mark.parametrize(
    ("name", "data", "precision", "recall"),
    [("tuned", TUNED, 0.98, 0.98), ("held out", HELD_OUT, 0.88, 0.75)],
)
def test_opinions_of_sentences_written_by_hand_are_mostly_right(
    name: str,
    data: tuple[tuple[str, dict[str, str]], ...],
    precision: float,
    recall: float,
) -> None:
    found = judged(data, Reviews(Aspects.of(Catalogue(item_ids=("1",)))))
    print(f"{name}: {len(data)} sentences, precision {found[0]:.3f}, recall {found[1]:.3f}")
    assert found[0] >= precision and found[1] >= recall


def test_a_sentence_that_praises_one_aspect_and_blames_another_does_both() -> None:
    found = READER.read("The battery is great but the screen is terrible")
    assert (found.of("battery") or 0) > 0.5
    assert (found.of("screen") or 0) < -0.4
    assert found.sentiment is not None and abs(found.sentiment) < 0.2


@settings(deadline=None, max_examples=200)
@given(st.text(max_size=300), st.text(max_size=20))
def test_any_text_is_read_without_an_error_and_in_range(text: str, title: str) -> None:
    found = READER.read(text, title=title)
    assert found.known == (found.sentiment is not None)
    for opinion in found.opinions:
        assert -1 <= opinion.sentiment <= 1 and opinion.sentiment != 0
        assert 0 <= opinion.start < opinion.end <= len(text)


_PARTS = ["not", "but", ",", "and", "the plot", "great", "bad", "too", "isn't", "!", "—", "like"]
_PARTS += ["lack", "never", "although", "enough", "only", "😀", ":(", "\n", "...", "4.5", "'"]


@settings(deadline=None, max_examples=200)
@given(st.lists(st.sampled_from(_PARTS), max_size=30))
def test_any_order_of_the_rules_words_is_read_without_an_error(parts: list[str]) -> None:
    value = READER.read(" ".join(parts)).sentiment
    assert value is None or -1 <= value <= 1


@pytest.mark.parametrize("text", ["great, bad " * 100_000, "not " * 300_000, "." * 1_000_000])
def test_a_megabyte_is_read_in_bounded_work(text: str) -> None:
    READER.read(text)  # work that grows with the square of its length would take hours


@pytest.mark.parametrize(
    "text",
    [
        "Der Film ist sehr schön, aber die Musik war schlecht.",
        "Le film est très bon mais la fin est nulle.",
        "La película es muy buena pero el final no me gusta.",
        "Il film è molto bello ma la fine non mi piace.",
        "O filme é muito bom mas o final não presta.",
        "De film is erg goed maar het einde is slecht.",
        "Filmen är mycket bra men slutet är dåligt.",
        "Film jest bardzo dobry ale muzyka to nie to.",
        "映画は素晴らしい",
        "Фильм отличный",
        "",
        "12345",
    ],
)
def test_what_is_not_english_is_unknown_and_not_neutral(text: str) -> None:
    assert READER.read(text) == Review(known=False)
    assert READER.read(text).sentiment is None


def test_a_review_without_an_opinion_is_neutral_and_known() -> None:
    assert READER.read("I watched it on Tuesday.").sentiment == 0.0


def test_the_words_of_a_title_and_of_a_genre_are_no_opinion() -> None:
    text = "I saw The Good, the Bad and the Ugly with a friend."
    assert READER.read(text, title=FILMS.titles[0]).opinions == ()
    assert READER.read(text).opinions != ()
    assert READER.read("It is a war film about a murder.").opinions == ()


def test_a_category_is_an_aspect_unless_it_describes_the_item() -> None:
    assert signs(READER.read("I love westerns.")) == {"Western": "+"}
    assert signs(READER.read("I am not a fan of animation, horror is awful.")).get("Horror") == "-"
    assert signs(READER.read("A great horror film.")) == {"": "+"}


def test_frequent_nouns_of_descriptions_are_aspects() -> None:
    texts = tuple(f"The old handle, and its wooden lid, number {n}." for n in range(20))
    assert set(frequent_nouns(texts)) == {"handle", "lid"}
    reader = Reviews(
        Aspects.of(
            Catalogue(item_ids=tuple(map(str, range(20))), descriptions=texts),
            domains=(Domain.SHOPPING,),
        )
    )
    assert signs(reader.read("The handle is great but the lid is ugly.")) == {
        "handle": "+",
        "lid": "-",
    }


def weight_of(*events: Event) -> float:
    found = history(events, FILMS, now=100).cohort
    return float(found.weights[0]) if len(found.items) else 0.0


def test_praise_counts_as_liking_and_blame_ends_it() -> None:
    praise = READER.read("A wonderful film!").event("b", time=10)
    blame = READER.read("Awful, a waste of time.").event("b", time=20)
    like = Event(kind="like", item="b", time=5)
    assert 0 < weight_of(praise) < 1
    assert weight_of(blame) == weight_of(like, blame) == 0
    again = READER.read("A wonderful film!").event("b", time=30)
    assert weight_of(like, blame, again) == weight_of(praise)


def test_a_review_that_was_not_understood_neither_counts_nor_ends_anything() -> None:
    unknown = READER.read("Der Film ist schlecht").event("b", time=20)
    like = Event(kind="like", item="b", time=5)
    assert unknown.value is None
    assert weight_of(unknown) == 0
    assert weight_of(like, unknown) == weight_of(like) == 1


def test_the_writers_own_verdict_goes_before_the_texts() -> None:
    event = READER.read("Awful plot.").event("b", time=1, value=0.5)
    assert event.value == 0.5
    assert json.loads(event.to_bytes())["c"]["aspects"].keys() == {"plot"}


def test_an_event_holds_no_text() -> None:
    text = "My neighbour Zebedee says that the plot is awful."
    event = READER.read(text).event("b", time=1)
    assert b"Zebedee" not in event.to_bytes() and b"neighbour" not in event.to_bytes()
    assert "plot" not in repr(event) + repr(READER.read(text)) + repr(READER.read(text).opinions)


def test_without_the_extra_there_is_an_error_that_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "vader", None)
    with pytest.raises(InputError, match=r"privet\[text\]"):
        Reviews(Aspects.of(FILMS))
    stars = Review(known=False).event("b", time=1, value=1.0)
    assert np.isclose(weight_of(stars), 1.0)


def test_a_review_moves_what_is_like_the_item_up_or_down() -> None:
    def score_of_two(*events: Event) -> float:
        one = recommender(published())
        one.reset(events, topics=wishes(events, {}))
        values = one.scores(Mode.PERSONAL, now()).values
        return float(values[2] - values[3])

    praise = READER.read("Wonderful, I loved it!").event("item 0", time=NOW - 60)
    blame = READER.read("Awful, a waste of time.").event("item 0", time=NOW - 60)
    unknown = READER.read("Der Film ist sehr schlecht").event("item 0", time=NOW - 60)
    assert score_of_two(praise) > score_of_two() >= score_of_two(blame)
    assert score_of_two(unknown) == score_of_two()
    fond = READER.read("I love animation and comedy.").event("absent", time=NOW - 60)
    assert score_of_two(fond) > score_of_two()
