"""What a report says of devices is the policy that they were under; files have their hashes."""

from dataclasses import replace

import pytest
from tests.privacy.report.example import make_report
from tests.privacy.report.ledgers import planned, view_of

from privet.client.device import egress_policy
from privet.privacy.accounting.adversaries import Trust
from privet.privacy.errors import InputError, IntegrityError
from privet.privacy.minimization.messages import message_bytes
from privet.privacy.report.audit import AuditRecord, NoiseTest
from privet.privacy.report.declared import Declared, about_template, read_about
from privet.privacy.report.minimization import message_sizes, minimization, policy_in
from privet.privacy.report.outcomes import Outcomes
from privet.privacy.report.signature import check_signature, sign

KEY = bytes(range(32))


@pytest.mark.parametrize("trust", list(Trust))
def test_what_leaves_is_the_very_policy_of_the_plan(trust: Trust) -> None:
    plan = planned(trust)
    section = minimization(view_of(plan))
    policy = policy_in(section, plan.hash)
    assert policy == egress_policy(plan)
    assert policy.hash == egress_policy(plan).hash
    for step in plan.steps:
        assert message_sizes(policy)[step.name] == message_bytes(policy, step.name)
        assert step.upload_bytes == section.header_bytes + sum(
            size.bytes
            for found in section.leaving
            for size in found.sizes
            if size.step == step.name
        )


def test_a_policy_of_another_plan_is_refused() -> None:
    other = egress_policy(planned(Trust.CENTRAL, epsilon=3.0))
    with pytest.raises(IntegrityError, match="policy"):
        minimization(view_of(planned(Trust.CENTRAL)), other)


def audit(plan_hash: str, *, bound: float) -> AuditRecord:
    test = NoiseTest(
        step="head", canaries=10, claimed_mu=1.0, bound=bound, confidence=0.95, power=0.9
    )
    return AuditRecord(
        plan_hash=plan_hash,
        how=(),
        repeats=1,
        seeds={},
        seconds=1.0,
        noise_tests=(test,),
        bounds=(),
        attacks=(),
        disclosure={},
    )


def test_an_audit_s_outcomes_findings_and_evidence_are_computed() -> None:
    report = make_report()
    plan_hash = report.identity.plan_hash or ""
    good = replace(report, audit=audit(plan_hash, bound=0.5))
    bad = replace(report, audit=audit(plan_hash, bound=1.5))
    assert report.outcomes is None and "audit" not in report.evidence
    assert good.outcomes == Outcomes(
        noise_tests=(True,), bounds=(), attacks=(), failures=(), blind=()
    )
    assert bad.outcomes and bad.outcomes.failures == ("noise of head",)
    assert [f.code for f in bad.findings if f.severity == "error"] != []
    assert good.evidence["audit"] != bad.evidence["audit"]
    with pytest.raises(IntegrityError, match="another plan"):
        replace(report, audit=audit("0" * 64, bound=0.5))


def test_declared_facts_need_the_hash_of_their_file_and_only_then() -> None:
    report = make_report()
    declared, digest = read_about(b'controller = "Example GmbH"\nonline_platform = "no"\n')
    assert declared == Declared(controller="Example GmbH", online_platform="no")
    assert "contact" in declared.missing and "controller" not in declared.missing
    kept = replace(report, declared=declared, files={"declared": digest})
    assert kept.evidence["declared"] == digest
    with pytest.raises(IntegrityError):
        replace(report, declared=declared)
    with pytest.raises(IntegrityError):
        replace(report, files={"declared": digest})
    with pytest.raises(InputError):
        replace(report, files={"data": digest})


def test_the_template_of_declared_facts_declares_nothing_until_it_is_filled_in() -> None:
    template = about_template()
    assert read_about(template.encode())[0] == Declared()
    filled = template.replace('#controller = ""', 'controller = "A"').encode()
    assert read_about(filled)[0] == Declared(controller="A")


@pytest.mark.parametrize(
    "text",
    ["controller = ", "controler = 'A'", "controller = 3", "controller = ''", "[controller]",
     "online_platform = 'perhaps'", "\x00"],
)  # fmt: skip
def test_declared_facts_that_cannot_be_read_are_an_input_error(text: str) -> None:
    with pytest.raises(InputError):
        read_about(text.encode())


def test_a_signature_covers_everything_and_cannot_be_taken_away_or_swapped() -> None:
    signed = sign(make_report(), KEY)
    assert check_signature(signed) == signed.signature
    assert signed.signature and signed.identity.signer == signed.signature.fingerprint
    with pytest.raises(IntegrityError, match="taken away"):
        replace(signed, signature=None)
    changed = replace(signed, data=replace(signed.data, interactions=1))
    with pytest.raises(IntegrityError, match="does not match"):
        check_signature(changed)
    other = sign(make_report(), bytes(32))
    with pytest.raises(IntegrityError, match="signer"):
        replace(signed, signature=other.signature)
    upper = replace(signed.signature, value=signed.signature.value.upper())
    with pytest.raises(IntegrityError):
        check_signature(replace(signed, signature=upper))
    with pytest.raises(InputError, match="32 bytes"):
        sign(make_report(), b"short")
