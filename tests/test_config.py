"""Configs to plain values and back: nothing lost, nothing unknown let in."""

import dataclasses
import json
from dataclasses import dataclass, field

import pytest
import yaml

from rvaejax.atoms.config import LocalisationConfig, WindowConfig
from rvaejax.config import from_dict, to_dict
from rvaejax.errors import ConfigError
from rvaejax.nets.config import ConvEncoder, FourierDecoder, MLPEncoder, PolarEncoder, SpatialDecoder
from rvaejax.pipeline.config import RunConfig
from rvaejax.rvae.config import PRESETS, GaussianAngle, RVAEConfig, UnitGaussian, preset
from rvaejax.segmentation.config import SegmenterConfig
from rvaejax.simulate.config import ImagingConfig, MovieConfig, SheetConfig
from rvaejax.training.config import TrainingConfig

CONFIGS = [
    *PRESETS.values(),
    RVAEConfig(encoder=ConvEncoder(filters=(8, 16)), decoder=SpatialDecoder(layers=3), angle_prior=GaussianAngle(0.3)),
    SegmenterConfig(widths=(8, 16), sheet=SheetConfig(hole_radius_nm=(0.2, 0.3))),
    MovieConfig(frames=3, imaging=ImagingConfig(size_px=64)),
    RunConfig(px_nm=0.02, steps=5),
    TrainingConfig(clip=1.0),
    LocalisationConfig(),
    WindowConfig(centres=("Si",)),
]


@pytest.mark.parametrize("config", CONFIGS, ids=lambda c: type(c).__name__)
@pytest.mark.parametrize("through", [json, yaml], ids=["json", "yaml"])
def test_a_config_survives_a_file(config, through):
    dump, load = (json.dumps, json.loads) if through is json else (yaml.safe_dump, yaml.safe_load)
    again = from_dict(type(config), load(dump(to_dict(config))))
    assert again == config and hash(again) == hash(config)  # hashable: static under jit


@pytest.mark.parametrize("config", CONFIGS, ids=lambda c: type(c).__name__)
def test_every_field_is_written_out(config):
    written = to_dict(config)
    assert set(written) == {f.name for f in dataclasses.fields(config)} | {"kind"}
    assert written["kind"] == type(config).__name__


def test_an_unknown_option_is_an_error_at_any_depth():
    with pytest.raises(ConfigError, match="TrainingConfig has no option 'momentum'; it has average, batch_size"):
        from_dict(TrainingConfig, {"momentum": 0.9})
    with pytest.raises(ConfigError, match="PolarEncoder has no option 'neurons'"):
        from_dict(RVAEConfig, {"encoder": {"kind": "PolarEncoder", "neurons": 3}})


def test_an_unknown_member_of_a_family_is_an_error_that_names_the_others():
    with pytest.raises(ConfigError, match="encoder: kind 'Transformer' is not one of MLPEncoder, ConvEncoder") as error:
        from_dict(RVAEConfig, {"encoder": {"kind": "Transformer"}})
    assert "\n" not in str(error.value)


def test_values_are_checked_on_the_way_back():
    with pytest.raises(ConfigError, match="hidden"):
        from_dict(RVAEConfig, {"encoder": {"kind": "MLPEncoder", "hidden": -1}})


def test_missing_options_take_their_defaults_and_families_are_dispatched():
    made = from_dict(RVAEConfig, {"encoder": {"kind": "MLPEncoder"}, "likelihood": {"kind": "UnitGaussian"}})
    assert made == RVAEConfig(encoder=MLPEncoder(), likelihood=UnitGaussian())
    assert from_dict(RVAEConfig, {}) == RVAEConfig()


def test_none_and_tuples_come_back_as_they_were():
    @dataclass(frozen=True)
    class Options:
        a: int | None = 3
        b: tuple[int, ...] = (1,)
        c: PolarEncoder | None = field(default_factory=PolarEncoder)

    for options in (Options(), Options(None, (), None), Options(4, (2, 5), PolarEncoder(hidden=8))):
        assert from_dict(Options, json.loads(json.dumps(to_dict(options)))) == options


@pytest.mark.parametrize("config", CONFIGS, ids=lambda c: type(c).__name__)
def test_configs_are_frozen(config):
    name = dataclasses.fields(config)[0].name
    with pytest.raises(dataclasses.FrozenInstanceError):
        setattr(config, name, None)


def test_the_papers_preset_is_the_papers():
    paper, atomai = preset("paper"), preset("paper-atomai")
    for config in (paper, atomai):
        assert isinstance(config.encoder, MLPEncoder) and isinstance(config.decoder, SpatialDecoder)
        assert (config.encoder.hidden, config.encoder.layers, config.decoder.hidden) == (128, 2, 128)
        assert config.content_dim == 2 and config.shift_scale == 0.1 and isinstance(config.likelihood, UnitGaussian)
        assert config.training.learning_rate == 1e-4 and config.training.holdout == 0.25
        assert (config.content_weight, config.angle_weight, config.shift_weight, config.pixel_share) == (1, 1, 1, 1)
    assert paper.angle_prior == GaussianAngle(sd=0.1, mean_term=True) and paper.decoder.layers == 2
    assert atomai.angle_prior == GaussianAngle(sd=0.1, mean_term=False) and atomai.decoder.layers == 3


def test_an_unknown_preset_is_an_error_that_names_the_others():
    with pytest.raises(ConfigError) as error:
        preset("papper")
    assert all(name in str(error.value) for name in ("papper", *PRESETS)) and "\n" not in str(error.value)


@pytest.mark.parametrize("wrong", [{"steps": 0}, {"seed": -1}, {"max_seconds": 0.0}, {"max_seconds": float("nan")}])
def test_run_options_that_make_no_sense_are_refused(wrong):
    with pytest.raises(ConfigError, match=next(iter(wrong)).replace("_", "-")):
        RunConfig(**wrong)


def test_decoders_and_encoders_keep_their_own_bounds():
    for config, wrong in (
        (FourierDecoder, {"cutoff": 0.7}),
        (FourierDecoder, {"period": 1.0}),
        (PolarEncoder, {"orientations": 30}),
        (PolarEncoder, {"harmonics": 40}),
        (ConvEncoder, {"filters": ()}),
        (SpatialDecoder, {"layers": 0}),
    ):
        with pytest.raises(ConfigError, match=next(iter(wrong))):
            config(**wrong)
