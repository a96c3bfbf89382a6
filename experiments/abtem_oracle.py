"""Probes, potentials and images by abTEM, as small arrays that the tests of `simulate/multislice` compare with.

For development only: needs an interpreter with abTEM 1.0 and nothing of this package. Potentials are Kirkland's with
infinite projection; they are computed on finer pixels and cut to the band that is used, since abTEM spreads an
atom linearly over the four pixels around it, which dims high angles.

Command:    python experiments/abtem_oracle.py tests/simulate/data/abtem.npz
Wall time:  3 minutes on 2 CPU cores
Result:     the arrays, 181 kB
"""

from __future__ import annotations

import sys

import abtem
import numpy as np
from ase import Atoms

KV, CONVERGENCE = 100, 30.0
DETECTORS = {"BF": (0, 15), "ABF": (15, 30), "ADF": (45, 90), "HAADF": (80, 200)}
ABERRATIONS = {  # nm, rad: every kind at once
    "none": {},
    "all": {"C10": -4.0, "C12": 1.5, "phi12": 0.4, "C21": 60.0, "phi21": 1.1, "C30": 2e3, "C50": 3e6},
}
FINER = 4  # pixels per axis out of which abTEM's potentials are cut
POTENTIAL_PX = 2  # potentials are stored with this many times fewer pixels per axis
PROBE_WAVES = 20  # Fourier coefficients of the probe that are stored: -20 to 20


def sheet(motif, numbers, heights, lattice, cells, seed):
    """(positions [nm], numbers, cell [nm]) of a right-angled cell of a hexagonal sheet, its atoms displaced."""
    a, b = lattice, lattice * np.sqrt(3)
    corners = np.array([[i * a, j * b] for i in range(cells[0]) for j in range(cells[1])])
    xy = (corners[:, None] + np.asarray(motif) * [a, b]).reshape(-1, 2)
    z = np.tile(heights, len(corners))
    positions = np.column_stack([xy, z])
    positions[:, :2] += 0.006 * np.random.default_rng(seed).normal(size=xy.shape)
    return positions, np.tile(numbers, len(corners)), (cells[0] * a, cells[1] * b)


def specimens():
    """Graphene with Si, and MoS2 whose planes are 0.1586 nm apart; the first plane is the first slice, so in focus."""
    honey = [(0, 0), (0.5, 1 / 6), (0.5, 0.5), (0, 2 / 3)]
    xyz, z, cell = sheet(honey, [6] * 4, [0.05] * 4, 0.246, (8, 5), 0)
    z[[60, 93]] = 14
    yield "graphene", xyz, z, (*cell, 0.1), 0.1, (336, 360), (42, 45)
    d = 0.1586
    both = [(0, 0), (0.5, 0.5), (0, 1 / 3), (0.5, 5 / 6), (0, 1 / 3), (0.5, 5 / 6)]
    planes = np.array([1.5, 1.5, 0.5, 0.5, 2.5, 2.5]) * d
    xyz, z, cell = sheet(both, [42, 42, 16, 16, 16, 16], planes, 0.316, (6, 4), 1)
    yield "mos2", xyz, z, (*cell, 3 * d), d, (320, 378), (40, 42)


def low_frequencies(image, shape):
    """A periodic image on fewer pixels, by cutting its Fourier transform."""
    spectrum = np.fft.fft2(image)
    rows, columns = (np.fft.fftfreq(n, 1 / n).astype(int) for n in shape)
    return np.fft.ifft2(spectrum[rows][:, columns]).real * (shape[0] * shape[1] / image.size)


def exact_potential(atoms, gpts, slice_thickness):
    """Kirkland's potential with infinite projection on `gpts` pixels, out of `FINER` times as many."""
    fine = abtem.Potential(
        atoms,
        gpts=[FINER * n for n in gpts],
        slice_thickness=1.001 * slice_thickness,  # else rounding makes one slice too many
        parametrization="kirkland",
        projection="infinite",
    ).build(lazy=False)
    slices = np.stack([low_frequencies(s, gpts) for s in fine.array]).astype(np.float32)
    sampling = [extent / n for extent, n in zip(fine.extent, gpts, strict=True)]
    return abtem.PotentialArray(slices, slice_thickness=fine.slice_thickness, sampling=sampling)


def main(out):
    """Computes and writes everything; positions and arrays in nm, rows along y."""
    arrays = {}
    for name, xyz, numbers, cell, slice_nm, gpts, scan in specimens():
        atoms = Atoms(numbers, positions=10 * xyz, cell=10 * np.array(cell), pbc=True)
        # twice the pixels that the tests use: abTEM's exponential of a strong potential aliases on few
        potential = exact_potential(atoms, [2 * n for n in gpts], 10 * slice_nm)
        probe = abtem.Probe(energy=1e3 * KV, semiangle_cutoff=CONVERGENCE)
        probe.grid.match(potential)
        detectors = [abtem.AnnularDetector(*angles) for angles in DETECTORS.values()]
        # lazily: all waves at once would not fit into memory
        grid = abtem.GridScan((0, 0), tuple(10 * np.array(cell[:2])), gpts=scan, endpoint=False)
        images = probe.scan(potential, scan=grid, detectors=detectors, lazy=True, max_batch=8)
        images = images.compute(progress_bar=False)
        stored = [n // POTENTIAL_PX for n in gpts[::-1]]
        arrays |= {
            f"{name}_positions": xyz.astype(np.float32),
            f"{name}_numbers": numbers.astype(np.int32),
            f"{name}_cell": np.float64(cell),
            f"{name}_grid": np.array(gpts[::-1]),
            f"{name}_potential": (low_frequencies(potential.array.sum(0).T, stored) / 10).astype(np.float16),  # V nm
            f"{name}_images": np.stack([np.asarray(i.array).T for i in images]).astype(np.float32),
        }
        print(name, [float(i.array.mean()) for i in images], flush=True)
    for name, nm in ABERRATIONS.items():
        aberrations = {k: v if k.startswith("phi") else 10 * v for k, v in nm.items()}
        probe = abtem.Probe(
            energy=1e3 * KV,
            semiangle_cutoff=CONVERGENCE,
            gpts=gpts,
            extent=[10 * c for c in cell[:2]],
            aberrations=aberrations,
        )
        wave = np.asarray(probe.build(scan=abtem.CustomScan([[0.0, 0.0]]), lazy=False).array).squeeze().T
        spectrum = np.fft.fft2(wave / np.sqrt((np.abs(wave) ** 2).sum())) / np.sqrt(wave.size)
        order = np.arange(-PROBE_WAVES, PROBE_WAVES + 1)
        arrays[f"probe_{name}"] = spectrum[order][:, order].astype(np.complex64)
    np.savez_compressed(out, detectors=np.array(list(DETECTORS.values())), **arrays)


if __name__ == "__main__":
    main(sys.argv[1])
