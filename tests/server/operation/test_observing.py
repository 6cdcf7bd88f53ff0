"""Logs and metrics: what an operator sees, and nothing that is about a person."""

import io
import json
import urllib.request

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from privet.privacy.accounting.adversaries import Trust
from privet.privacy.errors import EgressError
from privet.server.coordinator import Phase, Progress
from privet.server.operation.logs import EventLog, LogEvent, Value
from privet.server.operation.metrics import Metrics

CLOSED = Progress(
    phase=Phase.CLOSED,
    step="head",
    index=0,
    steps=2,
    epsilon_spent=0.75,
    budget=2.0,
    seconds=1.0,
    devices=40,
    spoiled_groups=(1, 3),
)


def values(metrics: Metrics) -> dict[str, float]:
    """What Prometheus' own parser reads; labels beside names."""
    return {
        " ".join((sample.name, *sample.labels.values())): sample.value
        for family in text_string_to_metric_families(metrics.text())
        for sample in family.samples
        if not sample.name.endswith("_created")
    }


def test_a_line_is_one_json_object_with_time_and_event() -> None:
    stream = io.StringIO()
    log = EventLog(stream, clock=lambda: 0.0)
    log.write(LogEvent.PHASE, phase="charged", step=1, epsilon=0.5)
    log.write(LogEvent.STOPPED)
    first, second = map(json.loads, stream.getvalue().splitlines())
    assert first == {
        "time": "1970-01-01T00:00:00Z",
        "event": "round reached a phase",
        "phase": "charged",
        "step": 1,
        "epsilon": 0.5,
    }
    assert second["event"] == "server stopped"


@pytest.mark.parametrize(
    "values",
    [
        {"device": 3},
        {"item": 3},
        {"node": "a"},
        {"why": "Cannot read Alice's file"},
        {"why": "x" * 65},
        {"why": "a\nb"},
        {"why": [1]},
        {"why": None},
        {"epsilon": float("nan")},
    ],
)
def test_what_could_be_about_a_person_is_not_logged(values: dict[str, Value]) -> None:
    stream = io.StringIO()
    with pytest.raises(EgressError) as refused:
        EventLog(stream).write(LogEvent.STAGE, **values)
    assert stream.getvalue() == ""
    assert "Alice" not in str(refused.value)


@given(st.text(max_size=80))
def test_a_line_stays_one_line_whatever_is_logged(text: str) -> None:
    stream = io.StringIO()
    try:
        EventLog(stream).write(LogEvent.STAGE, stage=text)
    except EgressError:
        assert stream.getvalue() == ""
    else:
        (line,) = stream.getvalue().splitlines()
        assert json.loads(line)["stage"] == text


def test_metrics_say_what_was_spent_and_what_is_left() -> None:
    metrics = Metrics(Trust.SECURE_AGGREGATION, clock=lambda: 5.0)
    metrics.observe(CLOSED)
    metrics.aborted()
    metrics.refused()
    metrics.poisoned()
    metrics.link_restarted()
    metrics.enrolled(50)
    metrics.certificate(9e9)
    metrics.stage("mask", answered=38, refused=2)
    metrics.population(spent=1.5, left=2.5)
    assert values(metrics) == {
        "privet_run_epsilon_spent": 0.75,
        "privet_run_epsilon_budget": 2.0,
        "privet_population_epsilon": 1.5,
        "privet_population_epsilon_left": 2.5,
        "privet_devices_enrolled": 50.0,
        "privet_devices_in_last_sum": 40.0,
        "privet_releases_total": 1.0,
        "privet_groups_spoiled_total": 2.0,
        "privet_sums_poisoned_total": 1.0,
        "privet_superlink_restarts_total": 1.0,
        "privet_certificate_until_seconds": 9e9,
        "privet_rounds_aborted_total": 1.0,
        "privet_releases_refused_total": 1.0,
        "privet_answers_total mask": 38.0,
        "privet_answers_refused_total mask": 2.0,
        "privet_phase_time_seconds closed": 5.0,
    }


def test_where_a_run_is_can_be_said_before_it_goes_on() -> None:
    metrics = Metrics(Trust.SECURE_AGGREGATION)
    metrics.run(spent=1.25, budget=float("inf"))
    found = values(metrics)
    assert found["privet_run_epsilon_spent"] == 1.25
    assert found["privet_run_epsilon_budget"] == float("inf")


def test_the_size_of_a_cohort_that_may_be_secret_is_not_exported() -> None:
    metrics = Metrics(Trust.CENTRAL)
    metrics.observe(CLOSED)
    metrics.stage("contribute", answered=40, refused=0)
    found = values(metrics)
    assert found["privet_devices_in_last_sum"] == 0
    assert not [name for name in found if name.startswith("privet_answers")]


def test_metrics_are_served_on_loopback_until_stopped() -> None:
    metrics = Metrics(Trust.LOCAL)
    stop, port = metrics.serve(0)
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as reply:
            assert "privet_releases_total 0.0" in reply.read().decode()
    finally:
        stop()
    with pytest.raises(OSError):
        urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=1)
