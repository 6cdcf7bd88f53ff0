"""What matters most is read from the scores and the settings, and follows them when they change."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from privet.client.ranking.explain import Basis, Explanation, Reason, Term, explain
from privet.client.ranking.rerank import ListRules
from privet.client.rights.main_parameters import PARAMETERS, main_parameters, shares
from privet.client.vault.history import Weighting
from privet.client.vault.receipt import Retention
from privet.privacy.errors import InputError

KINDS = st.sampled_from(
    [
        (Reason.HISTORY, Basis.TOLD),
        (Reason.HISTORY, Basis.INFERRED),
        (Reason.TOPIC, Basis.TOLD),
        (Reason.CONTEXT, Basis.INFERRED),
        (Reason.POPULARITY, Basis.EVERYONE),
        (Reason.LIST, Basis.TOLD),
    ]
)
TERMS = st.lists(st.tuples(KINDS, st.floats(-5, 5, allow_subnormal=False)), max_size=6)


def explained(terms: list[tuple[tuple[Reason, Basis], float]]) -> Explanation:
    held = [Term(reason=reason, basis=basis, value=value) for (reason, basis), value in terms]
    return explain(0, sum(term.value for term in held), held)


@given(st.lists(TERMS, max_size=4))
def test_shares_are_the_terms_own_sizes_largest_first(
    lists: list[list[tuple[tuple[Reason, Basis], float]]],
) -> None:
    found = shares([explained(terms) for terms in lists])
    sizes: dict[tuple[Reason, Basis], float] = {}
    for terms in lists:
        for kind, value in terms:
            sizes[kind] = sizes.get(kind, 0.0) + abs(value)
    total = sum(sizes.values())
    assert [one.share for one in found] == sorted((one.share for one in found), reverse=True)
    assert {(o.reason, o.basis): o.share for o in found} == pytest.approx(
        {kind: size / total for kind, size in sizes.items() if size > 0}
    )


PLAIN = {
    "personal": True,
    "weighting": Weighting(),
    "rules": ListRules(),
    "retention": Retention(),
}
LIST = [
    explained([((Reason.HISTORY, Basis.TOLD), 6.0), ((Reason.POPULARITY, Basis.EVERYONE), -2.0)]),
    explained([((Reason.TOPIC, Basis.TOLD), 2.0)]),
]


def said(**changes: object) -> str:
    return "\n".join(main_parameters(LIST, **{**PLAIN, **changes}))  # type: ignore[arg-type]


def test_the_order_of_what_matters_is_that_of_the_scores() -> None:
    lines = said().splitlines()
    order = [line for line in lines if "of the order" in line]
    assert order == [
        "60 % of the order comes from what you said that you like.",
        "20 % of the order comes from what many people like.",
        "20 % of the order comes from topics that you asked for more or less of.",
    ]


def test_each_setting_that_changes_changes_what_is_said() -> None:
    plain = said()
    changes: dict[str, tuple[dict[str, object], str]] = {
        "weights": ({"weighting": Weighting(kinds={"buy": 3.0, "hide": -1.0})}, "buy counts 3"),
        "decay": ({"weighting": Weighting(half_life_seconds=7 * 86_400)}, "7 days ago counts half"),
        "age": ({"retention": Retention(max_age_seconds=30 * 86_400)}, "after 30 days"),
        "events": ({"retention": Retention(max_events=500)}, "latest 500"),
        "diversity": ({"rules": ListRules(diversity=0.3)}, "30 of 100"),
        "calibration": ({"rules": ListRules(calibration=0.5)}, "50 of 100"),
        "caps": ({"rules": ListRules(caps={"horror": 2})}, "at most 2 of horror"),
        "blocks": ({"rules": ListRules(blocked=frozenset({"war"}))}, "Never shown: war"),
        "no profile": ({"personal": False}, "no profile of you"),
    }
    for changed, expected in changes.values():
        assert expected in said(**changed) and expected not in plain
    assert "counts half" not in said(personal=False)
    assert "hide counts against" in said(weighting=Weighting(kinds={"hide": -1.0}))


def test_without_a_list_nothing_is_made_up() -> None:
    found = main_parameters([], **PLAIN)  # type: ignore[arg-type]
    assert any("Nothing has been recommended" in line for line in found)
    assert not any("%" in line for line in found)


def test_it_can_be_said_in_another_language() -> None:
    german = PARAMETERS.translated(
        {**PARAMETERS.templates, "no profile": "Was du sehen kannst, folgt aus keinem Profil."}
    )
    found = main_parameters(LIST, **{**PLAIN, "personal": False}, phrases=german)  # type: ignore[arg-type]
    assert found[0].startswith("Was du")
    with pytest.raises(InputError):
        replace(german, templates={})
