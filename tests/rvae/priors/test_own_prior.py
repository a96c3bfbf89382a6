"""A prior of one's own: a small class, passed in, trained with, stored and read again; what cannot work is refused."""

from dataclasses import dataclass, replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import yaml

from rvaejax.config import from_dict, to_dict
from rvaejax.errors import ConfigError
from rvaejax.nets.encoders import Circular, Normal
from rvaejax.rvae import RVAEConfig, encode, latents, load_model, preset, save_model, train
from rvaejax.rvae.config import (
    FourierDecoder,
    MLPEncoder,
    NormalMixture,
    PolarEncoder,
    StandardNormal,
    UniformAngle,
    VonMisesAngle,
)
from rvaejax.rvae.priors.probe import check_priors
from rvaejax.types import SubImages

SHAPE = (8, 8, 1)
TINY = replace(
    preset("default"),
    content_dim=2,
    encoder=PolarEncoder(orientations=8, hidden=8, layers=1, harmonics=3),
    decoder=FourierDecoder(hidden=8, layers=1, max_modes=3),
    training=replace(preset("default").training, steps=4, batch_size=8, piece=2),
)


@dataclass(frozen=True)
class Trimodal:
    """Twenty lines are enough."""

    concentration: float = 4.0

    def log_prob(self, angle, params):
        k = self.concentration
        return k * jnp.cos(3 * angle) - jnp.log(2 * jnp.pi * jax.scipy.special.i0(k))


@dataclass(frozen=True)
class LearnedCloud:
    """A Gaussian content whose width is learned."""

    start: float = 1.0

    def init(self, dim, *, key):
        return {"log_sd": jnp.full(dim, jnp.log(self.start))}

    def log_prob(self, content, params):
        return jax.scipy.stats.norm.logpdf(content, 0.0, jnp.exp(params["log_sd"])).sum()

    def sample(self, params, shape, *, key):
        return jnp.broadcast_to(jnp.exp(params["log_sd"]), shape) * jax.random.normal(key, shape)


def _subimages(n=24):
    images = np.random.default_rng(0).random((n, *SHAPE)).astype(np.float32)
    zeros = np.zeros(n)
    return SubImages(images, zeros.astype(int), zeros, zeros, np.full(n, "C"), zeros.astype(int))


def test_a_prior_of_ones_own_trains_encodes_and_is_stored_and_read(tmp_path):
    config = replace(TINY, angle_prior=Trimodal(5.0), content_prior=LearnedCloud())
    model = train(_subimages(), config=config, seed=0)
    assert float(np.abs(model.params["prior"]["content"]["log_sd"]).max()) > 0  # it was learned
    assert "kl_content_error" in model.history[-1]
    save_model(model, tmp_path)
    written = yaml.safe_load((tmp_path / "config.yaml").read_text())["rvae"]["angle_prior"]
    assert written == {"kind": f"{__name__}:Trimodal", "concentration": 5.0}
    again = load_model(tmp_path)
    assert again.config == config
    assert (encode(again, _subimages()).angle == encode(model, _subimages()).angle).all()


def test_a_prior_equal_to_one_of_the_packages_has_its_divergence():
    """The quadrature of a density that is only given by its values, against the package's closed form."""
    rng, k = np.random.default_rng(0), 16
    logits = jax.nn.log_softmax(jnp.asarray(rng.standard_normal(k), jnp.float32))
    q = Circular(logits, Normal(jnp.asarray(rng.standard_normal(k), jnp.float32), jnp.zeros(k)))
    line = Normal(jnp.array([0.7]), jnp.array([-0.3]))
    for encoder, posterior in ((PolarEncoder(orientations=k, harmonics=4), q), (MLPEncoder(), line)):
        priors = (Trimodal(4.0), VonMisesAngle(concentration=4.0, fold=3))
        found = [float(latents.build(encoder, prior, 2).kl(posterior)) for prior in priors]
        assert found[0] == pytest.approx(found[1], abs=2e-3)


@dataclass(frozen=True)
class _Broken:
    log_prob_of: str = "ok"
    shape_off: bool = False

    def log_prob(self, value, params):
        total = -0.5 * (value**2).sum() - 0.5 * value.size * jnp.log(2 * jnp.pi)
        return {
            "ok": total,
            "many": jnp.zeros(3) + total,
            "half": jnp.where(jnp.atleast_1d(value)[0] > 0, total, -jnp.inf),
            "twice": total + jnp.log(2.0),
        }[self.log_prob_of]

    def sample(self, params, shape, *, key):
        return jax.random.normal(key, shape[:1] if self.shape_off else shape)


@dataclass(frozen=True)
class _NoSamples:
    def log_prob(self, value, params):
        return -(value**2).sum()


@dataclass
class _Thawed:
    def log_prob(self, value, params):
        return jnp.zeros(())


class _NoDensity:
    def sample(self, params, shape, *, key):
        return jnp.zeros(shape)


WRONG = [
    ({"content_prior": _Broken("many")}, r"_Broken\(...\): log_prob gives shape \(3,\) of one value \(2,\)"),
    ({"content_prior": _Broken("half")}, "log_prob is -inf at .*the support must be all of its space"),
    ({"content_prior": _Broken(shape_off=True)}, r"sample gives shape \(64,\), where \(64, 2\) was asked for"),
    ({"angle_prior": _Broken("twice")}, "its density integrates to 1.997 over the circle: it must be 1"),
    ({"angle_prior": _Broken("half")}, "support must be every angle of the circle"),
    ({"shift_prior": replace(_Broken("twice"))}, "integrates to 2 over the plane"),
    ({"angle_prior": _NoDensity()}, "has no method log_prob"),
    ({"content_prior": _NoSamples()}, "has no method sample"),
    ({"angle_prior": _Thawed()}, "must be a frozen dataclass"),
    ({"angle_prior": Trimodal}, "is a class: give one of it"),
    (
        {"angle_prior": NormalMixture()},
        r"NormalMixture\(...\) is a prior of something else: it must be one of Gaussian",
    ),
    ({"content_prior": UniformAngle()}, "is a prior of something else"),
]


@pytest.mark.parametrize(("options", "message"), WRONG)
def test_a_prior_that_cannot_work_is_one_clear_error(options, message):
    with pytest.raises(ConfigError, match=message) as error:
        check_priors(replace(TINY, **options), SHAPE)
    assert "\n" not in str(error.value)


def test_a_prior_that_fails_is_named():
    @dataclass(frozen=True)
    class Fails:
        def log_prob(self, value, params):
            return params["width"] * value

    with pytest.raises(ConfigError, match=r"angle_prior=Fails\(...\) fails when it is tried: KeyError: 'width'"):
        check_priors(replace(TINY, angle_prior=Fails()), SHAPE)


def test_an_import_path_that_leads_nowhere_says_what_to_do():
    for kind, message in (
        ("no_such_module:Mine", "cannot be imported .*put the class into a module on PYTHONPATH"),
        ("math:pi", "is not a dataclass"),
        ("Mine", "kind 'Mine' is not one of GaussianAngle, UniformAngle, VonMisesAngle"),
    ):
        with pytest.raises(ConfigError, match=message):
            from_dict(RVAEConfig, {"angle_prior": {"kind": kind}})


def test_the_packages_priors_are_stored_by_name():
    written = to_dict(replace(TINY, angle_prior=VonMisesAngle(fold=3)))
    assert written["angle_prior"]["kind"] == "VonMisesAngle" and written["content_prior"] == {"kind": "StandardNormal"}
    assert from_dict(RVAEConfig, written).content_prior == StandardNormal()
