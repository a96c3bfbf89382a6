"""AtomAI's Segmentor on the benchmark's images; runs in an environment of its own (torch==2.13.0, atomai==0.8.1, six).

    python atomai_peer.py WORK SECONDS

Reads WORK/train.npz and WORK/sets.npz, trains for SECONDS of training alone (no test batches, no evaluation counted),
looks at the held-out images on the way, and writes all positions found to WORK/atomai.npz. Called by
`segmenter_against_atomai.py`.
"""

import json
import sys
import time
from pathlib import Path

import atomai
import numpy as np
import torch

BATCH, LOOKS = 8, 1.5  # images per step; each look is this many times as late as the one before


def per_frame(frames):
    """Each frame from 0 to 1, so that its neighbours in the stack do not matter."""
    low = np.quantile(frames, 0.01, axis=(1, 2), keepdims=True)
    high = np.quantile(frames, 0.995, axis=(1, 2), keepdims=True)
    return ((frames - low) / (high - low)).astype(np.float32)


def found(model, frames):
    """Rows of frame, x, y, class (1 C, 2 Si)."""
    _, coordinates = model.predict(per_frame(frames), verbose=False)
    rows = [np.column_stack([np.full(len(c), t), c[:, 1], c[:, 0], c[:, 2] + 1]) for t, c in coordinates.items()]
    return np.concatenate(rows) if rows else np.zeros((0, 4))


def main(work, seconds):
    """Trains, looks, predicts, times."""
    train = np.load(work / "train.npz")
    sets = np.load(work / "sets.npz")
    # AtomAI's locator takes the last class for the background: 0 is C, 1 Si, 2 background
    images, masks = train["images"][:, None], (train["masks"].astype(np.int64) - 1) % 3
    model = atomai.models.Segmentor("Unet", nb_classes=3)
    steps = 100_000
    model.compile_trainer(
        (images, masks, images[:BATCH], masks[:BATCH]), loss="ce", training_cycles=steps, batch_size=BATCH
    )
    out, times, spent, look = {}, [], 0.0, 10.0
    for step in range(steps):
        begun = time.monotonic()
        batch = model.batch_idx_train[step]
        model.train_step(*model.dataloader(batch, mode="train"))
        spent += time.monotonic() - begun
        if spent >= look or spent >= seconds:
            out[f"look_{len(times)}"] = found(model, sets["held_out"])
            times.append(spent)
            look *= LOOKS
        if spent >= seconds:
            break
    for name in sets.files:
        if name != "held_out" and name != "speed":
            out[name] = found(model, sets[name])
    per_second = {}
    for name, coordinates in (("maps", False), ("maps and positions", True)):
        model.predict(sets["speed"][:1], compute_coords=coordinates, verbose=False)
        frames, atoms = per_frame(sets["speed"]), 0
        begun = time.monotonic()
        for frame in frames:
            answer = model.predict(frame[None], compute_coords=coordinates, verbose=False)
            atoms += len(answer[1][0]) if coordinates else 0
        per_second[name] = len(frames) / (time.monotonic() - begun)
    np.savez_compressed(work / "atomai.npz", **out)
    facts = {"steps": step + 1, "seconds": spent, "look_seconds": times, "frames_per_second": per_second,
             "atoms_per_speed_frame": atoms / len(frames),
             "versions": {"atomai": atomai.__version__, "torch": torch.__version__}}  # fmt: skip
    (work / "atomai.json").write_text(json.dumps(facts, indent=2))


if __name__ == "__main__":
    main(Path(sys.argv[1]), float(sys.argv[2]))
