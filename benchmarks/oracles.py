"""What other libraries say, as one JSON list; run in an environment that has them, not Privet's.

`python oracles.py accounting` answers for 1,000 Poisson-sampled Gaussian releases with noise
multiplier 1, sampling probability 0.01 and delta 1e-6. `python oracles.py tables` reads a table
from its input. Each line of the list has ``library`` and ``figures``, or ``library`` and ``error``.
"""

import importlib.metadata
import json
import sys
import warnings
from collections.abc import Callable
from typing import Any

SIGMA, Q, TIMES, DELTA = 1.0, 0.01, 1000, 1e-6
Figures = dict[str, float]


def opacus() -> Figures:
    """Opacus's three accountants; the third rests on a central limit theorem."""
    from opacus.accountants import GaussianAccountant, PRVAccountant, RDPAccountant

    found = {}
    kinds = {"PRV": PRVAccountant, "RDP": RDPAccountant, "GDP (central limit)": GaussianAccountant}
    for name, kind in kinds.items():
        accountant = kind()
        accountant.history = [(SIGMA, Q, TIMES)]
        found[name] = float(accountant.get_epsilon(DELTA))
    return found


def prv_accountant() -> Figures:
    """Lower bound, estimate and upper bound."""
    from prv_accountant import PoissonSubsampledGaussianMechanism, PRVAccountant

    mechanism = PoissonSubsampledGaussianMechanism(noise_multiplier=SIGMA, sampling_probability=Q)
    accountant = PRVAccountant(
        prvs=[mechanism], eps_error=0.01, delta_error=1e-9, max_self_compositions=[TIMES]
    )
    low, estimate, high = accountant.compute_epsilon(DELTA, [TIMES])
    return {"PRV lower": float(low), "PRV estimate": float(estimate), "PRV upper": float(high)}


def autodp() -> Figures:
    """RDP of Poisson samples, and of samples of fixed size under replace-one."""
    from autodp import mechanism_zoo, transformer_zoo

    found = {}
    for name, poisson in (("RDP", True), ("RDP, fixed size", False)):
        once = mechanism_zoo.GaussianMechanism(sigma=SIGMA)
        if not poisson:
            once.neighboring = "replace_one"
        sampled = transformer_zoo.AmplificationBySampling(PoissonSampling=poisson)(
            once, Q, improved_bound_flag=True
        )
        composed = transformer_zoo.Composition()([sampled], [TIMES])
        found[name] = float(composed.get_approxDP(DELTA))
    return found


def gdpnum() -> Figures:
    """The smallest mu that holds, and by how much the profile misses it."""
    from gdpnum import dpsgd

    mu, regret = dpsgd.get_mu_and_regret_for_dpsgd(
        noise_multiplier=SIGMA, sample_rate=Q, num_steps=TIMES
    )
    return {"mu": float(mu), "regret": float(regret)}


def pycanon() -> Figures:
    """Measures of the table on the input: columns by name, quasi-identifiers and what to measure."""
    import pandas
    from pycanon import anonymity

    table = json.load(sys.stdin)
    data, known = pandas.DataFrame(table["columns"]), table["quasi"]
    found = {"k": float(anonymity.k_anonymity(data, known))}
    for name in table["sensitive"]:
        one = [name]
        found[f"alpha, {name}"] = float(anonymity.alpha_k_anonymity(data, known, one)[0])
        found[f"distinct l, {name}"] = float(anonymity.l_diversity(data, known, one))
        found[f"entropy l, {name}"] = float(anonymity.entropy_l_diversity(data, known, one))
        found[f"t, {name}"] = float(anonymity.t_closeness(data, known, one))
    return found


KINDS: dict[str, tuple[Callable[[], Figures], ...]] = {
    "accounting": (opacus, prv_accountant, autodp, gdpnum),
    "tables": (pycanon,),
}


def main() -> int:
    """Ask every library of a kind; one that is missing or breaks is news, not a failure."""
    warnings.simplefilter("ignore")
    answers: list[dict[str, Any]] = []
    for ask in KINDS[sys.argv[1]]:
        name = ask.__name__
        try:
            version = importlib.metadata.version(name)
            answers.append({"library": f"{name} {version}", "figures": ask()})
        except Exception as error:  # noqa: BLE001 - whatever breaks there is its answer
            answers.append({"library": name, "error": f"{type(error).__name__}: {error}"})
    print(json.dumps(answers))
    return 0


if __name__ == "__main__":
    sys.exit(main())
