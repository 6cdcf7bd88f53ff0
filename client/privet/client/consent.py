"""What a user is asked before a device joins: what leaves, how often, and what that tells whom."""

from dataclasses import dataclass
from typing import Any

from privet.models.federation import Stage
from privet.models.invitation import Invitation
from privet.models.planning import check_noise
from privet.privacy.accounting.adversaries import Trust, guarantees
from privet.privacy.minimization.messages import message_bytes
from privet.privacy.report.claims import ADVERSARIES

_TRUST = {
    Trust.SECURE_AGGREGATION: "The server sees sums over many devices only, not what yours sends.",
    Trust.CENTRAL: "The server sees what your device sends; you trust it to add the noise.",
    Trust.LOCAL: "Your device adds all the noise itself; the server sees nothing without it.",
}


@dataclass(frozen=True, kw_only=True)
class Leaving:
    """One message that may leave, in words.

    Attributes:
        step: Its name.
        size_bytes: Its size, whatever is in the history.
        fields: What is in it: name and purpose.
        private: Whether it follows from the history; else it is keys, signatures and the like.
    """

    step: str
    size_bytes: int
    fields: tuple[tuple[str, str], ...]
    private: bool


@dataclass(frozen=True, kw_only=True)
class Terms:
    """What a user is asked to agree to.

    Attributes:
        name: Of the federation.
        server: Whom the device speaks to, and nobody else.
        trust: Who adds the noise, in a sentence.
        answers: How often each message that follows from the history may leave.
        delta: At which epsilons are stated.
        messages: All that may leave.
        epsilons: For each adversary: its words, epsilon of one run, and epsilon if every sum were
            asked for as often as agreed; None for no guarantee.
        plan_hash: Of the plan.
        policy_hash: Of the policy.
    """

    name: str
    server: str
    trust: str
    answers: int
    delta: float
    messages: tuple[Leaving, ...]
    epsilons: tuple[tuple[str, float | None, float | None], ...]
    plan_hash: str
    policy_hash: str

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {
            "name": self.name,
            "server": self.server,
            "trust": self.trust,
            "answers": self.answers,
            "delta": self.delta,
            "messages": [
                {
                    "step": message.step,
                    "bytes": message.size_bytes,
                    "from_history": message.private,
                    "fields": [{"field": f, "purpose": why} for f, why in message.fields],
                }
                for message in self.messages
            ],
            "privacy": [
                {"adversary": who, "epsilon": once, "epsilon_at_most": most}
                for who, once, most in self.epsilons
            ],
            "plan_hash": self.plan_hash,
            "policy_hash": self.policy_hash,
        }


def terms_of(invitation: Invitation) -> Terms:
    """What joining means, recomputed from the plan and not taken from the invitation.

    Raises:
        PrivacyError: The plan's noise is not worth the epsilon that it promises.
    """
    plan, policy = invitation.plan, invitation.policy
    check_noise(plan)
    steps = {step.name for step in plan.steps}
    messages = [
        Leaving(
            step=name,
            size_bytes=message_bytes(policy, name),
            fields=tuple((rule.field, rule.purpose) for rule in policy.of_step(name)),
            private=name in steps,
        )
        for name in (*[s.value for s in Stage if policy.of_step(s.value)], *sorted(steps))
    ]
    once = [step.terms for step in plan.steps]
    private, delta = not plan.seeded_noise, plan.facts.delta
    first = guarantees(once, delta, private=private)
    most = guarantees(once * invitation.answers, delta, private=private)
    return Terms(
        name=invitation.name,
        server=f"{invitation.host}:{invitation.port}",
        trust=_TRUST[plan.facts.trust],
        answers=invitation.answers,
        delta=delta,
        messages=tuple(messages),
        epsilons=tuple(
            (ADVERSARIES[one.adversary.value], one.epsilon, all_.epsilon)
            for one, all_ in zip(first, most, strict=True)
        ),
        plan_hash=plan.hash,
        policy_hash=policy.hash,
    )
