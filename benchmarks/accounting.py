"""Every published number about accounting, with what is found here and the difference.

Other libraries (opacus, prv_accountant, autodp, gdpnum) are asked in the environment that `make
oracles` makes; what is missing there is said, with the reason. Prints tables and, as its last line,
one JSON object.
"""

import math
import operator
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from common import ask_oracles, finish, table

from privet.privacy.accounting.accountants import claimed_epsilon
from privet.privacy.accounting.calibration import calibrate_noise
from privet.privacy.accounting.events import (
    Event,
    FixedSizeGaussianEvent,
    GaussianEvent,
    PoissonGaussianEvent,
    RepeatedEvent,
    SamplingKind,
    SkellamEvent,
)
from privet.privacy.accounting.fourier import fourier_epsilon
from privet.privacy.accounting.gaussian import gaussian_epsilon
from privet.privacy.accounting.library import library_renyi_epsilon, loss_epsilon
from privet.privacy.accounting.matrix import normalised_rmse, strategy_coefficients
from privet.privacy.accounting.renyi import renyi_epsilon
from privet.privacy.contribution import NeighbouringRelation
from privet.privacy.encoding import Encoding

DELTA = 1e-6
REPLACE = NeighbouringRelation.REPLACE_ONE


@dataclass(frozen=True, kw_only=True)
class Anchor:
    """One published number.

    Attributes:
        name: What it is.
        expected: As published.
        tolerance: Largest difference that counts as reproduced; of its last digit, or more where
            the source's grid is coarser than ours.
        compute: What is found here.
    """

    name: str
    expected: float
    tolerance: float
    compute: Callable[[], float]


def poisson(
    sigma: float = 1.0,
    times: int = 1000,
    q: float = 0.01,
    relation: NeighbouringRelation = NeighbouringRelation.ZERO_OUT,
) -> list[Event]:
    """Poisson-sampled Gaussian releases."""
    event = PoissonGaussianEvent(
        noise_multiplier=sigma,
        sampling_probability=q,
        implemented=SamplingKind.POISSON,
        secret=True,
        relation=relation,
    )
    return [RepeatedEvent(event=event, times=times)]


def fixed() -> list[Event]:
    """A thousand releases over 100 out of 10,000."""
    event = FixedSizeGaussianEvent(
        noise_multiplier=1.0,
        cohort=100,
        population=10_000,
        implemented=SamplingKind.FIXED_SIZE,
        secret=True,
    )
    return [RepeatedEvent(event=event, times=1000)]


def gaussian(sigma: float, times: int) -> list[Event]:
    """Releases in which everyone takes part."""
    return [RepeatedEvent(event=GaussianEvent(noise_multiplier=sigma), times=times)]


def sampling_anchors() -> list[Anchor]:
    """Section 2: sampled and plain Gaussian releases."""
    found = [
        Anchor(name="PLD, grid 1e-4", expected=2.1245, tolerance=6e-5,
               compute=lambda: loss_epsilon(poisson(), DELTA, 1e-4)),
        Anchor(name="PLD, grid 1e-3", expected=2.1253, tolerance=6e-5,
               compute=lambda: loss_epsilon(poisson(), DELTA, 1e-3)),
        Anchor(name="PRV estimate (own Fourier estimate)", expected=2.1245, tolerance=6e-5,
               compute=lambda: fourier_epsilon(poisson(), DELTA, 20.0)),
        Anchor(name="RDP, library", expected=2.4367, tolerance=6e-5,
               compute=lambda: library_renyi_epsilon(poisson(), DELTA)),
        Anchor(name="RDP, ours (integer orders)", expected=2.4367, tolerance=5e-4,
               compute=lambda: renyi_epsilon(poisson(), DELTA)),
        Anchor(name="PLD, replace-one", expected=3.2142, tolerance=6e-5,
               compute=lambda: loss_epsilon(poisson(relation=REPLACE), DELTA, 1e-4)),
        Anchor(name="RDP, fixed size, library", expected=4.0212, tolerance=6e-5,
               compute=lambda: library_renyi_epsilon(fixed(), DELTA)),
        Anchor(name="RDP, fixed size, ours", expected=4.0212, tolerance=2e-4,
               compute=lambda: renyi_epsilon(fixed(), DELTA)),
        Anchor(name="no amplification, T=1000", expected=649.38509, tolerance=6e-6,
               compute=lambda: claimed_epsilon(gaussian(1.0, 1000), DELTA)),
        Anchor(name="mu = 2", expected=10.99715, tolerance=6e-6,
               compute=lambda: gaussian_epsilon(2.0, DELTA)),
        Anchor(name="q=1, T=10", expected=19.4237, tolerance=6e-5,
               compute=lambda: claimed_epsilon(poisson(times=10, q=1.0), DELTA)),
        Anchor(name="noise for epsilon 2", expected=1.0292, tolerance=3e-4,
               compute=lambda: calibrate_noise(lambda s: poisson(s)[0], epsilon=2.0, delta=DELTA,
                                               tolerance=1e-4)),
    ]  # fmt: skip
    for sigma, times, losses, renyi in [(1.0, 10_000, 6.911, 7.414), (0.5, 1000, 15.484, 17.568)]:
        events, name = poisson(sigma, times), f"sigma={sigma:g}, T={times}"
        for grid, tolerance in ((1e-3, 1.1e-3), (1e-4, 5e-3)):
            found.append(
                Anchor(name=f"PLD, {name}, grid {grid:g}", expected=losses, tolerance=tolerance,
                       compute=partial(loss_epsilon, events, DELTA, grid))
            )  # fmt: skip
        found.append(
            Anchor(name=f"RDP, {name}, library", expected=renyi, tolerance=6e-4,
                   compute=partial(library_renyi_epsilon, events, DELTA))
        )  # fmt: skip
    return found


def matrix_anchors() -> list[Anchor]:
    """Section 2: normalised RMSE of prefix sums over 1000 rounds."""
    rows = [
        (100, 10, 1, 70.7, 0.06), (100, 10, 1000, 15.7, 0.06), (100, 10, 100, 12.1, 0.06),
        (1000, 1, 1, 22.4, 0.06), (1000, 1, 1000, 3.1, 0.06),
        (20, 50, 1, 158, 0.6), (20, 50, 20, 46.3, 0.06),
    ]  # fmt: skip

    def error(separation: int, participations: int, bands: int, which: int) -> float:
        return normalised_rmse(
            strategy_coefficients(bands),
            rounds=1000,
            separation=separation,
            participations=participations,
        )[which]

    found = [
        Anchor(name=f"RMSE b={b}, k={k}, bands {bands}", expected=expected, tolerance=tolerance,
               compute=partial(error, b, k, bands, 0))
        for b, k, bands, expected, tolerance in rows
    ]  # fmt: skip
    for bands, expected in ((1, 100.0), (100, 15.7)):
        found.append(
            Anchor(name=f"largest error b=100, k=10, bands {bands}", expected=expected,
                   tolerance=0.06, compute=partial(error, 100, 10, bands, 1))
        )  # fmt: skip
    return found


def skellam_anchors() -> list[Anchor]:
    """Section 4: T = 100, z = 5, clip 1, beta = e^-1/2, 4 deviations in the modulus; dropout."""
    rows = [
        (100, 65_536, 12, 1.611, 21.519), (100, 65_536, 14, 1.050, 12.562),
        (100, 65_536, 16, 1.003, 11.910), (100, 65_536, 20, 1.000, 11.856),
        (1000, 65_536, 14, 1.078, 12.923), (1000, 65_536, 16, 1.005, 11.941),
        (1000, 65_536, 20, 1.000, 11.856), (1000, 1_048_576, 16, 1.050, 12.566),
        (1000, 1_048_576, 20, 1.000, 11.859),
    ]  # fmt: skip
    found = [
        Anchor(name="continuous Gaussian, RDP (integer orders)", expected=11.855, tolerance=6e-4,
               compute=lambda: renyi_epsilon(gaussian(5.0, 100), DELTA)),
        Anchor(name="continuous Gaussian, exact", expected=10.997, tolerance=6e-4,
               compute=lambda: claimed_epsilon(gaussian(5.0, 100), DELTA)),
    ]  # fmt: skip
    for devices, dimension, bits, inflation, epsilon in rows:
        scale = math.sqrt(((2**bits / 8) ** 2 - devices / 4) / (25 + devices**2 / dimension))
        encoding = Encoding(
            dimension=dimension,
            l2_clip_norm=1.0,
            devices=devices,
            scale=scale,  # type: ignore[arg-type]
        )
        event = SkellamEvent(
            l2_sensitivity=encoding.l2_bound,
            l1_sensitivity=encoding.l1_bound,
            variance=(5 * scale) ** 2,
            dimension=dimension,
        )
        name = f"n={devices}, d={dimension}, {bits} bits"
        found += [
            Anchor(name=f"inflation, {name}", expected=inflation, tolerance=6e-4,
                   compute=partial(operator.truediv, encoding.l2_bound, scale)),
            Anchor(name=f"Skellam, {name}", expected=epsilon, tolerance=1.5e-3,
                   compute=partial(renyi_epsilon, [event] * 100, DELTA)),
        ]  # fmt: skip
    for dropped, epsilon in ((0.0, 11.0), (0.1, 11.7), (0.3, 13.7), (0.5, 16.9)):
        found.append(
            Anchor(name=f"dropping {dropped:.0%}", expected=epsilon, tolerance=0.06,
                   compute=partial(gaussian_epsilon, 2 / math.sqrt(1 - dropped), DELTA))
        )  # fmt: skip
    return found


ORACLES = {
    ("opacus", "PRV"): 2.1346,
    ("opacus", "RDP"): 2.4367,
    ("opacus", "GDP (central limit)"): 1.8357,
    ("prv_accountant", "PRV lower"): 2.1145,
    ("prv_accountant", "PRV estimate"): 2.1245,
    ("prv_accountant", "PRV upper"): 2.1345,
    ("autodp", "RDP"): 2.4367,
    ("autodp", "RDP, fixed size"): 4.0212,
    ("gdpnum", "mu"): 0.4394,
    ("gdpnum", "regret"): 0.0064,
}
"""What other libraries were published to say; see `oracles.py`, which asks them."""
_ORACLE_TOLERANCE = 1.5e-4  # one of the last digit published


def compare_oracles() -> tuple[dict[str, float], list[str]]:
    """Print what other libraries say, with the difference; their figures and those not reproduced.

    A library that cannot be asked is news, not a failure.
    """
    rows, found, missed = [], {}, []
    for answer in ask_oracles("accounting"):
        if "error" in answer:
            rows.append((answer["library"], "-", "-", "-", "-", answer["error"]))
        for name, value in answer.get("figures", {}).items():
            published = ORACLES[answer["library"].split()[0], name]
            good = abs(value - published) <= _ORACLE_TOLERANCE
            found[f"{answer['library']}, {name}"] = round(value, 6)
            if not good:
                missed.append(f"{answer['library']}, {name}")
            rows.append((answer["library"], name, f"{published:g}", f"{value:.5f}",
                         f"{value - published:+.5f}", "yes" if good else "NO"))  # fmt: skip
    print("\nsigma=1, q=0.01, T=1000, delta=1e-6 by other libraries:")
    table(("library", "figure", "published", "found", "difference", "reproduced"), rows)
    return found, missed


def compare_claims(found: dict[str, float]) -> list[str]:
    """Print what is claimed here beside proven bounds from elsewhere; what would be too low."""
    losses = loss_epsilon(poisson(), DELTA, 1e-4)
    claims = {"Poisson": claimed_epsilon(poisson(), DELTA)}
    claims["loss distributions"], claims["own Renyi"] = losses, renyi_epsilon(poisson(), DELTA)
    floor = next((v for k, v in found.items() if k.endswith("PRV lower")), None)
    rows = [(f"ours, {name}", f"{value:.5f}", f"{value - losses:+.5f}")
            for name, value in claims.items()]  # fmt: skip
    limit = next((v for k, v in found.items() if "central limit" in k), 1.8357)
    rows.append(("central limit (invalid, not offered)", f"{limit:.5f}", f"{limit - losses:+.5f}"))
    if floor is not None:
        rows.append(
            ("proven lower bound, prv_accountant", f"{floor:.5f}", f"{floor - losses:+.5f}")
        )
    print("\nNothing that is claimed is below the loss distributions, nor a proven lower bound:")
    table(("epsilon", "value", "less loss distributions"), rows)
    least = max(losses, floor or 0.0)
    return [f"ours, {name}" for name, value in claims.items() if value < least - 1e-9]


def main() -> int:
    """Print all, 0 if every number is reproduced."""
    rows, missed, figures, worst = [], [], {}, 0.0
    for anchor in (*sampling_anchors(), *matrix_anchors(), *skellam_anchors()):
        start = time.perf_counter()
        found = anchor.compute()
        took = time.perf_counter() - start
        difference = found - anchor.expected
        good = abs(difference) <= anchor.tolerance
        worst = max(worst, abs(difference) / anchor.expected)
        figures[anchor.name] = round(found, 6)
        if not good:
            missed.append(anchor.name)
        rows.append((anchor.name, f"{anchor.expected:g}", f"{found:.5f}", f"{difference:+.5f}",
                     f"{took:.2f}", "yes" if good else "NO"))  # fmt: skip
    table(("number", "expected", "found", "difference", "seconds", "reproduced"), rows)
    others, unlike = compare_oracles()
    low = compare_claims(others)
    finish(
        {"reproduced": len(rows) - len(missed), "of": len(rows), "missed": missed,
         "largest_relative_difference": round(worst, 6), "oracles": others,
         "oracles_not_reproduced": unlike, "claims_too_low": low, "found": figures},
        passed=not (missed or unlike or low),
    )  # fmt: skip
    return 1 if missed or unlike or low else 0


if __name__ == "__main__":
    sys.exit(main())
