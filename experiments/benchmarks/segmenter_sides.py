"""The two sides of the comparison of segmenters: what AtomAI is given and answers, and how fast this project is."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
from segmenter_sets import TRAIN_PX_NM, Shot, training_images
from skimage.transform import resize

from rvaejax.atoms.config import LocalisationConfig
from rvaejax.atoms.localise import find_atoms
from rvaejax.segmentation.predict import segment
from rvaejax.segmentation.weights import load_segmenter
from rvaejax.types import Atoms, Movie

PEER = Path(__file__).with_name("atomai_peer.py")


def save_training(work: Path, images: int) -> None:
    """The training images, where both find them."""
    train = training_images(images)
    np.savez(work / "train.npz", **{k: train[k] for k in ("images", "masks", "pixel_size_nm")})


def peer(python: Path, seconds: float, work: Path) -> dict[str, Any]:
    """Trains AtomAI for so long on what lies in a folder and lets it predict there: what it says of itself."""
    command = [str(python), str(PEER), str(work), str(seconds)]
    subprocess.run(command, check=True, stdout=sys.stderr)
    return json.loads((work / "atomai.json").read_text())


def peers_view(shot: Shot) -> tuple[np.ndarray, float]:
    """The frames at the pixel that AtomAI was trained at, in whole multiples of 8 px, and their scale."""
    size = shot.frames.shape[1]
    scale = shot.truth.pixel_size_nm / TRAIN_PX_NM
    side = round(size * scale)
    frames = shot.frames
    if side != size:
        small = side < size
        frames = np.stack([resize(frame, (side, side), order=3, anti_aliasing=small) for frame in frames])
    pad = -side % 8
    return np.pad(frames, ((0, 0), (0, pad), (0, pad)), mode="edge").astype(np.float32), side / size


def peers_atoms(rows: np.ndarray, shot: Shot, scale: float) -> Atoms:
    """AtomAI's rows of frame, x, y, class as atoms in the frames' own pixels."""
    x, y = ((rows[:, i] + 0.5) / scale - 0.5 for i in (1, 2))
    species = np.where(rows[:, 3] == 1, "C", "Si")
    ones = np.ones(len(rows))
    return Atoms(rows[:, 0].astype(int), x, y, species, ones, 0 * ones, shot.truth.pixel_size_nm)


def speed_frames(shot: Shot) -> np.ndarray:
    """Frames of 512 x 512 px, tiled from smaller ones."""
    return np.stack([np.tile(frame, (3, 3))[:512, :512] for frame in shot.frames])


def frames_per_second(frames: np.ndarray) -> dict[str, float]:
    """Frames of 512 x 512 px per second: maps alone, maps and positions in them, and refined positions."""
    out = {}
    movies_ = [Movie(frame[None], TRAIN_PX_NM, "option", name="speed") for frame in frames]
    whole = load_segmenter()
    for name, refine in (("maps", None), ("maps and positions", False), ("maps and refined positions", True)):
        for repeat, movie in enumerate([*movies_, *movies_]):  # once to compile for each number of atoms
            if repeat == len(movies_):
                begun = time.monotonic()
            maps = segment(movie, segmenter=whole)
            if refine is not None:
                find_atoms(maps, config=LocalisationConfig(refine=refine))
        out[name] = len(frames) / (time.monotonic() - begun)
    return out
