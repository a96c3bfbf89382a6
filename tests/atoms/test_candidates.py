"""The margin of the cheapest links against all ways to link."""

import itertools

import numpy as np

from rvaejax.atoms.candidates import Candidates


def all_ways(candidates):
    """Every one-to-one set of pairs with its cost."""
    n, m = len(candidates.alone_i), len(candidates.alone_j)
    cost = {(i, j): c for i, j, c in zip(candidates.i, candidates.j, candidates.cost, strict=True)}
    for count in range(min(n, m) + 1):
        for rows in itertools.combinations(range(n), count):
            for columns in itertools.permutations(range(m), count):
                pairs = list(zip(rows, columns, strict=True))
                if all(pair in cost for pair in pairs):
                    alone = np.delete(candidates.alone_i, rows).sum() + np.delete(candidates.alone_j, columns).sum()
                    yield pairs, sum(cost[pair] for pair in pairs) + alone


def some_candidates(rng):
    i, j = np.nonzero(rng.random((4, 4)) < 0.3)
    return Candidates(i, j, rng.uniform(0, 1, len(i)), rng.uniform(0.5, 1, 4), rng.uniform(0.5, 1, 4))


def test_the_margin_is_never_less_than_that_of_all_ways_and_mostly_the_same():
    """Chains in which more than two links change are not looked at, so that a margin may come out too large."""
    rng, same, count = np.random.default_rng(0), 0, 0
    for _ in range(60):
        candidates = some_candidates(rng)
        pairs = candidates.cheapest()
        ways = list(all_ways(candidates))
        least = min(cost for _, cost in ways)
        mine = list(zip(*pairs, strict=True))
        assert np.isclose(least, next(cost for way, cost in ways if sorted(way) == sorted(mine)))
        for (i, j), margin in zip(mine, candidates.margin(pairs), strict=True):
            # another partner for the one or for the other
            changed = [c for way, c in ways if any((p == i) != (q == j) for p, q in way)]
            exact = min(changed, default=np.inf) - least
            assert margin >= exact - 1e-9
            same, count = same + (margin == exact or np.isclose(margin, exact)), count + 1
    assert count > 100 and same / count > 0.7


def test_two_equal_ways_have_no_margin_and_a_lone_pair_an_infinite_one():
    ones = np.ones(3)
    candidates = Candidates(
        np.array([0, 0, 1, 1, 2]), np.array([0, 1, 0, 1, 2]), np.array([0.3, 0.3, 0.3, 0.3, 0.1]), ones, ones
    )
    np.testing.assert_allclose(candidates.margin(candidates.cheapest()), [0, 0, np.inf], atol=1e-12)
