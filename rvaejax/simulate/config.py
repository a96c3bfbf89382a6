"""What a simulated specimen and its image are made of. Lengths in nm, angles in rad. Imports no JAX.

A pair (low, high) is a range from which each image draws its own value.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from rvaejax.errors import ConfigError
from rvaejax.simulate.dynamics.config import DynamicsConfig

BOND_NM = 0.142  # C-C bond in graphene
LATTICE_NM = 0.246  # lattice constant of graphene, bond * sqrt(3)
SPECIES = ("C", "Si")
COVALENT_RADIUS_NM = (0.071, 0.107)  # C as in graphene; Si so that C-Si is 0.178 nm, between planar and buckled Si-C3

Range = tuple[float, float]


def _ordered(**ranges: Range) -> None:
    for name, (low, high) in ranges.items():
        if not low <= high:
            raise ConfigError(f"{name}: the range ({low}, {high}) must go from low to high")


@dataclass(frozen=True)
class SheetConfig:
    """A graphene sheet with its defects.

    Attributes:
        field_nm: side of the square that the sheet must cover.
        boundary_probability: chance of a grain boundary through the field.
        max_holes: holes drawn, 0 to this many.
        hole_radius_nm: mean radius of a hole.
        vacancy_fraction: share of atoms missing at random.
        max_bond_rotations: Stone-Wales bond rotations (5-7-7-5), 0 to this many.
        si_fraction: share of atoms replaced by Si; edges of holes attract Si eight times as much.
        strain: affine distortion of the field (shear, drift), standard deviation of each element.
        scale_jitter: the lattice is up to this much larger or smaller (wrong calibration).
        displacement_nm: random displacement of each atom (what springs do not know), standard deviation.
        empty_probability: chance that the image holds no atoms at all.
        bank_share: share of a batch's sheets that are cut out of simulated sheets under the beam, where a bank of them
            is given; the others are drawn by the options above.
        relaxation_steps: steps of the spring relaxation.
    """

    field_nm: float = 2.56
    boundary_probability: float = 0.3
    max_holes: int = 3
    hole_radius_nm: Range = (0.15, 1.0)
    vacancy_fraction: Range = (0.0, 0.05)
    max_bond_rotations: int = 5
    si_fraction: Range = (0.0, 0.012)
    strain: float = 0.015
    scale_jitter: float = 0.1
    displacement_nm: float = 0.004
    empty_probability: float = 0.12
    bank_share: float = 0.5
    relaxation_steps: int = 24

    def __post_init__(self) -> None:
        if not self.field_nm > 0.3:
            raise ConfigError(f"field_nm must be more than 0.3 nm, got {self.field_nm}")
        _ordered(
            hole_radius_nm=self.hole_radius_nm, vacancy_fraction=self.vacancy_fraction, si_fraction=self.si_fraction
        )


@dataclass(frozen=True)
class ImagingConfig:
    """How a sheet becomes an image: linear incoherent imaging, then what the microscope and the sample add.

    Attributes:
        size_px: side of the image.
        pixel_size_nm: its pixel.
        aberrated_share: chance that an atom's image is that of an aberrated probe with its direction (astigmatism,
            coma, trefoil); the next four are of such probes.
        wavefront_rad: root mean square of the probe's wavefront over the aperture; 1.1 leaves 0.3 of its peak.
        aperture_per_nm: radius of the aperture: convergence angle over wavelength [1/nm].
        spot_nm: source, atom and thermal motion together, standard deviation.
        halo: weight of such a probe's tail (of `tail_nm`).
        multislice_share: chance that any other atom's image is one of those computed by multislice for a microscope
            drawn at random; else it is a core and a tail drawn from the ranges below, which cover more than physics
            does.
        core_nm: standard deviation of an atom's image (projected potential convolved with the probe's core).
        tail_nm, tail_weight: standard deviation and weight of the probe's tail.
        drag_nm: how far the specimen moves while an atom is scanned: two images this far apart are averaged.
        z_exponent: the intensity of an atom grows as Z to this power (annular dark field).
        amplitude_sd: relative spread of the intensities of equal atoms.
        counts: electrons per pixel at the peak of a single C atom (drawn log-uniformly): the dose.
        readout: Gaussian read-out noise, in units of the C peak.
        noise_blur_px: blur of the noise, as resampling makes it.
        background: height of a smooth background, in units of the C peak.
        contamination_probability: chance of an amorphous patch; `contamination`: its brightness in C peaks.
        rim_probability: chance that the rims of holes are dirty; `rim`: how bright, in C peaks.
        row_jitter_px: random shift of each scan row, standard deviation.
        row_flicker: relative spread of the beam's current from row to row.
        wobble_nm: slow to-and-fro of the rows, standard deviation; atoms and labels move with it.
        clip_probability: chance that the brightest pixels are clipped, as in an 8-bit export.
        clip: where they are clipped, in units of the lattice's bright spots.
        gamma: exponent of the intensity scale, as in a display export.
        hot_pixels: chance that a pixel is hot.
        label_nm: standard deviation of the Gaussian that labels an atom.
    """

    size_px: int = 128
    pixel_size_nm: float = 0.02
    aberrated_share: float = 0.5
    wavefront_rad: Range = (0.0, 1.2)
    aperture_per_nm: Range = (5.0, 12.0)
    spot_nm: Range = (0.02, 0.055)
    halo: Range = (0.0, 0.3)
    multislice_share: float = 0.7
    core_nm: Range = (0.036, 0.066)
    tail_nm: Range = (0.09, 0.25)
    tail_weight: Range = (0.0, 0.5)
    drag_nm: Range = (0.0, 0.05)
    z_exponent: Range = (1.1, 1.9)
    amplitude_sd: float = 0.05
    counts: Range = (2.0, 800.0)
    readout: Range = (0.0, 0.25)
    noise_blur_px: Range = (0.0, 1.2)
    background: Range = (0.0, 1.5)
    contamination_probability: float = 0.45
    contamination: Range = (1.0, 12.0)
    rim_probability: float = 0.25
    rim: Range = (0.2, 2.5)
    row_jitter_px: Range = (0.0, 0.4)
    row_flicker: Range = (0.0, 0.05)
    wobble_nm: Range = (0.0, 0.012)
    clip_probability: float = 0.4
    clip: Range = (1.0, 4.0)
    gamma: Range = (0.65, 1.35)
    hot_pixels: float = 0.0002
    label_nm: float = 0.034

    def __post_init__(self) -> None:
        if not (self.size_px >= 16 and self.pixel_size_nm > 0):
            raise ConfigError(f"an image needs 16 px of positive size, got {self.size_px} of {self.pixel_size_nm} nm")
        _ordered(core_nm=self.core_nm, counts=self.counts, contamination=self.contamination, gamma=self.gamma)
        _ordered(wavefront_rad=self.wavefront_rad, aperture_per_nm=self.aperture_per_nm, spot_nm=self.spot_nm)
        _ordered(halo=self.halo, rim=self.rim, row_flicker=self.row_flicker, wobble_nm=self.wobble_nm)
        if not (self.aperture_per_nm[0] > 0 and self.spot_nm[0] > 0):
            raise ConfigError(f"aperture and spot must be positive, got {self.aperture_per_nm} and {self.spot_nm}")
        if not self.counts[0] > 0:
            raise ConfigError(f"counts must be positive, got {self.counts}")


@dataclass(frozen=True)
class MovieConfig:
    """A sheet under the beam: holes grow, vacancies gather into 5-7 chains, Si goes to the edges.

    The defaults are a movie as long and as large as the published one: about 2,100 atoms falling to about 1,400.

    Attributes:
        frames: number of frames.
        size_px, pixel_size_nm: the frames.
        grain_angles: orientation of the two grains [rad].
        holes: holes seeded before the first frame; None: one for each 16 nm².
        hole_radius_nm: their mean radius; at most a fifth of the field.
        si_atoms: number of Si atoms; None: three for each 10 nm².
        counts: electrons per pixel at a C atom's peak.
        contamination: whether a corner is contaminated.
        dynamics: what the beam does, and the dose of a frame.
    """

    frames: int = 50
    size_px: int = 512
    pixel_size_nm: float = 0.0157
    grain_angles: tuple[float, float] = (0.12, 0.28)
    holes: int | None = None
    hole_radius_nm: float = 0.7
    si_atoms: int | None = None
    counts: float = 60.0
    contamination: bool = True
    dynamics: DynamicsConfig = field(default_factory=DynamicsConfig)
    imaging: ImagingConfig = field(
        default_factory=lambda: ImagingConfig(
            aberrated_share=0.0,
            multislice_share=0.0,
            core_nm=(0.05, 0.05),
            tail_weight=(0.15, 0.15),
            tail_nm=(0.15, 0.15),
            drag_nm=(0.0, 0.0),
            z_exponent=(1.5, 1.5),
            readout=(0.03, 0.03),
            noise_blur_px=(0.0, 0.0),
            background=(0.3, 0.3),
            contamination_probability=0.0,
            rim_probability=0.0,
            row_jitter_px=(0.15, 0.15),
            row_flicker=(0.0, 0.0),
            wobble_nm=(0.0, 0.0),
            clip_probability=0.0,
            gamma=(1.0, 1.0),
            hot_pixels=0.0,
        )
    )

    def __post_init__(self) -> None:
        if self.frames < 1 or self.size_px < 64:
            raise ConfigError(
                f"a movie needs at least 1 frame of at least 64 px, got {self.frames} frames of {self.size_px} px"
            )
        if not 0.001 < self.pixel_size_nm < 0.05:
            raise ConfigError(f"pixel_size_nm must lie between 0.001 and 0.05 nm, got {self.pixel_size_nm}")
        for name in ("holes", "si_atoms", "hole_radius_nm"):
            value = getattr(self, name)
            if value is not None and not value >= 0:
                raise ConfigError(f"{name} must be 0 or more, got {value}")

    @property
    def field_nm(self) -> float:
        """Side of a frame [nm]."""
        return self.size_px * self.pixel_size_nm
