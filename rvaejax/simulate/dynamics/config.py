"""What the beam does to a sheet, in physical terms. Energies in eV, cross sections in barn. Imports no JAX."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

from rvaejax.errors import ConfigError


@dataclass(frozen=True)
class DynamicsConfig:
    """Rates of what happens under the beam; a cross section times the dose is an expected number of events.

    An atom goes when an electron hands it more than its threshold; the cross section follows from threshold and
    voltage (`beam.displacement_cross_section`). What only rearranges bonds is tried at a constant cross section and
    kept with the Metropolis probability of the change of energy, at an effective temperature of the beam.

    Attributes:
        voltage_kv: acceleration voltage.
        dose: electrons per nm² and frame; 20 pA for 33.5 s on 8 nm x 8 nm.
        bulk_ev: threshold of a C atom among hexagons: 21.1 eV fits isotope-resolved sputtering (Susi et al., Nat.
            Commun. 7, 13040 (2016)), calculations give 22 to 23.6 (cited in Meyer et al., PRL 108, 196102 (2012)).
        defect_ev: threshold of a three-coordinated C atom of another ring, lower by part of the defect's energy.
        edge_ev: threshold of a C atom with two bonds; calculated for free edges 12 to 19 eV (Kotakoski et al., ACS
            Nano 6, 671 (2012)); holes grow by it (Girit et al., Science 323, 1705 (2009)).
        chain_ev: threshold of a C atom with one bond.
        beside_silicon_ev: threshold of a two-coordinated C atom with a Si neighbour: the edge is passivated.
        silicon_ev: threshold of Si. Si is heavy: it takes up less than half of what C does, and stays.
        rotation_barn: trials of each bond's rotation by 90 degrees (Kotakoski et al., PRB 83, 245420 (2011)).
        migration_barn: trials of each move of a dangling bond to a second neighbour; steps of a migrating vacancy.
        closing_barn: trials of each new bond between two dangling ones of a ring; has no barrier, so it is large.
        exchange_barn: trials of each exchange of Si with a C neighbour (Susi et al., PRL 113, 115501 (2014)).
        temperature_ev: effective temperature of the Metropolis factor.
        dangling_ev, silicon_dangling_ev: energy of a dangling bond of C and of Si; 2.5 eV gives free edges their
            calculated 10 to 13 eV/nm.
        elastic_share: share of the elastic energy of a flat sheet that counts; a real one buckles and relieves the
            rest. With 0.7 the Stone-Wales defect costs its calculated 5 eV, and a single vacancy just closes a
            pentagon, as it does (Banhart, Kotakoski, Krasheninnikov, ACS Nano 5, 26 (2011)).
        ring_ev: energy of a ring of n atoms is this times (n - 6)², the first guess of a bond rotation's energy, from
            which its rate is bounded; 4 times this is the Stone-Wales defect's energy.
    """

    voltage_kv: float = 100.0
    dose: float = 6.6e7
    bulk_ev: float = 22.0
    defect_ev: float = 20.2
    edge_ev: float = 15.0
    chain_ev: float = 7.0
    beside_silicon_ev: float = 18.5
    silicon_ev: float = 12.0
    rotation_barn: float = 300.0
    migration_barn: float = 400.0
    closing_barn: float = 3000.0
    exchange_barn: float = 300.0
    temperature_ev: float = 0.45
    dangling_ev: float = 2.5
    silicon_dangling_ev: float = 1.0
    elastic_share: float = 0.7
    ring_ev: float = 1.25

    def __post_init__(self) -> None:
        for f in dataclasses.fields(self):
            value = getattr(self, f.name)
            least = f.name.endswith("_barn") or f.name == "dose"
            if not (value >= 0 if least else value > 0):
                raise ConfigError(f"{f.name} must be {'0 or more' if least else 'more than 0'}, got {value}")
        if not 10 <= self.voltage_kv <= 1000:
            raise ConfigError(f"voltage_kv must lie between 10 and 1000, got {self.voltage_kv}")
