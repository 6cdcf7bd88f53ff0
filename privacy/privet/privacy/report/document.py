"""One object from which every form of a report is rendered."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, get_type_hints

from privet.privacy.canonical import Json, canonical_bytes, parse_canonical, sha256
from privet.privacy.errors import InputError, IntegrityError
from privet.privacy.records import decode, encode, mapping, require_keys
from privet.privacy.report import checks
from privet.privacy.report.aggregation import SecureAggregation
from privet.privacy.report.audit import AuditRecord
from privet.privacy.report.claims import ClaimFacts, Verdict, claim_sentence, verdict
from privet.privacy.report.declared import Declared
from privet.privacy.report.evidence import check_files, evidence
from privet.privacy.report.findings import Finding
from privet.privacy.report.linter import findings
from privet.privacy.report.minimization import Minimization
from privet.privacy.report.outcomes import Outcomes, outcomes
from privet.privacy.report.population import COUNTED_ALONE, PopulationSection, counted_together
from privet.privacy.report.previous import Previous
from privet.privacy.report.sections import (
    AdversaryGuarantee,
    Data,
    Definition,
    Egress,
    Identity,
    LedgerRecord,
    MechanismStep,
    Quality,
    Source,
    Verification,
)
from privet.privacy.report.security import Security
from privet.privacy.report.signature import Signature, check_signed_by
from privet.privacy.report.spending import Accounting, Profile

SCHEMA = "privet.report/3"

COMPUTED = ("claim", "findings", "outcomes", "evidence")
"""Parts of the JSON that follow from the others and are compared with them."""

OUTSIDE_EPSILON = (
    "Metrics, quality figures and recommendations of a simulation: they look at held-out data and "
    "are outside epsilon"
)
NOTHING_PROTECTED = "Users' histories: no guarantee holds for this run"
CATALOGUE_NOT_DECLARED = (
    "The catalogue: which items exist was inferred from interactions and not declared public"
)


@dataclass(frozen=True, kw_only=True)
class Report:
    """A privacy audit report.

    Formal Guarantees: a report that contradicts itself, or claims more than its own figures carry,
    cannot be made: claim, findings, outcomes of the audit and hashes of the evidence are computed
    from the sections and never given.

    Attributes:
        profiles: One for the adversaries who see the same releases; every adversary with a
            guarantee is in one of them.
        sources: Where figures come from: a section's name, or a section and a field with a dot
            between them, to one of measured, computed, declared and absent. What is not in it is
            absent.
        files: SHA-256 of the files that sections were made from and whose contents are not in the
            report, by the section's name: about.toml of ``declared``, result.json of ``quality``.
        audit: What attacks on the run found; None if nobody attacked it.
        declared: What only people know; None if nobody declared anything.
        minimization: What is on a device and what leaves.
        security: How the code is made.
        previous: What changed since an earlier report; None if none was named.
        signature: Who issued it; None if it is not signed.
    """

    identity: Identity
    definition: Definition
    adversaries: tuple[AdversaryGuarantee, ...]
    profiles: tuple[Profile, ...]
    mechanism: tuple[MechanismStep, ...]
    aggregation: SecureAggregation | None = None
    accounting: Accounting
    population: PopulationSection | None
    egress: Egress
    minimization: Minimization
    security: Security
    quality: Quality
    audit: AuditRecord | None = None
    data: Data
    declared: Declared | None = None
    previous: Previous | None = None
    ledger: LedgerRecord
    verification: Verification
    sources: Mapping[str, Source]
    files: Mapping[str, str] = field(default_factory=dict)
    signature: Signature | None = None

    def __post_init__(self) -> None:
        """Refuses figures of a wrong type, contradictions and claims that would not hold."""
        self._sections()
        checks.check_identity(self.identity)
        checks.check_definition(self.definition)
        checks.check_adversaries(self.adversaries, self.definition, self.identity)
        checks.check_accounting(self.accounting)
        checks.check_egress(self.egress)
        checks.check_quality(self.quality)
        checks.check_ledger(self.ledger)
        checks.check_claim(self.facts, self.accounting, self.data.users)
        checks.check_profiles(self.profiles, self.adversaries)
        checks.check_audit(self.audit, self.identity)
        checks.check_heads(self.identity, self.ledger)
        check_files(self)
        check_signed_by(self)
        _check_sources(self)

    @property
    def facts(self) -> ClaimFacts:
        """What the claim may say: the headline adversary's row and the definition."""
        row = self.headline
        return ClaimFacts(
            unit=self.definition.unit,
            epsilon=row.epsilon,
            delta=row.delta,
            adversary=row.adversary,
            trust=self.definition.trust,
            relation=self.definition.relation,
            noise_randomness=self.identity.noise_randomness,
            private=self.identity.private,
        )

    @property
    def headline(self) -> AdversaryGuarantee:
        """The adversary that the claim is about."""
        wanted = self.definition.headline_adversary
        return next(row for row in self.adversaries if row.adversary == wanted)

    @property
    def claim(self) -> str:
        """The claim in one sentence."""
        return claim_sentence(self.facts)

    @property
    def verdict(self) -> Verdict:
        """The claim in two words."""
        return verdict(self.facts)

    @property
    def not_protected(self) -> tuple[str, ...]:
        """What is not protected, with what follows from the other sections."""
        open_ = () if self.verdict == "PRIVATE" else (NOTHING_PROTECTED,)
        catalogue = () if self.data.catalogue_public else (CATALOGUE_NOT_DECLARED,)
        runs = COUNTED_ALONE if self.population is None else counted_together(self.population)
        return (*open_, *self.definition.not_protected, *catalogue, runs, OUTSIDE_EPSILON)

    @property
    def findings(self) -> tuple[Finding, ...]:
        """What the linter of claims finds in the other sections, errors first."""
        return findings(self)

    @property
    def outcomes(self) -> Outcomes | None:
        """What the audit's figures say; None without an audit."""
        return outcomes(self.audit)

    @property
    def evidence(self) -> dict[str, str]:
        """By section, the SHA-256 of what it was made from."""
        return evidence(self)

    def source_of(self, name: str) -> Source:
        """Where a section's or a field's figures come from."""
        section = name.partition(".")[0]
        return self.sources.get(name, self.sources.get(section, "absent"))

    def to_dict(self) -> dict[str, Json]:
        """The report as plain JSON types, with the schema and all that is computed."""
        return {"schema": SCHEMA, **self._computed(), **self._sections()}

    def to_bytes(self) -> bytes:
        """The report as canonical JSON."""
        return canonical_bytes(self.to_dict())

    def digest(self) -> str:
        """The SHA-256 of the canonical JSON."""
        return sha256(self.to_dict())

    @classmethod
    def from_dict(cls, value: Mapping[str, Any]) -> "Report":
        """Reads what `to_dict` wrote.

        Raises:
            InputError: If the schema is another one, or a field is missing, unknown or mistyped.
            IntegrityError: If figures contradict each other, or the claim is not what follows.
            PrivacyError: If it claims more than its own figures carry.
        """
        found = mapping(value, "report")
        schema = found.get("schema")
        if schema != SCHEMA:
            raise InputError(f"Expected a report of schema {SCHEMA!r}, found {schema!r}.")
        hints = get_type_hints(cls)
        require_keys(found, {"schema", *COMPUTED, *hints}, "report")
        report = cls(**{k: decode(hint, found[k], k) for k, hint in hints.items()})
        for name, follows in report._computed().items():
            if found[name] != follows:
                raise IntegrityError(f"The report's {name} is not what follows from its sections.")
        return report

    @classmethod
    def from_bytes(cls, data: bytes) -> "Report":
        """Reads what `to_bytes` wrote, and nothing that was spelled differently.

        Raises:
            InputError: As `from_dict`.
            IntegrityError: As `from_dict`, and if the bytes are not canonical.
            PrivacyError: As `from_dict`.
        """
        report = cls.from_dict(mapping(parse_canonical(data), "report"))
        if report.to_bytes() != data:
            raise IntegrityError("The report's bytes are not those that its figures give.")
        return report

    def _sections(self) -> dict[str, Json]:
        return {k: encode(getattr(self, k), h, k) for k, h in get_type_hints(Report).items()}

    def _computed(self) -> dict[str, Json]:
        return {
            "claim": self._claim(),
            "findings": encode(self.findings, tuple[Finding, ...], "findings"),
            "outcomes": encode(self.outcomes, Outcomes | None, "outcomes"),
            "evidence": encode(self.evidence, Mapping[str, str], "evidence"),
        }

    def _claim(self) -> dict[str, Json]:
        facts = encode(self.facts, ClaimFacts, "claim")
        return {
            "verdict": self.verdict,
            "sentence": self.claim,
            "facts": facts,
            "not_protected": list(self.not_protected),
        }


def _check_sources(report: Report) -> None:
    known = {field.name for field in fields(Report)} - {"sources", "files"}
    for name, source in report.sources.items():
        section = name.partition(".")[0]
        if section not in known:
            raise InputError(f"Expected sources to name sections, found {name!r}.")
        if getattr(report, section) is None and source != "absent":
            raise IntegrityError(f"The report has no {section}, but sources call it {source}.")
