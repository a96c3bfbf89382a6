"""The demonstration: a simulated movie whose truth is known, the whole way, and how well it went."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jax

from rvaejax.analysis.truth import against_truth
from rvaejax.errors import ConfigError
from rvaejax.io.files import check_output
from rvaejax.pipeline.config import RunConfig
from rvaejax.pipeline.results import Results
from rvaejax.pipeline.run import analyse
from rvaejax.pipeline.simulated import save_simulated
from rvaejax.simulate.config import MovieConfig
from rvaejax.simulate.movie import simulate_movie
from rvaejax.training.interrupt import StopFlag

SECTION = "against the truth"


def demo(
    out: Path,
    movie: MovieConfig,
    config: RunConfig,
    *,
    overwrite: bool = False,
    resume: bool = False,
    should_stop: StopFlag | None = None,
) -> dict[str, float]:
    """Simulates a Si-graphene movie, runs everything on it, and returns the scores against the truth.

    Args:
        out: folder for the results; the movie and its truth go there too.
        movie: what to simulate.
        config: options of the run.
        overwrite: replace an earlier demo.
        resume: go on with an interrupted one.
        should_stop: asked between pieces of the training; by default SIGINT and SIGTERM are listened to.

    Raises:
        OutputExistsError: the folder exists.
        ConfigError: sub-images are not to be centred on atoms.
        Interrupted: `should_stop` said so.
    """
    if config.centres != "atoms":
        raise ConfigError(f"--centres {config.centres}: the demo compares atoms with their truth; leave it at atoms")
    check_output(out, overwrite, resume)
    simulated = simulate_movie(movie, key=jax.random.key(config.seed))
    scores: dict[str, float] = {}

    def summarise(results: Results) -> dict[str, Any]:
        save_simulated(out / "movie.npz", simulated)
        scores.update(
            against_truth(simulated.truth, results.atoms, results.subimages, results.latents, size=simulated.movie.size)
        )
        return {SECTION: scores}

    analyse(
        simulated.movie,
        out,
        config,
        overwrite=overwrite,
        resume=resume,
        should_stop=should_stop,
        summarise=summarise,
    )
    return scores
