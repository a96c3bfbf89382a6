"""Found classes against known kinds."""

from __future__ import annotations

import numpy as np
from jaxtyping import Int, Integer
from scipy.optimize import linear_sum_assignment


def class_table(
    found: Integer[np.ndarray, " n"], kind: Integer[np.ndarray, " n"], named: bool = False
) -> tuple[Int[np.ndarray, "k k"], Int[np.ndarray, " k"]]:
    """How many of each class are of each kind, the class of a kind in the kind's place.

    Args:
        found: numbers of classes.
        kind: numbers of kinds.
        named: whether a class has its kind's number; else classes are matched to kinds one to one, so that as many as
            possible are right.

    Returns:
        Rows of classes and columns of kinds, those right on the diagonal; and the class in each row. With fewer
        classes than kinds, or more, some are empty.
    """
    count = int(max(found.max(), kind.max())) + 1
    table = np.zeros((count, count), int)
    np.add.at(table, (found, kind), 1)
    order = np.arange(count) if named else linear_sum_assignment(-table.T)[1]
    return table[order], order


def class_accuracy(found: Integer[np.ndarray, " n"], kind: Integer[np.ndarray, " n"], named: bool = False) -> float:
    """Share in the class of their kind; `named` as in `class_table`."""
    table, _ = class_table(found, kind, named)
    return float(np.trace(table) / table.sum())
