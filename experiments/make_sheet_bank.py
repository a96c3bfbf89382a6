"""The sheets under the beam that ship with the package for training images (`rvaejax/simulate/sheets.npz`).

Claim: disorder as the beam makes it (holes with reconstructed edges, 5-7 chains, migrating vacancies, Si at edges)
comes at the price of a crop when the sheets are simulated once.

Command:    python experiments/make_sheet_bank.py --out rvaejax/simulate/sheets.npz
Wall time:  43 s on 2 CPU cores
Result:     109,066 atoms, 1.19 % of them Si, in 48 sheets of 8 nm; 0.54 MB
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

import jax
import numpy as np
import tyro

from rvaejax.io.files import atomic_path
from rvaejax.simulate.dynamics.bank import sheet_bank

UNIT_NM = 0.0002  # positions are stored in whole numbers of this: 0.2 pm


@dataclass(frozen=True)
class Options:
    """Simulates `sheets` sheets of `field_nm` side and writes their atoms."""

    out: Path
    sheets: int = 48
    field_nm: float = 8.0
    seed: int = 0


def main(options: Options) -> None:
    """Simulates and writes."""
    start = time.monotonic()
    sheets = jax.device_get(sheet_bank(options.sheets, options.field_nm, key=jax.random.key(options.seed)))
    count = sheets.mask.sum(1)
    xy, species = sheets.xy[sheets.mask], sheets.species[sheets.mask]
    with atomic_path(options.out) as path, open(path, "wb") as handle:
        np.savez_compressed(
            handle,
            xy=np.round(xy / UNIT_NM).astype(np.int32 if options.field_nm > 6 else np.int16),
            species=species.astype(np.int8),
            count=count.astype(np.int32),
            unit_nm=UNIT_NM,
            field_nm=options.field_nm,
        )
    print(f"{count.sum()} atoms ({species.mean():.2%} Si), {time.monotonic() - start:.0f} s")
    print(f"{options.out.stat().st_size / 1e6:.2f} MB")


if __name__ == "__main__":
    main(tyro.cli(Options))
