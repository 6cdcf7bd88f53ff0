"""The page on minimization says what the code does."""

import re
from pathlib import Path

from privet.client.device import egress_policy
from privet.models.plan import PublicFacts
from privet.models.planning import make_plan
from privet.models.spectral import Spectral
from privet.privacy.accounting.adversaries import Trust
from privet.privacy.minimization.messages import ERROR_WORDS, HEADER_BYTES
from privet.privacy.minimization.policy import EgressPolicy, FieldType

PAGE = (Path(__file__).resolve().parents[3] / "docs" / "minimization.md").read_text()


def block(language: str) -> str:
    (found,) = re.findall(rf"(?ms)^```{language}\n(.*?)^```", PAGE)
    return str(found)


def test_the_pages_policy_is_the_one_that_the_code_writes() -> None:
    facts = PublicFacts(
        devices=6040, items=3706, epsilon=2.0, delta=1e-5, trust=Trust.SECURE_AGGREGATION
    )
    plan = make_plan(Spectral(), facts, catalogue_hash="0" * 64)
    shown = EgressPolicy.from_toml(block("toml"))
    assert shown.rules == egress_policy(plan).rules
    assert shown.to_toml() == block("toml")


def test_the_pages_python_runs() -> None:
    exec(compile(block("python"), "minimization.md", "exec"), {})  # noqa: S102 - of this repository


def test_the_page_names_every_type_and_the_numbers_of_the_code() -> None:
    assert all(f"`{kind}`" in PAGE for kind in FieldType)
    assert f"{HEADER_BYTES} bytes of header" in PAGE
    assert len(ERROR_WORDS) == 7 and "one of seven words" in PAGE
