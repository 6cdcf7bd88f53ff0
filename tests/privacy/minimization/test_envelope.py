"""The envelope says what a request is, and refuses everything else."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from privet.privacy.errors import InputError
from privet.privacy.minimization.envelope import MAX_ROUND, MAX_WORD, Envelope

WORDS = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=MAX_WORD)
ENVELOPES = st.builds(
    Envelope, stage=WORDS, run=WORDS, round=st.integers(0, MAX_ROUND), payload=st.binary()
)
GOOD: dict[str, object] = {"stage": "advertise", "run": "r", "round": 0, "payload": b""}


@given(ENVELOPES)
def test_an_envelope_survives_its_fields(envelope: Envelope) -> None:
    assert Envelope.from_fields(envelope.fields) == envelope


@given(ENVELOPES, st.binary())
def test_a_reply_repeats_the_request_but_for_its_payload(request: Envelope, payload: bytes) -> None:
    reply = request.reply(payload)
    assert reply.fields == {**request.fields, "payload": payload}


@pytest.mark.parametrize(
    "change",
    [
        {"stage": ""},
        {"stage": "two words"},
        {"stage": "é"},
        {"stage": b"advertise"},
        {"run": "r" * (MAX_WORD + 1)},
        {"run": "line\n"},
        {"round": -1},
        {"round": MAX_ROUND + 1},
        {"round": True},
        {"round": 1.0},
        {"payload": "text"},
        {"payload": bytearray(b"")},
        {"more": 1},
    ],
)
def test_anything_else_is_refused_without_naming_it(change: dict[str, object]) -> None:
    with pytest.raises(InputError) as raised:
        Envelope.from_fields({**GOOD, **change})
    assert all(repr(value) not in str(raised.value) for value in change.values() if value)


@pytest.mark.parametrize("missing", ["stage", "run", "round", "payload"])
def test_a_missing_field_is_refused(missing: str) -> None:
    with pytest.raises(InputError, match="stage, run, round and payload"):
        Envelope.from_fields({name: value for name, value in GOOD.items() if name != missing})
