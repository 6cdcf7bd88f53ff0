"""k, l, t and alpha of random tables, by Privet and by pycanon.

pycanon is asked in the environment that `make oracles` makes. Prints a table and, as its last
line, one JSON object.
"""

import json
import math
import sys
from dataclasses import dataclass
from typing import Any

import numpy as np
from common import ask_oracles, finish, table

from privet.privacy.anonymization import measures
from privet.privacy.anonymization.measures import Distance
from privet.privacy.anonymization.tables import Table

QUASI = ("age", "region")
TEXT, NUMBER = "diagnosis", "income"


@dataclass(frozen=True, kw_only=True)
class World:
    """A random table: two quasi-identifiers, a sensitive text and a sensitive number."""

    rows: int
    values: int
    seed: int

    def columns(self) -> dict[str, list[Any]]:
        """By name."""
        rng = np.random.default_rng(self.seed)
        return {
            "age": rng.integers(0, 4, self.rows).tolist(),
            "region": [f"r{n}" for n in rng.integers(0, 3, self.rows)],
            TEXT: [f"d{n}" for n in rng.geometric(0.4, self.rows) % self.values],
            NUMBER: rng.integers(0, self.values, self.rows).tolist(),
        }


def ours(columns: dict[str, list[Any]]) -> dict[str, float]:
    """Privet's figures under the names of `oracles.pycanon`."""
    found = {}
    for name, distance in ((TEXT, Distance.EQUAL), (NUMBER, Distance.ORDERED)):
        chosen = {key: columns[key] for key in (*QUASI, name)}
        one = Table.of(chosen, quasi_identifiers=QUASI, sensitive=name)
        found["k"] = float(measures.k_anonymity(one))
        found[f"alpha, {name}"] = measures.alpha(one)
        found[f"distinct l, {name}"] = float(measures.distinct_l_diversity(one))
        # pycanon rounds down to a whole number.
        found[f"entropy l, {name}"] = float(math.floor(measures.entropy_l_diversity(one) + 1e-9))
        found[f"t, {name}"] = measures.t_closeness(one, distance)
    return found


def main() -> int:
    """Print all, 0 if every figure agrees or pycanon is not there."""
    rows, differ, asked = [], [], 0
    for world in (World(rows=60, values=3, seed=1), World(rows=400, values=5, seed=2),
                  World(rows=2000, values=9, seed=3)):  # fmt: skip
        columns = world.columns()
        question = json.dumps({"columns": columns, "quasi": QUASI, "sensitive": [TEXT, NUMBER]})
        (answer,) = ask_oracles("tables", question)
        if "error" in answer:
            print(f"{answer['library']}: {answer['error']}")
            break
        mine = ours(columns)
        for name, theirs in answer["figures"].items():
            asked += 1
            good = math.isclose(mine[name], theirs, rel_tol=1e-9, abs_tol=1e-12)
            if not good:
                differ.append(f"{world.rows} rows, {name}")
            rows.append((answer["library"], world.rows, name, f"{theirs:.6f}", f"{mine[name]:.6f}",
                         f"{mine[name] - theirs:+.1e}"))  # fmt: skip
    table(("library", "rows", "measure", "theirs", "ours", "difference"), rows)
    finish({"compared": asked, "differ": differ}, passed=not differ)
    return 1 if differ else 0


if __name__ == "__main__":
    sys.exit(main())
