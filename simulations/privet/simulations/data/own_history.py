"""One person's own events, as a CSV file without a column of users."""

from dataclasses import replace
from pathlib import Path

import numpy as np

from privet.models.catalogue import Catalogue
from privet.models.cohort import Cohort
from privet.simulations.data.csv import read_table
from privet.simulations.data.text import parse_numbers, parse_times

_LATEST = 1e12  # seconds; not a number is not below it


def read_own_history(path: Path, catalogue: Catalogue, number: int) -> Cohort:
    """Read ``item_id,weight,datetime``; all but the first column optional.

    What is not in the catalogue, and rows whose weight or time is none, are left out: what a device
    holds is nobody's business, so not even how many these are is said.

    Args:
        path: The file, in UTF-8 with a header.
        catalogue: The federation's.
        number: The device's public number.

    Raises:
        InputError: The file or its ``item_id`` column is missing.
    """
    table = read_table(path, required=("item_id",), source="events")
    ids = table.column("item_id") or []
    weights, times = table.column("weight"), table.column("datetime")
    strengths = np.ones(len(ids)) if weights is None else parse_numbers(weights)
    seconds = np.zeros(len(ids)) if times is None else parse_times(times)
    found = np.array([-1 if (at := catalogue.index(i)) is None else at for i in ids], np.int64)
    usable = (found >= 0) & np.isfinite(strengths) & (strengths > 0) & (np.abs(seconds) < _LATEST)
    cohort = Cohort.from_pairs(
        np.zeros(int(usable.sum()), np.int64),
        found[usable],
        n_users=1,
        n_items=len(catalogue),
        weights=strengths[usable],
        times=seconds[usable].astype(np.int64),
    )
    return replace(cohort, devices=np.array([number], np.int64))
