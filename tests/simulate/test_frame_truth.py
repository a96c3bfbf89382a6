"""The truth of a frame: which atoms are in it, and that what is known of them comes along."""

import numpy as np

from rvaejax.simulate.truth import frame_truth, join_truth


def test_a_frames_truth_is_of_the_atoms_in_it():
    """Atoms outside the frame are left out but count as neighbours; so are hidden ones."""
    xy = np.array([[0.02, 0.5], [-0.1, 0.5], [0.5, 0.5], [0.62, 0.5], [0.979, 0.3]])
    hidden = np.zeros((50, 50), bool)
    hidden[20:30, 28:35] = True
    truth = frame_truth(3, np.arange(10, 15), xy, np.full(5, "C"), 50, 0.02, hidden)
    assert truth.identity.tolist() == [10, 12, 14] and truth.atoms.frame.tolist() == [3, 3, 3]
    assert truth.coordination.tolist() == [1, 1, 0]
    assert np.allclose(truth.atoms.x, [1, 25, 48.95]) and np.allclose(truth.atoms.y, [25, 25, 15])
    both = join_truth([truth, truth])
    assert len(both.atoms) == 6 and both.identity.tolist() == [10, 12, 14] * 2
    assert both.rings.shape == (6, 13) and (both.smallest_ring == 0).all() and both.crystallinity.shape == (6,)


def test_bonds_that_are_known_are_not_guessed():
    phi = np.arange(6) * np.pi / 3
    xy = 0.5 + 0.142 * np.column_stack([np.cos(phi), np.sin(phi)])
    ring = np.column_stack([np.arange(6), (np.arange(6) + 1) % 6])
    closed, open_ = (frame_truth(0, np.arange(6), xy, np.full(6, "C"), 50, 0.02, pairs=p) for p in (None, ring[:-1]))
    assert (closed.smallest_ring == 6).all() and (closed.coordination == 2).all()
    assert (open_.largest_ring == 0).all() and sorted(open_.coordination.tolist()) == [1, 1, 2, 2, 2, 2]
