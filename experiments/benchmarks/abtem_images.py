"""Images of graphene by another program: abTEM's potentials, probes, PRISM scan and detector; ASE's Tersoff potential.

Needs an interpreter with abTEM 1.0 and nothing of this package. Each specimen (one or two grains, holes, vacancies, Si)
is relaxed by Tersoff's potential (Physical Review B 39, 5566, 1989), shrunk to graphene's measured bond, and scanned
under three settings of its microscope: near the best focus, and badly or very badly focused or astigmatic on purpose.

Command:    python experiments/benchmarks/abtem_images.py IMAGES.npz
Wall time:  10 minutes on 2 CPU cores with other work; called by segmenter_on_abtem.py
"""

from __future__ import annotations

import json
import sys
import time
from itertools import product

import abtem
import numpy as np
from ase import Atoms
from ase.calculators.tersoff import Tersoff, TersoffParameters
from ase.optimize import FIRE

FIELD, PAD = 30.0, 4.0  # [Å], of what is scored, and what lies around it
BOND, TERSOFF_BOND = 1.42, 1.4607  # [Å], measured, and that of the potential
CELLS_PER_WINDOW = 4  # PRISM's interpolation: the probe's window is this part of the cell
ONE = {  # Tersoff's parameters; energies [eV], lengths [Å]
    "C": {"A": 1393.6, "B": 346.74, "l1": 3.4879, "l2": 2.2119, "R": 1.8, "S": 2.1,
          "three": {"beta": 1.5724e-7, "n": 0.72751, "c": 38049.0, "d": 4.3484, "h": -0.57058}},
    "Si": {"A": 1830.8, "B": 471.18, "l1": 2.4799, "l2": 1.7322, "R": 2.7, "S": 3.0,
           "three": {"beta": 1.1e-6, "n": 0.78734, "c": 100390.0, "d": 16.217, "h": -0.59825}},
}  # fmt: skip
MIXED = 0.9776  # Tersoff's factor on the C-Si attraction
LONGER = 1.1  # C-Si: his flat Si-C3 is 1.63 Å, density functional theory has 1.7 to 1.8
# kV, mrad, detector [mrad], source and thermal motion together [Å], grains, holes, and three settings of defocus [Å],
# C12 [Å], its angle, C21 [Å]; the probe's peak falls to about 1, 0.6 and 0.35 of its best
SPECIMENS = (
    (60, 34, (60, 150), 0.30, 1, 1, ((0, 0, 0, 0), (-40, 0, 0, 0), (20, 30, 0.8, 0))),
    (60, 31, (80, 180), 0.26, 2, 1, ((10, 0, 0, 0), (0, 22, 0.5, 0), (15, 40, 1.9, 0))),
    (80, 32, (60, 150), 0.26, 1, 2, ((-15, 5, 1.2, 0), (20, 15, 0.9, 0), (-10, 32, 2.8, 0))),
    (100, 30, (70, 150), 0.32, 2, 0, ((0, 0, 0, 0), (0, 12, 1.4, 250), (15, 30, 0.1, 0))),
    (120, 28, (60, 120), 0.35, 1, 1, ((15, 0, 0, 0), (-10, 18, 0.2, 0), (-20, 30, 1.2, 0))),
    (200, 26, (50, 110), 0.35, 1, 2, ((0, 0, 0, 0), (25, 14, 2.4, 0), (10, 28, 0.6, 0))),
)


class Calculator(Tersoff):
    """ASE's, mended for an atom with one neighbour, where it divides by 0."""

    def _calc_bij_d(self, zeta, beta, n):
        return 0.0 if zeta == 0 else super()._calc_bij_d(zeta, beta, n)


def parameters(i, j, k):
    """Of the pair i-j beside the neighbour k."""
    a, b, c = ONE[i], ONE[j], ONE[k]
    inner, outer = np.sqrt(a["R"] * c["R"]), np.sqrt(a["S"] * c["S"])
    length, share = (1.0, 1.0) if i == j else (LONGER, MIXED)
    return TersoffParameters(
        m=3, gamma=1.0, lambda3=0.0, **a["three"], R=(inner + outer) / 2, D=(outer - inner) / 2,
        lambda1=(a["l1"] + b["l1"]) / 2 / length, lambda2=(a["l2"] + b["l2"]) / 2 / length,
        A=np.sqrt(a["A"] * b["A"]), B=share * np.sqrt(a["B"] * b["B"]),
    )  # fmt: skip


def lattice(rng, side, bond):
    """A honeycomb at a random angle and place that fills a square of `side` about the origin."""
    a, n = bond * np.sqrt(3), int(side / bond)
    i, j = np.mgrid[-n:n, -n:n].reshape(2, -1)
    corners = np.column_stack([a * (i + j / 2), a * np.sqrt(3) / 2 * j])
    xy = np.concatenate([corners, corners + [0, bond]]) + rng.uniform(-a, a, 2)
    phi = rng.uniform(0, 2 * np.pi)
    xy = xy @ np.array([[np.cos(phi), np.sin(phi)], [-np.sin(phi), np.cos(phi)]])
    return xy[np.abs(xy).max(1) < side / 2]


def distances(a, b):
    """All distances between two sets of points."""
    return np.hypot(*(a[:, None] - b[None]).transpose(2, 0, 1))


def sheet(rng, grains, holes):
    """(x, y) about the origin and species, not yet relaxed, in the potential's own lattice."""
    side = (FIELD + 2 * PAD - 2.0) * TERSOFF_BOND / BOND  # an edge of vacuum keeps the periodic images apart
    xy = lattice(rng, side, TERSOFF_BOND)
    if grains == 2:
        normal = rng.normal(size=2)
        normal /= np.hypot(*normal)
        other = lattice(rng, side, TERSOFF_BOND)
        xy, other = xy[xy @ normal < 0], other[other @ normal >= 0]
        xy = np.concatenate([xy, other[distances(other, xy).min(1) > 1.05]])
    for _ in range(holes):
        centre, radius, phase = rng.uniform(-9, 9, 2), rng.uniform(2.5, 5.0), rng.uniform(0, 6)
        d = xy - centre
        xy = xy[np.hypot(*d.T) > radius * (1 + 0.15 * np.cos(3 * np.arctan2(d[:, 1], d[:, 0]) + phase))]
    xy = xy[rng.random(len(xy)) > 0.008]
    for _ in range(3):  # nothing hangs on one bond
        xy = xy[((distances(xy, xy) < 1.8).sum(1) - 1) >= 2]
    bonds = (distances(xy, xy) < 1.8).sum(1) - 1
    within = np.abs(xy).max(1) < FIELD / 2
    chance = np.where(within, np.where(bonds < 3, 0.12, 0.006), 0.0)
    return xy, np.where(rng.random(len(xy)) < chance, "Si", "C")


def relaxed(xy, species, steps=70):
    """Positions [Å] after relaxation in the plane, with graphene's measured bond."""
    atoms = Atoms(list(species), np.column_stack([xy, np.zeros(len(xy))]))
    atoms.calc = Calculator({key: parameters(*key) for key in product(ONE, repeat=3)})
    FIRE(atoms, logfile=None, maxstep=0.1).run(fmax=0.1, steps=steps)
    return atoms.positions[:, :2] * BOND / TERSOFF_BOND


def images(xy, species, kv, mrad, detector, sigma, settings):
    """One image [fraction of the beam] of the whole periodic cell for each setting, at the scan's own step."""
    cell = FIELD + 2 * PAD
    atoms = Atoms(list(species), np.column_stack([xy + cell / 2, np.full(len(xy), 0.5)]), cell=[cell, cell, 1.0])
    wave = abtem.core.energy.energy2wavelength(kv * 1e3)
    sampling = 1 / (3.0 * 1.02 * (detector[1] + mrad) * 1e-3 / wave)  # Nyquist's, and a third for aliasing
    potential = abtem.Potential(atoms, sampling=sampling, slice_thickness=1.0, parametrization="kirkland")
    matrix = abtem.SMatrix(
        potential=potential, energy=kv * 1e3, semiangle_cutoff=mrad, interpolation=CELLS_PER_WINDOW
    ).build(lazy=False)
    steps = int(np.ceil(cell * 4.2e-3 * mrad / wave))
    grid = abtem.GridScan((0, 0), (cell, cell), gpts=(steps, steps), endpoint=False)
    for defocus, c12, phi12, c21 in settings:
        ctf = abtem.CTF(
            energy=kv * 1e3, semiangle_cutoff=mrad,
            aberration_coefficients={"C10": -defocus, "C12": c12, "phi12": phi12, "C21": c21},
        )  # fmt: skip
        scanned = matrix.reduce(scan=grid, detectors=abtem.AnnularDetector(*detector), ctf=ctf)
        yield np.asarray(scanned.gaussian_filter(sigma, boundary="periodic").array, float).T


def main(out):
    """Computes everything; positions and lengths in nm, x to the right, y down, the first pixel's centre at 0."""
    stored, facts = {}, []
    for number, (kv, mrad, detector, sigma, grains, holes, settings) in enumerate(SPECIMENS):
        began = time.monotonic()
        xy, species = sheet(np.random.default_rng(100 + number), grains, holes)
        xy = relaxed(xy, species)
        between = time.monotonic()
        for setting, image in enumerate(images(xy, species, kv, mrad, detector, sigma, settings)):
            stored[f"image_{number}_{setting}"] = image.astype(np.float32)
        stored[f"xy_nm_{number}"] = (xy + FIELD / 2 + PAD) / 10
        stored[f"species_{number}"] = species
        facts.append({"atoms": len(xy), "relaxation s": between - began, "images s": time.monotonic() - between})
        print(json.dumps(facts[-1]), image.shape, f"{image.max():.2e}", flush=True)
    np.savez_compressed(out, field_nm=FIELD / 10, pad_nm=PAD / 10, settings=json.dumps(SPECIMENS), **stored)


if __name__ == "__main__":
    main(sys.argv[1])
