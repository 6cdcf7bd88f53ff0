"""From rows as a file has them to a data set: the step that all importers share."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from privet.models.catalogue import Catalogue
from privet.models.cohort import Cohort
from privet.simulations.data.dataset import Dataset, Problem, require_enough
from privet.simulations.data.text import natural_order


@dataclass(frozen=True, kw_only=True, eq=False)
class Events:
    """Well-formed rows of interactions, in the file's order, and the problems of the others.

    Attributes:
        user_ids: Distinct users, any order.
        users: Position in ``user_ids``, shape ``(rows,)``.
        item_ids: Distinct items, any order.
        items: Position in ``item_ids``, same shape.
        weights: Strengths above 0, same shape, or None.
        times: Unix seconds, 0 where unknown, same shape, or None.
        lines: Line of each row, same shape.
        problems: The rows that were not well-formed.
    """

    user_ids: list[str]
    users: NDArray[np.int64]
    item_ids: list[str]
    items: NDArray[np.int64]
    weights: NDArray[np.float64] | None = None
    times: NDArray[np.int64] | None = None
    lines: NDArray[np.int64]
    problems: tuple[Problem, ...] = ()

    @property
    def rows_read(self) -> int:
        """Rows in the file, well-formed or not."""
        return len(self.lines) + len(self.problems)


@dataclass(frozen=True, kw_only=True)
class People:
    """What a file of users says: identifiers in its order, attributes, unusable lines."""

    user_ids: tuple[str, ...] = ()
    attributes: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    problems: tuple[Problem, ...] = ()


@dataclass(frozen=True, kw_only=True, eq=False)
class Placed:
    """Events as positions: rows of users and columns of a catalogue.

    Attributes:
        catalogue: Given or inferred.
        people: All users: those of the file of users, then any others that have events.
        rows: Row of each event, shape ``(rows,)``.
        columns: Item index of each event, same shape; -1 where the catalogue lacks the item.
        problems: Unusable rows, by line.
    """

    catalogue: Catalogue
    people: People
    rows: NDArray[np.int64]
    columns: NDArray[np.int64]
    problems: tuple[Problem, ...]


def place(events: Events, *, catalogue: Catalogue | None, people: People | None) -> Placed:
    """Find the row and the column of every event.

    Args:
        events: Rows as read.
        catalogue: The items; None to infer them, which is stated in the catalogue.
        people: The users known beforehand, if any.

    Raises:
        InputError: There are no events.
    """
    if not len(events.lines):
        require_enough(users=0, items=0, rows_read=events.rows_read, problems=events.problems)
    if catalogue is None:
        catalogue = Catalogue(item_ids=natural_order(events.item_ids), declared_public=False)
    known = people or People()
    everyone = _with_newcomers(known, events.user_ids)
    row_of = {user: row for row, user in enumerate(everyone.user_ids)}
    rows = np.array([row_of[user] for user in events.user_ids], np.int64)[events.users]
    found = [catalogue.index(item) for item in events.item_ids]
    columns = np.array([-1 if index is None else index for index in found], np.int64)[events.items]
    unknown = [
        Problem(line=line, reason="the item is not in the catalogue")
        for line in events.lines[columns < 0].tolist()
    ]
    return Placed(
        catalogue=catalogue,
        people=everyone,
        rows=rows,
        columns=columns,
        problems=tuple(sorted([*events.problems, *unknown], key=lambda problem: problem.line)),
    )


def assemble(
    name: str,
    events: Events,
    *,
    catalogue: Catalogue | None = None,
    people: People | None = None,
    problems: tuple[Problem, ...] = (),
) -> Dataset:
    """Make a data set of rows as read; of a repeated pair the last in time counts.

    Args:
        name: The data set's name.
        events: Rows as read.
        catalogue: The items, or None to infer them.
        people: The users known beforehand, if any.
        problems: Those of the catalogue's file.

    Raises:
        InputError: Fewer than 2 users or 2 items with interactions.
    """
    placed = place(events, catalogue=catalogue, people=people)
    kept = placed.columns >= 0
    cohort = Cohort.from_pairs(
        placed.rows[kept],
        placed.columns[kept],
        n_users=len(placed.people.user_ids),
        n_items=len(placed.catalogue),
        weights=None if events.weights is None else events.weights[kept],
        times=None if events.times is None else events.times[kept],
    )
    return Dataset(
        name=name,
        catalogue=placed.catalogue,
        user_ids=placed.people.user_ids,
        cohort=cohort,
        problems=placed.problems + placed.people.problems + problems,
        rows_read=events.rows_read,
        attributes=placed.people.attributes,
    )


def _with_newcomers(people: People, user_ids: list[str]) -> People:
    """The known users, then those who have events but no line of their own."""
    newcomers = natural_order(set(user_ids).difference(people.user_ids))
    return People(
        user_ids=people.user_ids + newcomers,
        attributes={
            name: values + ("",) * len(newcomers) for name, values in people.attributes.items()
        },
        problems=people.problems,
    )
