"""Classes against kinds: all matches tried one by one are the oracle."""

from itertools import permutations

import numpy as np
import pytest

from rvaejax.analysis.kinds import class_accuracy, class_table


@pytest.mark.parametrize(("classes", "kinds"), [(4, 4), (2, 4), (4, 2)])
def test_no_other_match_has_more_right(classes, kinds):
    rng = np.random.default_rng(classes)
    kind = rng.integers(0, kinds, 200)
    found = np.where(rng.random(200) < 0.5, rng.integers(0, classes, 200), (kind + 1) % classes)
    best = max(np.mean(np.array(order)[found] == kind) for order in permutations(range(4)))
    assert class_accuracy(found, kind) == pytest.approx(best)
    table, order = class_table(found, kind)
    assert table.sum() == 200 and sorted(order) == list(range(len(order)))
    for row, number in enumerate(order):
        assert (table[row] == np.bincount(kind[found == number], minlength=len(table))).all()


def test_named_classes_are_not_matched():
    kind = np.array([0, 0, 1, 1, 2])
    turned = (kind + 1) % 3
    assert class_accuracy(turned, kind) == 1.0
    assert class_accuracy(turned, kind, named=True) == 0.0
    assert class_table(turned, kind, named=True)[1].tolist() == [0, 1, 2]
