"""What a device's ledger says, in sentences: when it took part, in what, what left, at what epsilon."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from privet.client.consent import Terms
from privet.client.rights.phrases import Phrases
from privet.client.rights.quotas import RoundTime
from privet.client.rights.receipts import iso
from privet.models.federation import Stage
from privet.privacy.minimization.denials import Denial, Reason
from privet.privacy.minimization.egress_line import EgressLine
from privet.privacy.minimization.egress_log import EgressLedger
from privet.privacy.report.claims import ADVERSARIES
from privet.privacy.report.text import rounded_up

_FIELDS: dict[str, tuple[str, ...]] = {
    "round": ("when", "round", "federation", "server", "messages", "bytes"),
    "model": ("when", "round", "federation", "server"),
    "key": ("count",),
    "numbers": ("step", "bytes", "fields"),
    "no numbers": (),
    "bound": ("who", "epsilon", "most", "delta"),
    "no bound": ("who",),
    "unknown bound": (),
    "unknown time": (),
    "unknown federation": (),
    "unknown server": (),
    **{f"denied {reason}": ("count", "step") for reason in Reason},
}
LOG = Phrases(
    fields=MappingProxyType(_FIELDS),
    templates=MappingProxyType(
        {
            "round": "{when}: took part in round {round} of {federation}, at {server}: "
            "{messages} messages, {bytes} bytes in all.",
            "model": "{when}: confirmed model {round} of {federation}, at {server}.",
            "key": "Showed its key {count} times to a server that asked who it is.",
            "numbers": "Made from your history: {bytes} bytes for {step} ({fields}).",
            "no numbers": "None of them was made from your history.",
            "bound": "What {who} can learn of you from a whole run of this is bounded by epsilon "
            "{epsilon} at delta {delta}; by {most} if everything is asked for as often as you agreed.",
            "no bound": "Nothing bounds what {who} can learn of you from it.",
            "unknown bound": "This device no longer knows what bounds what it tells of you.",
            "unknown time": "At a time that is no longer known",
            "unknown federation": "a federation that this device no longer knows",
            "unknown server": "a server that this device no longer knows",
            "denied agreement": "Refused {step} {count} times: you did not agree to it.",
            "denied participation": "Refused {step} {count} times: it had answered as often as "
            "you agreed.",
            "denied messages": "Refused {step} {count} times: as many messages had left as you "
            "agreed.",
            "denied fields": "Refused {step} {count} times: it had other fields than agreed.",
            "denied form": "Refused {step} {count} times: it had another form than agreed.",
            "denied range": "Refused {step} {count} times: it had other numbers than agreed.",
            "denied cancelled": "Cancelled {step} {count} times before it left, as you or this app "
            "wished.",
        }
    ),
)


@dataclass(frozen=True, kw_only=True)
class Round:
    """What left for one round.

    Attributes:
        run: Of the federation.
        round_number: Of the run; of a model, its number.
        plan_hash: Of the plan.
        model: Whether it is about a published model and no round of training.
        at: Unix seconds of the first message; None if not known.
        messages: How many.
        size_bytes: Of all of them.
        numbers: The lines of messages that were made from the history.
        terms: Of the federation, if it is known.
    """

    run: str
    round_number: int
    plan_hash: str
    model: bool
    at: int | None
    messages: int
    size_bytes: int
    numbers: tuple[EgressLine, ...]
    terms: Terms | None


def rounds_of(
    ledger: EgressLedger, *, known: Iterable[Terms] = (), times: Iterable[RoundTime] = ()
) -> tuple[Round, ...]:
    """The rounds in which something left a device, in the order of its ledger.

    Args:
        ledger: Of the device.
        known: Terms of federations, which the ledger has by the plan's hash alone.
        times: When the device took part, from `Usage.rounds`: the ledger has no clock.
    """
    terms = {one.plan_hash: one for one in known}
    when = {(one.run, one.round_number): one.at for one in times}
    lines = {line.leaf: line for line in ledger.lines if line.leaf is not None}
    found: dict[tuple[str, int, bool, str], list[EgressLine]] = {}
    for sent in ledger.sent:
        line = lines.get(sent.leaf)
        if line is not None:
            slot = sent.slot
            key = (slot.run, slot.round_number, slot.stage == Stage.MODEL, line.plan_hash)
            found.setdefault(key, []).append(line)
    return tuple(
        Round(
            run=run,
            round_number=number,
            plan_hash=plan_hash,
            model=model,
            at=None if model else when.get((run, number)),
            messages=len(held),
            size_bytes=sum(line.bytes_per_message for line in held),
            numbers=tuple(line for line in held if line.step not in set(Stage)),
            terms=terms.get(plan_hash),
        )
        for (run, number, model, plan_hash), held in found.items()
    )


def participation_log(
    ledger: EgressLedger,
    *,
    known: Iterable[Terms] = (),
    times: Iterable[RoundTime] = (),
    phrases: Phrases = LOG,
) -> tuple[str, ...]:
    """A device's ledger in sentences, a paragraph a round; then what was shown and refused.

    Args:
        ledger: Of the device.
        known: As for `rounds_of`.
        times: As for `rounds_of`.
        phrases: The language.
    """
    said = [" ".join(_say(one, phrases)) for one in rounds_of(ledger, known=known, times=times)]
    shown = sum(line.step == Stage.HELLO for line in ledger.lines)
    if shown:
        said.append(phrases.say("key", count=shown))
    counts: Counter[tuple[str, str]] = Counter()
    for denial in _latest(ledger.denials):
        counts[str(denial.reason), denial.step or "?"] += denial.count
    said += [
        phrases.say(f"denied {reason}", count=count, step=step)
        for (reason, step), count in counts.items()
    ]
    return tuple(said)


def _say(one: Round, phrases: Phrases) -> list[str]:
    terms = one.terms
    where: Mapping[str, object] = {
        "when": phrases.say("unknown time") if one.at is None else iso(one.at),
        "round": one.round_number,
        "federation": phrases.say("unknown federation") if terms is None else terms.name,
        "server": phrases.say("unknown server") if terms is None else terms.server,
    }
    if one.model:
        return [phrases.say("model", **where)]
    said = [phrases.say("round", **where, messages=one.messages, bytes=one.size_bytes)]
    if not one.numbers:
        return [*said, phrases.say("no numbers")]
    said += [
        phrases.say(
            "numbers",
            step=line.step,
            bytes=line.bytes_per_message,
            fields=", ".join(line.fields),
        )
        for line in one.numbers
    ]
    return [*said, _bound(terms, phrases)]


def _bound(terms: Terms | None, phrases: Phrases) -> str:
    """What the server may learn: of all who get something of a round, it is closest to it."""
    if terms is None:
        return phrases.say("unknown bound")
    server = ADVERSARIES["A3"]
    once, most = next((once, most) for who, once, most in terms.epsilons if who == server)
    if once is None or most is None:
        return phrases.say("no bound", who=server)
    return phrases.say(
        "bound",
        who=server,
        epsilon=rounded_up(once)[0],
        most=rounded_up(most)[0],
        delta=f"{terms.delta:g}",
    )


def _latest(denials: Iterable[Denial]) -> Iterable[Denial]:
    """Of alike denials the last, which has the count."""
    kept = {(d.reason, d.step, d.fields, d.plan_hash, d.policy_hash): d for d in denials}
    return kept.values()
