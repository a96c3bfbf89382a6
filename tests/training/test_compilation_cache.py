"""Compiled programs are code: they are kept where nobody but the user can write, or not at all."""

import os
import subprocess
import sys

import pytest

from rvaejax.training import cache
from rvaejax.training.cache import CHOSEN, keep_compiled


@pytest.fixture
def no_jax(monkeypatch):
    """As in a process that has just begun."""
    monkeypatch.delitem(sys.modules, "jax")


def test_the_folder_is_the_users_alone(tmp_path, no_jax):
    environment = {"XDG_CACHE_HOME": str(tmp_path)}
    folder = keep_compiled(environment)
    assert folder.parent == tmp_path / "rvaejax" and environment[CHOSEN] == str(folder)
    for path in (folder, folder.parent):
        assert path.stat().st_mode & 0o777 == 0o700
    assert float(environment["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"]) == 0
    folder.parent.chmod(0o777)  # mended at the next start
    assert keep_compiled({"XDG_CACHE_HOME": str(tmp_path)}) == folder
    assert folder.parent.stat().st_mode & 0o777 == 0o700


def test_without_xdg_it_lies_in_the_home_folder(tmp_path, no_jax):
    for xdg in ({}, {"XDG_CACHE_HOME": "relative"}):
        assert keep_compiled({"HOME": str(tmp_path), **xdg}).is_relative_to(tmp_path / ".cache" / "rvaejax")


def test_the_users_own_choice_stands(tmp_path, no_jax):
    for chosen in (str(tmp_path / "mine"), ""):
        environment = {CHOSEN: chosen, "XDG_CACHE_HOME": str(tmp_path)}
        assert keep_compiled(environment) is None and environment[CHOSEN] == chosen
    assert not list(tmp_path.iterdir())


def test_nothing_is_kept_where_others_can_write(tmp_path, no_jax):
    shared = tmp_path / "shared"
    shared.mkdir()
    shared.chmod(0o1777)
    environment = {"XDG_CACHE_HOME": str(shared), "HOME": str(tmp_path)}
    assert keep_compiled(environment) is None and CHOSEN not in environment and not list(shared.iterdir())
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (tmp_path / "links").mkdir()
    (tmp_path / "links" / "rvaejax").symlink_to(elsewhere)
    assert keep_compiled({"XDG_CACHE_HOME": str(tmp_path / "links")}) is None and not list(elsewhere.iterdir())


def test_without_a_place_there_is_no_cache_and_no_error(tmp_path, no_jax):
    (tmp_path / "file").write_text("")
    assert keep_compiled({}) is None
    assert keep_compiled({"XDG_CACHE_HOME": str(tmp_path / "file" / "below")}) is None


def test_a_process_that_has_loaded_jax_is_left_alone(tmp_path):
    assert keep_compiled({"XDG_CACHE_HOME": str(tmp_path)}) is None and not list(tmp_path.iterdir())


def test_the_oldest_programs_go_first(tmp_path):
    for age in range(5):
        (tmp_path / f"{age}").write_bytes(bytes(100))
        os.utime(tmp_path / f"{age}", (1000 - age, 1000 - age))
    cache._drop_oldest(tmp_path, 250)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["0", "1"]


@pytest.mark.process
def test_a_second_process_compiles_nothing_anew(tmp_path):
    code = "from rvaejax.training.cache import keep_compiled\nprint(keep_compiled())\nimport jax\n"
    code += "jax.jit(lambda x: x * 2 + 1)(jax.numpy.ones(7)).block_until_ready()"
    kept = []
    for _ in range(2):
        environment = {k: v for k, v in os.environ.items() if not k.startswith("JAX_")} | {
            "XDG_CACHE_HOME": str(tmp_path)
        }
        done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
        assert not done.stderr
        kept.append(sorted(p.name for p in (tmp_path / "rvaejax").rglob("*-cache")))
    assert kept[0] and kept[0] == kept[1]
