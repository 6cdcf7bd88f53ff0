"""Why a guarantee holds against an adversary, or why none does, in the words of the report."""

from privet.privacy.accounting.adversaries import Adversary, Guarantee, Trust
from privet.privacy.accounting.profile import PrivacyProfile
from privet.privacy.report.claims import ADVERSARIES, AdversaryCode
from privet.privacy.report.sections import AdversaryGuarantee
from privet.privacy.secagg.agreed import ProtocolTerms

_MECHANISMS = {
    Trust.CENTRAL: "clipped vectors, Gaussian noise added once by the server",
    Trust.SECURE_AGGREGATION: "clipped vectors, Skellam noise shares added by the devices, "
    "secure aggregation",
    Trust.LOCAL: "clipped vectors, Skellam noise added by the device to its own vector",
}

_ASSUMPTIONS = {
    Trust.CENTRAL: "the server adds the noise and keeps what it received to itself",
    Trust.SECURE_AGGREGATION: "enough devices add their noise share, and the server follows the "
    "protocol",
    Trust.LOCAL: "the user's own device adds its noise",
}

_SIMULATED = "; in this simulation masks cancel exactly and are not run"
_RUN = "; masks were run for real, with no more corrupt devices than assumed"
_CERTIFIED = (
    "identities are certified by the holder of key {key}…, who is not the server{simulated}; at most "
    "{corrupt} certified devices are corrupt in all; devices count each participation before its "
    "vector leaves and stop at {times} for each step; no graph of a round that they start fails, "
    "which has a probability below 2^{failure:g} for each start, beside delta"
)
_NOBODY = (
    ": here the key is the one of simulations, whose secret everyone knows, so this is what a "
    "deployment with a certifier would have, and not what this simulation has"
)
_PROVOKED = (
    "may send any model, drop any device and start any round: counted is all that a device could be "
    "made to take part in, with the fewest survivors. It chooses the models and item features, so "
    "what it can make a model learn is bounded by epsilon, but not prevented; nor is poisoning"
)
_CENTRAL_SERVER = "under central trust the server receives every vector without noise"

_NONE = {
    Adversary.CURIOUS_SERVER: _CENTRAL_SERVER,
    Adversary.MALICIOUS_SERVER: "identities are not certified by anyone but the server, so it "
    "could invent all other devices; only trust 'local' answers this",
    Adversary.APP_DEVELOPER: "the app records the events itself, under any trust",
    Adversary.DEVICE_LOCAL: "whoever holds the unlocked device can read its history; that is a "
    "matter of storage encryption, not of this guarantee",
    Adversary.NETWORK: "participation, timing and sizes are visible; contents rest on transport "
    "encryption, which a simulation does not have",
}

_REASONS = {
    Adversary.MODEL_CONSUMER: "sees the released model only; no amplification is claimed",
    Adversary.OTHER_CLIENT: "sees the released model",
    Adversary.CURIOUS_SERVER: "sees every sum, participation and timing",
    Adversary.COLLUDING_CLIENTS: "know the released model",
}

_OWN_SHARES = {
    Adversary.OTHER_CLIENT: "sees the released model and knows its own noise share",
    Adversary.COLLUDING_CLIENTS: "know the released model and their members' noise shares",
}

_OWN_VECTORS = {
    Adversary.CURIOUS_SERVER: "sees each device's noisy vector, participation and timing",
    Adversary.MALICIOUS_SERVER: "sees each device's noisy vector, whoever the others are",
    Adversary.NETWORK: "sees each device's noisy vector at worst",
}

_SPECIAL_REASONS: dict[Trust, dict[Adversary, str]] = {
    Trust.CENTRAL: {},
    Trust.SECURE_AGGREGATION: _OWN_SHARES,
    Trust.LOCAL: _OWN_VECTORS,
}

_UNPROTECTED = "there is no noise, or noise that others can recompute"
_AMPLIFIED = (
    "sees the released model only, takes part in no round and is told nothing of the cohorts; "
    "amplification by Poisson sampling is counted"
)
_COLLUDING = frozenset({Adversary.CURIOUS_SERVER, Adversary.COLLUDING_CLIENTS})


def describe(
    guarantee: Guarantee,
    trust: Trust,
    profile: PrivacyProfile | None,
    *,
    colluders: int,
    private: bool,
    protocol: ProtocolTerms | None = None,
    min_survivors: int = 0,
    masked: bool = False,
    amplified: bool = False,
) -> AdversaryGuarantee:
    """A guarantee with who, how, under which assumption and why.

    Args:
        guarantee: As accounted.
        trust: Of the plan.
        profile: Of what this adversary sees; None where nothing is guaranteed.
        colluders: Devices assumed to reveal their noise shares.
        private: False if noise was seeded or absent, which voids every guarantee.
        protocol: What the plan says of secure aggregation; None where it is simulated or not used.
        min_survivors: Fewest devices in a sum.
        masked: Whether the protocol was run.
        amplified: Whether the server drew cohorts by coins and keeps them to itself.
    """
    adversary = guarantee.adversary
    if guarantee.epsilon is None or guarantee.delta is None:
        mechanism, assumption = "none", "none"
        reason = _no_guarantee(adversary, trust) if private else _UNPROTECTED
    else:
        mechanism, assumption = _MECHANISMS[trust], _ASSUMPTIONS[trust]
        reason = (_REASONS | _SPECIAL_REASONS[trust]).get(adversary, "")
        if trust is Trust.SECURE_AGGREGATION:
            assumption += _RUN if masked else _SIMULATED
            if adversary in _COLLUDING:
                assumption += f"; noise shares revealed by at most {colluders} of them"
        if adversary is Adversary.MALICIOUS_SERVER and protocol is not None:
            assumption, reason = _certified(protocol, min_survivors), _PROVOKED
        if amplified and adversary is Adversary.MODEL_CONSUMER:
            assumption += "; it keeps who was drawn, and how many, to itself as well"
            reason = _AMPLIFIED
    code: AdversaryCode = adversary.value
    return AdversaryGuarantee(
        adversary=code,
        who=ADVERSARIES[code],
        epsilon=guarantee.epsilon,
        delta=guarantee.delta,
        mu=None if profile is None else profile.mu,
        mu_kind=None if profile is None else profile.mu_kind,
        mechanism=mechanism,
        assumption=assumption,
        reason=reason,
    )


def _certified(protocol: ProtocolTerms, min_survivors: int) -> str:
    """All that a guarantee against a malicious server rests on."""
    return _CERTIFIED.format(
        key=(protocol.certifier_key or "")[:16],
        simulated=_NOBODY if protocol.simulated_certifier else "",
        corrupt=protocol.corrupt(min_survivors),
        times=protocol.max_participations,
        failure=protocol.log2_failure(),
    )


def _no_guarantee(adversary: Adversary, trust: Trust) -> str:
    if trust is Trust.CENTRAL and adversary is Adversary.MALICIOUS_SERVER:
        return _CENTRAL_SERVER
    return _NONE.get(adversary, _UNPROTECTED)
