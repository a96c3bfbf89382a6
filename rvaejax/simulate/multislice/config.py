"""The microscope, its detectors, and how finely to compute. Lengths in nm, angles in mrad. Imports no JAX."""

from __future__ import annotations

import math
from dataclasses import dataclass

from rvaejax.errors import ConfigError


def _finite(owner: object, *names: str) -> None:
    for name in names:
        if not math.isfinite(getattr(owner, name)):
            raise ConfigError(f"{name} must be a finite number, got {getattr(owner, name)}")


@dataclass(frozen=True)
class MicroscopeConfig:
    """The column of a scanning transmission electron microscope.

    Attributes:
        voltage_kv: acceleration voltage [kV].
        convergence_mrad: semi-angle of the probe-forming aperture [mrad].
        defocus_nm: defocus [nm], from the first slice that holds atoms; positive is underfocus (-C10).
        astigmatism_nm, astigmatism_angle: two-fold astigmatism C12 [nm] and its direction [rad].
        coma_nm, coma_angle: axial coma C21 [nm] and its direction [rad].
        c3_um: third-order spherical aberration C30 [um].
        c5_mm: fifth-order spherical aberration C50 [mm].
        source_sigma_nm: standard deviation of the effective source's Gaussian image [nm].
    """

    voltage_kv: float = 100.0
    convergence_mrad: float = 30.0
    defocus_nm: float = 0.0
    astigmatism_nm: float = 0.0
    astigmatism_angle: float = 0.0
    coma_nm: float = 0.0
    coma_angle: float = 0.0
    c3_um: float = 0.0
    c5_mm: float = 0.0
    source_sigma_nm: float = 0.03

    def __post_init__(self) -> None:
        _finite(self, *self.__dataclass_fields__)
        if not 5 <= self.voltage_kv <= 3000:
            raise ConfigError(f"voltage_kv must lie between 5 and 3000 kV, got {self.voltage_kv}")
        if not 1 <= self.convergence_mrad <= 100:
            raise ConfigError(f"convergence_mrad must lie between 1 and 100 mrad, got {self.convergence_mrad}")
        if not self.source_sigma_nm >= 0:
            raise ConfigError(f"source_sigma_nm must not be negative, got {self.source_sigma_nm}")


@dataclass(frozen=True)
class DetectorConfig:
    """A detector that sums the intensity between two scattering angles.

    Attributes:
        name: what it is called.
        inner_mrad, outer_mrad: the angles [mrad]; an inner angle of 0 is a disc.
    """

    name: str = "HAADF"
    inner_mrad: float = 80.0
    outer_mrad: float = 200.0

    def __post_init__(self) -> None:
        if not 0 <= self.inner_mrad < self.outer_mrad < 1000:
            raise ConfigError(
                f"detector {self.name}: angles must rise from 0 to less than 1000 mrad, "
                f"got {self.inner_mrad} to {self.outer_mrad}"
            )


def standard_detectors(convergence_mrad: float = 30.0) -> tuple[DetectorConfig, ...]:
    """BF, ABF, ADF and HAADF (80 to 200 mrad), the first three set by the convergence angle [mrad]."""
    a = convergence_mrad
    return (
        DetectorConfig("BF", 0.0, a / 2),
        DetectorConfig("ABF", a / 2, a),
        DetectorConfig("ADF", 1.5 * a, 3 * a),
        DetectorConfig("HAADF", 80.0, 200.0),
    )


@dataclass(frozen=True)
class MultisliceConfig:
    """How finely and how to compute.

    Attributes:
        pixel_size_nm: the image's pixel [nm].
        sampling_nm: largest pixel of the potential and the waves [nm]; 0 chooses what the detectors need.
        slice_nm: atoms within this much of z share a slice [nm]; a slice without atoms costs nothing.
        window_nm: side of the window around the probe in which it is computed [nm]; 0 for the whole cell.
        scan_step_nm: largest step of the scan [nm]; 0 for the coarsest step that loses nothing (Nyquist).
        rms_displacement_nm: thermal displacement per axis, root mean square [nm]; one number for all elements, or
            pairs of symbol and number, such as (("C", 0.006), ("Si", 0.007)); elements not named stay still.
        phonons: frozen-phonon configurations to average; 0 blurs the potential instead (Debye-Waller factor).
        electrons_per_nm2: dose; 0 for an image without noise.
        chunk: probe positions computed at once; sets the memory. 0 chooses.
    """

    pixel_size_nm: float = 0.016
    sampling_nm: float = 0.0
    slice_nm: float = 0.1
    window_nm: float = 1.6
    scan_step_nm: float = 0.0
    rms_displacement_nm: float | tuple[tuple[str, float], ...] = 0.0
    phonons: int = 0
    electrons_per_nm2: float = 0.0
    chunk: int = 0

    def __post_init__(self) -> None:
        if not 0.001 <= self.pixel_size_nm <= 0.1:
            raise ConfigError(f"pixel_size_nm must lie between 0.001 and 0.1 nm, got {self.pixel_size_nm}")
        if not self.slice_nm > 0:
            raise ConfigError(f"slice_nm must be positive, got {self.slice_nm}")
        for name in ("sampling_nm", "scan_step_nm", "phonons", "electrons_per_nm2", "chunk"):
            if not getattr(self, name) >= 0:
                raise ConfigError(f"{name} must not be negative, got {getattr(self, name)}")
        if self.window_nm and not self.window_nm >= 0.5:
            raise ConfigError(f"window_nm must be 0 (the whole cell) or at least 0.5 nm, got {self.window_nm}")
