"""What every test shares. Warnings are errors, through pyproject.toml."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import jax
import jaxtyping
import pytest

# a shape that is extended without a word is how most silent mistakes with arrays begin
jax.config.update("jax_numpy_rank_promotion", "raise")
jax.config.update("jax_debug_key_reuse", True)
# as many as for whoever computes without the command line; on several, in processes of their own
jax.config.update("jax_num_cpu_devices", 1)


@pytest.fixture(scope="session")
def real_data() -> Path:
    """Folder of real data; tests that need it are skipped without it."""
    folder = os.environ.get("RVAEJAX_TEST_DATA")
    if not folder:
        pytest.skip("RVAEJAX_TEST_DATA is not set: it names the folder of real data")
    return Path(folder)


@pytest.fixture(scope="session", autouse=True)
def _compiled_elsewhere(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Programs that tests start keep what they compile in a folder of the tests, not in the user's."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("JAX_COMPILATION_CACHE_DIR", str(tmp_path_factory.mktemp("compiled")))
        yield


@pytest.fixture
def untyped() -> Iterator[None]:
    """Without the run-time type checker, which would refuse a wrong type before the package's own checks do."""
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", False)


@pytest.fixture
def chains() -> Iterator[None]:
    """Without the check of keys' reuse, which NumPyro's sampler fails: it carries a key that it may not use again."""
    jax.config.update("jax_debug_key_reuse", False)
    yield
    jax.config.update("jax_debug_key_reuse", True)


# as many as for whoever computes without the command line; on several, in processes of their own
jax.config.update("jax_num_cpu_devices", 1)


@pytest.fixture(scope="module")
def quick_compilation() -> Iterator[None]:
    """For what runs for a moment only: compiled fast, not to run fast."""
    jax.config.update("jax_disable_most_optimizations", True)
    yield
    jax.config.update("jax_disable_most_optimizations", False)


@pytest.fixture
def refused(capsys: pytest.CaptureFixture[str]) -> Callable[[str], str]:
    """Runs the command line, which must end with exit code 2 and one line on standard error: the line."""

    def line(arguments: str) -> str:
        from rvaejax.cli import main

        with pytest.raises(SystemExit) as end:
            main(arguments.split())
        error = capsys.readouterr().err
        assert end.value.code == 2 and error.count("\n") == 1 and error.startswith("rvaejax: ")
        return error

    return line
