"""Why a guarantee holds against an adversary, or why none does, in the words of the report."""

from privet.privacy.accounting.adversaries import Adversary, Guarantee, Trust
from privet.privacy.accounting.gaussian import gaussian_mu
from privet.privacy.report.claims import ADVERSARIES, AdversaryCode
from privet.privacy.report.sections import AdversaryGuarantee

_MECHANISMS = {
    Trust.CENTRAL: "clipped vectors, Gaussian noise added once by the server",
    Trust.SECURE_AGGREGATION: "clipped vectors, Skellam noise shares added by the devices, "
    "secure aggregation",
    Trust.LOCAL: "clipped vectors, Skellam noise added by the device to its own vector",
}

_ASSUMPTIONS = {
    Trust.CENTRAL: "the server adds the noise and keeps what it received to itself",
    Trust.SECURE_AGGREGATION: "enough devices add their noise share, and the server follows the "
    "protocol; in this simulation masks cancel exactly and are not run",
    Trust.LOCAL: "the user's own device adds its noise",
}

_NONE = {
    Adversary.CURIOUS_SERVER: "under central trust the server receives every vector without noise",
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
    Adversary.OTHER_CLIENT: "sees the released model and knows its own noise share",
    Adversary.CURIOUS_SERVER: "sees every sum, participation and timing",
    Adversary.MALICIOUS_SERVER: "sees each device's noisy vector",
    Adversary.COLLUDING_CLIENTS: "know the released model and their members' noise shares",
    Adversary.NETWORK: "sees each device's noisy vector at worst",
}


def describe(
    guarantee: Guarantee, trust: Trust, *, colluders: int, private: bool
) -> AdversaryGuarantee:
    """A guarantee with who, how, under which assumption and why.

    Args:
        guarantee: As accounted.
        trust: Of the plan.
        colluders: Devices assumed to reveal their noise shares.
        private: False if noise was seeded or absent, which voids every guarantee.
    """
    adversary = guarantee.adversary
    if guarantee.epsilon is None or guarantee.delta is None:
        unprotected = "there is no noise, or noise that others can recompute"
        reason = _NONE.get(adversary, unprotected) if private else unprotected
        mechanism, assumption, mu = "none", "none", None
    else:
        mechanism, assumption = _MECHANISMS[trust], _ASSUMPTIONS[trust]
        reason = _REASONS[adversary]
        if adversary in (Adversary.CURIOUS_SERVER, Adversary.COLLUDING_CLIENTS):
            assumption += f"; at most {colluders} devices reveal their noise shares"
        # One (epsilon, delta) proves no mu; only exact Gaussian composition has one.
        exact = trust is Trust.CENTRAL
        mu = gaussian_mu(guarantee.epsilon, guarantee.delta) if exact else None
    code: AdversaryCode = adversary.value
    return AdversaryGuarantee(
        adversary=code,
        who=ADVERSARIES[code],
        epsilon=guarantee.epsilon,
        delta=guarantee.delta,
        mu=mu,
        mechanism=mechanism,
        assumption=assumption,
        reason=reason,
    )
