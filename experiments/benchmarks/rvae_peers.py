"""AtomAI's rVAE and pyroVED's iVAE as a worker; runs in an environment of its own (atomai==0.8.1, pyroved==0.3.0).

    python rvae_peers.py atomai|pyroved

Started by `rvae_against_peers.py`. Both programs are driven through their documented entry points (`rVAE.fit`;
`SVItrainer.step`), as their own documentation does it for sub-images: 2 + 3 latents, two layers of 128 neurons besides
the one that takes the coordinates, batches of 100; AtomAI with mean squared error, Adam 1e-4 and a rotation prior of
pi/3; pyroVED with its Bernoulli likelihood, Adam 1e-3 and unit weight of the divergence. Neither normalises images;
they get them in 0..1, which pyroVED's likelihood needs. A clock ticks before each step; what it does itself (looks,
i.e. encoding and saving) is not counted, and neither are AtomAI's prints and saves after each epoch.
"""

import sys
import time
from pathlib import Path

import numpy as np
from worker_lines import claim_output, serve

WARM_STEPS = 3  # not counted in the throughput
EPOCHS = 1_000_000


class Finished(Exception):
    """The last look is taken."""


class Clock:
    """Seconds and steps of training alone, and looks at given seconds."""

    def __init__(self, looks, look):
        self.looks, self.look = list(looks), look
        self.began, self.away, self.stamps = None, 0.0, []

    def tick(self, encode):
        """Called before each step; `encode()` gives the latents as they are now."""
        now = time.monotonic()
        self.began = now if self.began is None else self.began
        spent = now - self.began - self.away
        self.stamps.append(spent)
        if self.looks and spent >= self.looks[0]:
            self.look(self.looks[0], spent, len(self.stamps) - 1, encode)
            self.looks = [t for t in self.looks if t > spent]
            self.away += time.monotonic() - now
        if not self.looks:
            raise Finished


def latents(mean, sd, size):
    """The peers' latents in this project's terms; both share the grid, the rotation and the order of latents.

    Their grid is (down, left), in units of half a window, and the decoder draws f(p R(phi) + dx) at grid point p, dx
    being 0.1 times a latent. So content turns counter-clockwise by phi, and its centre comes to lie at -dx R(phi)^T.
    """
    phi, (a, b), half = mean[:, 0], 0.1 * mean[:, 1:3].T, (size - 1) / 2
    cos, sin = np.cos(phi), np.sin(phi)
    shift = half * np.column_stack([b * cos - a * sin, -(a * cos + b * sin)])
    return {"angle": np.angle(np.exp(1j * phi)), "angle_sd": sd[:, 0], "shift": shift, "content": mean[:, 3:]}


def fit_atomai(images, seed, content_dim, batch, tick):
    """AtomAI's training, until the clock ends it."""
    import atomai

    class Watched(atomai.models.rVAE):
        """The rVAE with a clock before each step; it neither prints nor saves."""

        def forward_compute_elbo(self, *arguments, **options):
            tick(self.latents)
            return super().forward_compute_elbo(*arguments, **options)

        def latents(self):
            mean, log_sd = self.encode(images)
            return latents(mean, np.exp(log_sd), images.shape[1])

        def save_model(self, *arguments):
            pass

        def print_statistics(self, epoch):
            pass

    model = Watched(images.shape[1:], latent_dim=content_dim, seed=seed)
    model.fit(images, rotation_prior=np.pi / 3, training_cycles=EPOCHS, batch_size=batch)


def fit_pyroved(images, seed, content_dim, batch, tick):
    """The training of pyroVED, until the clock ends it."""
    import pyroved
    import torch

    data = torch.from_numpy(images)
    model = pyroved.models.iVAE(images.shape[1:], latent_dim=content_dim, invariances=["r", "t"], seed=seed)
    trainer = pyroved.trainers.SVItrainer(model, seed=seed)

    def encode():
        mean, sd = (part.numpy() for part in model.encode(data))
        return latents(mean, sd, images.shape[1])

    class Ticking(torch.utils.data.DataLoader):
        """A loader with a clock before each batch."""

        def __iter__(self):
            for rows in super().__iter__():
                tick(encode)
                yield rows

    loader = Ticking(torch.utils.data.TensorDataset(data), batch_size=batch, shuffle=True)
    for _ in range(EPOCHS):
        trainer.step(loader)


def in_unit_range(images):
    """As float32 from 0 to 1: as they are where they lie there, else stretched."""
    images = np.asarray(images, np.float32)
    low, high = images.min(), images.max()
    return images if low >= 0 and high <= 1 else (images - low) / (high - low)


def handlers(fit):
    """What the worker can do."""
    import torch

    def train(data, seed, content_dim, batch, looks, out):
        """Trains on a file; latents at each look go to OUT/look_I.npz."""
        taken = []

        def look(due, seconds, steps, encode):
            np.savez(Path(out) / f"look_{len(taken)}.npz", **encode())
            taken.append({"due": due, "seconds": seconds, "steps": steps})

        run(fit, in_unit_range(np.load(data)["images"]), seed, content_dim, batch, Clock(looks, look))
        return {"looks": taken}

    def throughput(size, batch, seconds, precision, images):
        """Images per second of training on noise."""
        torch.set_float32_matmul_precision("high" if precision == "tf32" else "highest")
        noise = np.random.default_rng(0).random((images, size, size), dtype=np.float32)
        clock = Clock([seconds], lambda *_: None)
        with torch.autocast("cuda" if torch.cuda.is_available() else "cpu", torch.bfloat16, precision == "bfloat16"):
            run(fit, noise, 0, 2, batch, clock)
        stamps = clock.stamps[WARM_STEPS:] if len(clock.stamps) > WARM_STEPS + 3 else clock.stamps
        return {"images_per_second": batch * (len(stamps) - 1) / (stamps[-1] - stamps[0]), "steps": len(stamps) - 1}

    def matrix(rows, inner, precision, seconds):
        """GFLOP/s of products (rows, inner) by (inner, inner), one after the other."""
        torch.set_float32_matmul_precision("high" if precision == "tf32" else "highest")
        device = "cuda" if torch.cuda.is_available() else "cpu"
        kind = {"device": device, "dtype": torch.bfloat16 if precision == "bfloat16" else torch.float32}
        x, w = torch.randn(rows, inner, **kind), torch.randn(inner, inner, **kind) / inner**0.5
        rates = []
        stop = time.monotonic() + seconds
        with torch.no_grad():
            while not rates or time.monotonic() < stop:
                begun, y = time.monotonic(), x
                for _ in range(16):
                    y = y @ w
                y[0, 0].item()
                rates.append(16 * 2e-9 * rows * inner * inner / (time.monotonic() - begun))
        return {"gflops": float(np.median(rates))}

    return {"train": train, "throughput": throughput, "matrix": matrix}


def run(fit, images, seed, content_dim, batch, clock):
    """A training that the clock ends."""
    try:
        fit(images, seed, content_dim, batch, clock.tick)
    except Finished:
        pass


def main(program):
    """Serves one of the two programs; importing it is part of its start."""
    import os
    import platform

    answers = claim_output()
    import torch

    if hasattr(os, "sched_getaffinity"):
        torch.set_num_threads(len(os.sched_getaffinity(0)))
    module = __import__(program)
    ready = {
        "program": program,
        "versions": {program: module.__version__, "torch": torch.__version__, "python": platform.python_version()},
        "threads": torch.get_num_threads(),
        "device": torch.cuda.get_device_name() if torch.cuda.is_available() else "cpu",
    }
    serve(answers, ready, handlers({"atomai": fit_atomai, "pyroved": fit_pyroved}[program]))


if __name__ == "__main__":
    main(sys.argv[1])
