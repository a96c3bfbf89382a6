"""pyroVED's iVAE, jiVAE and ssiVAE as a worker; runs in an environment of its own (pyroved==0.3.0).

    python priors_peers.py

Started by `priors_against_pyroved.py`. Each is built and trained as its docstring shows, with rotations and shifts, two
continuous latents, batches of 100 and the trainers' own learning rates: jiVAE with exact enumeration, and either all
divergences at weight 1 or the docstring's schedule (continuous 40, falling to 3 over 40 epochs from the tenth on;
discrete 3); ssiVAE with the auxiliary loss at 50. Its labelled rows come in batches of 10, not 100, so that an epoch
has several steps with labels, not one. A look comes at an epoch's end: it may have an epoch more than was due.
"""

import time

import numpy as np
from rvae_peers import in_unit_range, latents
from worker_lines import claim_output, serve

HELD, FALL, FIRST, LAST = 10, 40, 40.0, 3.0  # the documented schedule of jiVAE
AUXILIARY = 50
LABELLED_BATCH = 10
FLAT = 1e-3  # a loss that falls by a smaller share of itself stands still


def falling(epoch):
    """The documented weights [continuous, discrete] of jiVAE's divergences."""
    left = 1 - min(max(epoch - HELD, 0) / (FALL - 1), 1)
    return [LAST + (FIRST - LAST) * left, LAST]


class Training:
    """One model: `epoch()` trains, `loss()` is the last epoch's, `encode()` gives what is scored."""

    def __init__(self, model, images, kinds, known, seed, batch):
        import pyroved as pv
        import torch

        self.data, self.epochs, self.name, size = torch.from_numpy(images), 0, model, images.shape[1:]
        self.size, loader = images.shape[1], pv.utils.init_dataloader
        shared = {"latent_dim": 2, "invariances": ["r", "t"], "seed": seed}
        if model == "ssiVAE":
            rows, classes = (torch.tensor(column) for column in zip(*known, strict=True))
            rest = np.setdiff1d(np.arange(len(images)), rows.numpy())
            self.data = self.data.flatten(1)  # as this one takes images
            self.net = pv.models.ssiVAE(size, num_classes=kinds, **shared)
            self.trainer = pv.trainers.auxSVItrainer(self.net, task="classification", seed=seed)
            one_hot = pv.utils.to_onehot(classes, kinds)
            labelled = loader(self.data[rows], one_hot, batch_size=LABELLED_BATCH)
            self.loaders = (loader(self.data[rest], batch_size=batch), labelled)
        elif model.startswith("jiVAE"):
            self.net = pv.models.jiVAE(size, discrete_dim=kinds, **shared)
            self.trainer = pv.trainers.SVItrainer(self.net, enumerate_parallel=True, seed=seed)
            self.loaders = (loader(self.data, batch_size=batch),)
        else:
            self.net = pv.models.iVAE(size, **shared)
            self.trainer = pv.trainers.SVItrainer(self.net, seed=seed)
            self.loaders = (loader(self.data, batch_size=batch),)

    def epoch(self):
        """Trains on every row once."""
        further = {"aux_loss_multiplier": AUXILIARY} if self.name == "ssiVAE" else {}
        if self.name == "jiVAE, schedule":
            further["scale_factor"] = falling(self.epochs)
        self.trainer.step(*self.loaders, **further)
        self.epochs += 1

    def settled(self):
        """Whether the loss is by now of the same thing in every epoch."""
        return self.name != "jiVAE, schedule" or self.epochs > HELD + FALL

    def loss(self):
        """Of the last epoch, per row."""
        history = self.trainer.history if self.name == "ssiVAE" else self.trainer.loss_history
        return history["training_loss"][-1]

    def encode(self):
        """Latents in this project's terms, and classes where there are such."""
        if self.name == "ssiVAE":
            return {"class": self.net.classifier(self.data).numpy()}
        mean, sd, *classes = self.net.encode(self.data)
        further = {"class": classes[0].numpy()} if classes else {}
        return {**latents(mean.numpy(), sd.numpy(), self.size), **further}


def train(model, data, kinds, known, seed, batch, due, longest, patience, out):
    """Trains to a look after `due` seconds and one when the loss stands still for `patience` epochs, or `longest`.

    Args:
        model: iVAE, jiVAE, "jiVAE, schedule" or ssiVAE.
        data: file with `images`.
        kinds: number of classes.
        known: [[row, class], ...] that ssiVAE is told.
        seed: of the training.
        batch: rows of a step.
        due: seconds of this call until the first look; None for the last look only.
        longest: seconds of this call until the last.
        patience: epochs.
        out: OUT-0.npz and OUT-1.npz are written.
    """
    began, away, due = time.monotonic(), 0.0, float("inf") if due is None else due
    training = Training(model, in_unit_range(np.load(data)["images"]), kinds, known, seed, batch)
    looks, level, since = [], float("inf"), 0
    while True:
        training.epoch()
        spent = time.monotonic() - began - away
        if training.settled() and training.loss() < level - FLAT * abs(training.loss()):
            level, since = training.loss(), 0
        elif training.settled():
            since += 1
        converged = since >= patience
        if (spent >= due and not looks) or converged or spent >= longest:
            np.savez(f"{out}-{len(looks)}.npz", **training.encode())
            facts = {"epochs": training.epochs, "loss": training.loss(), "converged": converged}
            looks.append({"seconds": spent, "cpu_seconds": time.process_time(), **facts})
            away += time.monotonic() - began - away - spent
            if converged or spent >= longest:
                return {"looks": looks}


def main():
    """Serves; importing the program is part of its start."""
    import os
    import platform

    answers = claim_output()
    import pyroved
    import torch

    if hasattr(os, "sched_getaffinity"):
        torch.set_num_threads(len(os.sched_getaffinity(0)))
    versions = {"pyroved": pyroved.__version__, "torch": torch.__version__, "python": platform.python_version()}
    serve(answers, {"versions": versions, "threads": torch.get_num_threads()}, {"train": train})


if __name__ == "__main__":
    main()
