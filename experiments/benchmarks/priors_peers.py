"""pyroVED's iVAE, jiVAE and ssiVAE as a worker; runs in an environment of its own (pyroved==0.3.0).

    python priors_peers.py

Started by `priors_against_pyroved.py`. Each is built and trained as its docstring shows, with rotations and shifts, two
continuous latents, batches of 100 and the trainers' own learning rates: jiVAE with exact enumeration, and either all
divergences at weight 1 or the docstring's schedule (continuous 40, falling to 3 over 40 epochs from the tenth on;
discrete 3); ssiVAE with the auxiliary loss at 50. Its labelled rows come in batches of 10, not 100, so that an epoch
has several steps with labels, not one. A look comes at an epoch's end: it may have an epoch more than was due. A
training that is kept is saved after each epoch with its optimiser and random numbers, and goes on from there, on a
processor or a graphics card alike.
"""

import time
from pathlib import Path

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

    def losses(self):
        """Of every epoch, per row."""
        return (self.trainer.history if self.name == "ssiVAE" else self.trainer.loss_history)["training_loss"]

    def state(self):
        """What the next epoch depends on."""
        import torch

        optimiser = (self.trainer.loss_basic if self.name == "ssiVAE" else self.trainer.svi).optim
        random = {"processor": torch.get_rng_state()}
        if torch.cuda.is_available():
            random["card"] = torch.cuda.get_rng_state()
        return {"net": self.net.state_dict(), "optimiser": optimiser.get_state(), "random": random}

    def resume(self, state, losses):
        """Goes on from a state after as many epochs as there are losses."""
        import torch

        self.net.load_state_dict(state["net"])
        (self.trainer.loss_basic if self.name == "ssiVAE" else self.trainer.svi).optim.set_state(state["optimiser"])
        torch.set_rng_state(state["random"]["processor"].cpu())
        if torch.cuda.is_available() and "card" in state["random"]:
            torch.cuda.set_rng_state(state["random"]["card"].cpu())
        self.losses().extend(losses)
        self.epochs = self.trainer.current_epoch = len(losses)

    def encode(self):
        """Latents in this project's terms, and classes where there are such."""
        if self.name == "ssiVAE":
            return {"class": self.net.classifier(self.data).numpy()}
        mean, sd, *classes = self.net.encode(self.data)
        further = {"class": classes[0].numpy()} if classes else {}
        return {**latents(mean.numpy(), sd.numpy(), self.size), **further}


class Level:
    """Whether a loss stands still: how many epochs ago it last fell by a share of itself."""

    def __init__(self):
        self.value, self.since = float("inf"), 0

    def see(self, loss):
        """Takes the loss of a further epoch."""
        fell = loss < self.value - FLAT * abs(loss)
        self.value, self.since = (loss, 0) if fell else (self.value, self.since + 1)


def train(model, data, kinds, known, seed, batch, due, longest, patience, out, keep=None):
    """Trains to a look after `due` seconds and one when the loss stands still for `patience` epochs, or `longest`.

    Args:
        model: iVAE, jiVAE, "jiVAE, schedule" or ssiVAE.
        data: file with `images`.
        kinds: number of classes.
        known: [[row, class], ...] that ssiVAE is told.
        seed: of the training.
        batch: rows of a step.
        due: seconds of training until the first look; None for the last look only.
        longest: seconds of training until the last, those of earlier calls with the same `keep` counted in.
        patience: epochs.
        out: OUT-0.npz and OUT-1.npz are written.
        keep: file to which each epoch is saved, and from which the training goes on if it is there.
    """
    import torch

    began, worked, due = time.monotonic(), time.process_time(), float("inf") if due is None else due
    training = Training(model, in_unit_range(np.load(data)["images"]), kinds, known, seed, batch)
    looks, level, done = [], Level(), {"seconds": 0.0, "cpu_seconds": 0.0, "devices": []}
    if keep and Path(keep).exists():
        kept = torch.load(keep, map_location=training.trainer.device, weights_only=False)
        training.resume(kept["state"], kept["losses"])
        done, level.value, level.since = kept["done"], *kept["level"]
        began, worked = began - done["seconds"], worked - done["cpu_seconds"]
    device = torch.cuda.get_device_name() if torch.cuda.is_available() else "cpu"
    fresh = not training.epochs
    while True:
        # one that is kept may have come to its end before
        if fresh or not (level.since >= patience or done["seconds"] >= longest):
            training.epoch()
            if training.settled():
                level.see(training.losses()[-1])
            seconds, devices = time.monotonic() - began, list(dict.fromkeys([*done["devices"], device]))
            done = {"seconds": seconds, "cpu_seconds": time.process_time() - worked, "devices": devices}
            if keep:
                kept = {"state": training.state(), "losses": training.losses(), "level": (level.value, level.since)}
                torch.save(kept | {"done": done}, f"{keep}.part")
                Path(f"{keep}.part").replace(keep)
        fresh, converged = False, level.since >= patience
        ended = converged or done["seconds"] >= longest
        if ended or (done["seconds"] >= due and not looks):
            np.savez(f"{out}-{len(looks)}.npz", **training.encode())
            facts = {"epochs": training.epochs, "loss": training.losses()[-1], "converged": converged}
            looks.append(done | facts | {"losses": [round(loss, 3) for loss in training.losses()]})
            began += time.monotonic() - began - done["seconds"]  # a look is no training
        if ended:
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
