import pytest

from rvaejax.errors import ConfigError
from rvaejax.simulate.config import BOND_NM, COVALENT_RADIUS_NM, LATTICE_NM, ImagingConfig, MovieConfig, SheetConfig


def test_the_lattice_follows_from_the_bond():
    assert LATTICE_NM == pytest.approx(BOND_NM * 3**0.5, abs=1e-4)
    assert 2 * COVALENT_RADIUS_NM[0] == pytest.approx(BOND_NM)
    assert sum(COVALENT_RADIUS_NM) == pytest.approx(0.178)


@pytest.mark.parametrize(
    ("config", "wrong"),
    [
        (SheetConfig, {"field_nm": 0.1}),
        (SheetConfig, {"hole_radius_nm": (1.0, 0.5)}),
        (SheetConfig, {"vacancy_fraction": (0.2, 0.1)}),
        (SheetConfig, {"si_fraction": (0.2, 0.1)}),
        (ImagingConfig, {"size_px": 4}),
        (ImagingConfig, {"pixel_size_nm": 0.0}),
        (ImagingConfig, {"counts": (0.0, 10.0)}),
        (ImagingConfig, {"counts": (20.0, 10.0)}),
        (ImagingConfig, {"core_nm": (0.06, 0.05)}),
        (MovieConfig, {"frames": 0}),
        (MovieConfig, {"size_px": 32}),
        (MovieConfig, {"holes": -1}),
        (MovieConfig, {"si_atoms": -3}),
        (MovieConfig, {"hole_radius_nm": -0.5}),
        (MovieConfig, {"pixel_size_nm": 0.2}),
        (MovieConfig, {"pixel_size_nm": float("nan")}),
    ],
)
def test_values_that_make_no_sense_are_refused_in_one_line(config, wrong):
    with pytest.raises(ConfigError) as error:
        config(**wrong)
    assert "\n" not in str(error.value)
    value = next(iter(wrong.values()))
    for number in value if isinstance(value, tuple) else (value,):
        assert str(number) in str(error.value)
