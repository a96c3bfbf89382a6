"""What the loop of an rVAE's training is given: its loss and its batches, as they suit the machine."""

from __future__ import annotations

import functools
from dataclasses import replace

import jax

from rvaejax.rvae import elbo
from rvaejax.rvae.batches import drawer
from rvaejax.rvae.config import ConvEncoder, RVAEConfig, SpatialDecoder
from rvaejax.rvae.inputs import scaled
from rvaejax.training import devices
from rvaejax.training.config import TrainingConfig
from rvaejax.training.state import BatchFn, LossFn

# Pixels whose activations stay in a CPU's cache while the decoder's gradient needs them: in what all cores share, and
# in what one has to itself.
_SHARED_ROWS = 8192
_OWN_ROWS = 1024


def for_this_machine(config: RVAEConfig) -> TrainingConfig:
    """Convolutions inside a scan are many times slower on CPUs: there, the steps are compiled calls."""
    if isinstance(config.encoder, ConvEncoder) and jax.default_backend() == "cpu":
        return replace(config.training, scan=False)
    return config.training


@functools.lru_cache(maxsize=8)
def functions(config: RVAEConfig, shape: tuple[int, int, int]) -> tuple[elbo.RVAE, LossFn, BatchFn]:
    """The rVAE and its loss and batches for the loop; the same objects each time, so that they compile once."""
    # Measured for the spatial decoder only; the Fourier decoder takes the whole batch at once.
    in_pieces = isinstance(config.decoder, SpatialDecoder) and jax.default_backend() == "cpu"
    mesh = devices.mesh(config.training.batch_size)
    most_rows = (_SHARED_ROWS if mesh is None else _OWN_ROWS) if in_pieces else None
    model, draw = elbo.build(config, shape, most_rows, devices.parts(mesh)), drawer(config)
    loss = model.loss
    if config.inference == "svi":
        from rvaejax.rvae.numpyro_models import build_loss  # NumPyro: not for every training

        loss = build_loss(config, shape)

    def batch_fn(data, *, key, step):
        return {**data, **devices.divided(draw(data, key=key, step=step), mesh), "step": step}

    def loss_fn(params, batch, key):
        further = {name: batch[name] for name in ("labels", "targets") if name in batch}
        return loss(params, scaled(batch["images"], batch["scaling"]), batch["step"], key=key, **further)

    return model, loss_fn, batch_fn
