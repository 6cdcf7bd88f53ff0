"""How the code behind a run is made, as far as it carries the claim."""

from collections.abc import Mapping
from dataclasses import dataclass

from privet.privacy.accounting.adversaries import Trust
from privet.privacy.report.view import LedgerView


@dataclass(frozen=True, kw_only=True)
class Security:
    """What the implementation does, and what it is known not to do.

    Attributes:
        generators: Where randomness comes from, by what it is for.
        constant_size: Whether a message's size tells nothing about a history.
        message_sizes: The same in words.
        floats: How the released path avoids floating point.
        limitations: What is known not to be covered.
    """

    generators: Mapping[str, str]
    constant_size: bool
    message_sizes: str
    floats: str
    limitations: tuple[str, ...]


_SECRET = "ChaCha20 streams under a key from the operating system, a stream for each purpose"
_SEEDED = "ChaCha20 streams under a seed that others may know: NOT PRIVATE"
_MASKS = "ChaCha20 under 256-bit keys that two devices agree on (X25519)"
_FLOATS = (
    "vectors are clipped as floats, rounded to integers within a proven bound, and summed as "
    "integers; {noise}; floating point comes after the noisy sums only, as post-processing"
)
_INTEGERS = "noise is drawn as integers by exact samplers"
_NONE = "no noise is added"
_LIMITATIONS = (
    "The time that a device takes to answer is not hidden, nor that it refuses.",
    "Samplers are tested against their exact distributions, and not proven in a proof assistant.",
    "Memory is not protected from the operating system or from other code in the same process.",
    "The toolkit was not audited by anyone outside of its project.",
)
_SIMULATED = "Masks of secure aggregation were not made: their effect was simulated."


def security(view: LedgerView) -> Security:
    """The section, from a run's ledger."""
    noise = _SEEDED if view.randomness == "seeded" else _SECRET
    masked = view.protocol is not None or bool(view.rounds)
    generators = {"noise": noise if view.noisy else "none", "rounding": noise}
    if masked:
        generators["masks"] = _MASKS
    simulated = view.trust is Trust.SECURE_AGGREGATION and not masked
    return Security(
        generators=generators,
        constant_size=True,
        message_sizes="every message of a step has the same fields and the same size, whatever the "
        "history, also if it is empty; the gate refuses any other",
        floats=_FLOATS.format(noise=_INTEGERS if view.noisy else _NONE),
        limitations=(*((_SIMULATED,) if simulated else ()), *_LIMITATIONS),
    )
