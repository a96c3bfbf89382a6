"""Small trainings on as many devices as JAX_NUM_CPU_DEVICES says; prints what came of them as JSON."""

import json
from dataclasses import replace

import jax
import numpy as np

from rvaejax.rvae import preset
from rvaejax.rvae.config import Classes, MLPEncoder, SpatialDecoder
from rvaejax.rvae.model import encode, train
from rvaejax.training import devices, loop
from rvaejax.types import SubImages

N, SIZE = 90, 12
SHORT = {"steps": 8, "batch_size": 24, "piece": 4, "evaluate_every": 4}


def subimages():
    """Two spots at every angle, and noise."""
    rng = np.random.default_rng(0)
    angle = rng.uniform(-np.pi, np.pi, N)
    y, x = np.mgrid[:SIZE, :SIZE] / (SIZE / 2) - 1 + 1 / SIZE
    spots = [(0.5 * np.cos(angle), 0.5 * np.sin(angle)), (0 * angle, 0 * angle)]
    images = sum(np.exp(-((x - a[:, None, None]) ** 2 + (y + b[:, None, None]) ** 2) / 0.08) for a, b in spots)
    images = (images + rng.normal(0, 0.02, images.shape)).astype(np.float32)[..., None]
    return SubImages(images, np.zeros(N, int), np.zeros(N), np.zeros(N), np.full(N, "C"), np.arange(N))


def cases():
    """Configurations, and further arguments of the training."""
    default, paper = preset("default"), preset("paper")
    default = replace(default, training=replace(default.training, **SHORT))
    decoder = SpatialDecoder(hidden=16, layers=3)
    paper = replace(paper, encoder=MLPEncoder(hidden=16), decoder=decoder, training=replace(paper.training, **SHORT))
    return {
        "ascent": (replace(default, training=replace(default.training, patience=2)), {}),
        "classes": (replace(default, classes=Classes(count=2)), {}),
        "pieces": (paper, {"seeds": 2}),
    }


def main():
    """Trains each case and tells its bounds and latents, and in how many forms its steps were compiled."""
    jax.config.update("jax_disable_most_optimizations", True)  # they run for a moment only
    found, made = {}, []
    make_piece = loop.make_piece

    def noted(*arguments):
        made.append(make_piece(*arguments))
        return made[-1]

    loop.make_piece = noted
    for name, (config, further) in cases().items():
        trained = train(subimages(), config=config, seed=0, **further)
        latents = encode(trained, subimages(), batch_size=32)
        found[name] = {
            "elbo": [row["elbo"] for row in trained.history if "elbo" in row],
            "held out": [row["holdout_elbo"] for row in trained.history if "holdout_elbo" in row],
            "angle": latents.angle.tolist(),
            "content": latents.content.tolist(),
            "factor": trained.angle_sd_factor,
            "compiled": made[-1]._cache_size() if hasattr(made[-1], "_cache_size") else 1,
        }
    everywhere = devices.everywhere(np.ones((1000, 1000), np.float32), devices.mesh(24))
    copies = len({part.data.unsafe_buffer_pointer() for part in everywhere.addressable_shards})
    used = {batch: devices.parts(devices.mesh(batch)) for batch in (24, 100, 7)}
    print(json.dumps({"used": used, "copies": copies, "trained": found}))


if __name__ == "__main__":
    main()
