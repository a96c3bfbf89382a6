"""Several movies in one latent space: the comparison's numbers, the folders, resuming, and what is refused."""

import csv
import json
from dataclasses import replace

import jax.numpy as jnp
import numpy as np
import pytest
import yaml

from rvaejax.analysis.conditions import compare, differing_scales, joined, most_apart, notes, part_of, split
from rvaejax.analysis.deviation import crystallinity, deviation
from rvaejax.analysis.dynamics import OFF
from rvaejax.atoms.subimages import cut_subimages, stacked
from rvaejax.cli import main
from rvaejax.errors import ConfigError, ImageError
from rvaejax.io.coordinates import read_coordinates
from rvaejax.io.latents import read_latents_h5
from rvaejax.io.movies import read_movie
from rvaejax.io.tables import write_atoms
from rvaejax.pipeline import dynamics
from rvaejax.pipeline.check import judged_rows, run_subimages, shared_rows
from rvaejax.pipeline.conditions import checked_labels, run_conditions
from rvaejax.pipeline.config import CheckConfig, RunConfig
from rvaejax.pipeline.run import report
from rvaejax.plotting.conditions import curves, distributions
from rvaejax.report.contents import side_by_side
from rvaejax.rvae.model import split_rows
from rvaejax.rvae.storage import load_model
from rvaejax.segmentation.predict import segment
from rvaejax.simulate.sheet import honeycomb
from rvaejax.types import Atoms, Latents

FEW = RunConfig(preset="paper", steps=4, max_seconds=300.0)


def latents(content, angle=0.0):
    n = len(content)
    zero = np.zeros(n)
    return Latents(np.full(n, float(angle)), zero, np.zeros((n, 2)), content, 0 * content)


def write_sheet(path, px_nm, shake_nm=0.0, frames=(0, 1), side_nm=1.8, seed=0):
    """A table of carbon atoms of a square of graphene, shaken, in each of some frames."""
    centre = jnp.full(2, side_nm / 2)
    xy = np.asarray(honeycomb(jnp.float32(0.1), jnp.zeros(2), centre, side_nm), np.float64)
    xy = xy[((xy > 0.05) & (xy < side_nm - 0.05)).all(1)]
    rng = np.random.default_rng(seed)
    x, y = (np.tile(xy, (len(frames), 1)) + shake_nm * rng.normal(size=(len(frames) * len(xy), 2))).T / px_nm
    one = np.ones(len(x))
    write_atoms(path, Atoms(np.repeat(frames, len(xy)), x, y, np.full(len(x), "C"), one, 0 * one, px_nm))


def test_the_distance_of_moved_distributions_is_how_far_they_are_moved():
    rng = np.random.default_rng(0)
    content = rng.normal(size=(3000, 2))
    told = compare({"a": latents(content), "b": latents(content + [0.5, 0.0], 0.1), "c": latents(content[::2])})
    pooled = np.concatenate([content, content + [0.5, 0.0], content[::2]]).std(0)
    assert told.distance[0, 1, 0] == pytest.approx(0.5 / pooled[0], rel=1e-6)
    assert told.distance[0, 1, 1] == pytest.approx(0, abs=1e-9) and told.distance[0, 2, 0] < 0.1
    assert np.allclose(told.distance, told.distance.transpose(1, 0, 2))
    assert told.sites.tolist() == [3000, 3000, 1500] and np.allclose(told.order, 1)
    assert told.mean[1, 0] - told.mean[0, 0] == pytest.approx(0.5)


def test_halves_of_one_movie_say_what_a_distance_is_worth():
    """b moves by a whole unit between its halves, so its distance of half a unit from a says little; a stands still."""
    rng = np.random.default_rng(4)
    still, frame = rng.normal(size=(4000, 2)), np.repeat(np.arange(8), 500)
    moving = still + np.column_stack([(frame >= 4).astype(float), np.zeros(4000)])
    told = compare({"a": latents(still), "b": latents(moving)}, frames={"a": frame, "b": frame})
    unit = np.concatenate([still, moving]).std(0)
    assert told.within[1, 0] == pytest.approx(1 / unit[0], abs=0.08) and told.within[0].max() < 0.08
    assert told.distance[0, 1, 0] == pytest.approx(0.5 / unit[0], abs=0.02)
    (line,) = most_apart(told)
    assert line.startswith("Most apart from a: b in content latent 1, by 0.4") and f"{told.within[1, 0]:.2f}." in line
    alone = compare({"a": latents(still), "b": latents(moving)}, frames={"a": 0 * frame, "b": 0 * frame})
    assert np.isnan(alone.within).all() and "halves" not in most_apart(alone)[0]
    assert np.isnan(compare({"a": latents(still)}).within).all() and not most_apart(compare({"a": latents(still)}))


def test_notes_say_how_the_share_off_the_crystal_changed_where_it_did():
    rng = np.random.default_rng(5)
    told = compare({"5 points": latents(rng.normal(size=(200, 2))), "hot": latents(rng.normal(size=(200, 2)))})
    still = {label: {OFF: np.array([0.1])} for label in told.labels}
    assert not any("brackets" in line for line in notes(told, still))
    (line,) = (line for line in notes(told, {**still, "hot": {OFF: np.array([0.1, np.nan, 0.35])}}) if "off" in line)
    assert "in brackets from the first to the last frame" in line and line.endswith("(+25 points).")
    assert f"5 points {told.off[0]:.0%}, hot" in line


def test_numbers_of_the_movies_stand_side_by_side():
    rows = side_by_side({"cold": {"atoms": 3, "bond": 0.1421}, "hot": {"atoms": 12_000, "bond": "", "more": 1.0}})
    assert rows == (("", "cold", "hot"), ("atoms", "3", "12,000"), ("bond", "0.1421", "–"), ("more", "–", "1"))
    assert side_by_side({}) == ()


def test_what_is_off_the_crystal_is_told_from_one_crystal_for_all():
    """A movie that is all disorder has no crystal of its own: only together with the others it stands out."""
    rng = np.random.default_rng(1)
    crystal, broken = 0.1 * rng.normal(size=(2000, 2)), 3 + 0.1 * rng.normal(size=(500, 2))
    told = compare({"fresh": latents(crystal), "destroyed": latents(broken)})
    assert told.off[0] < 0.02 and told.off[1] > 0.99
    assert compare({"destroyed alone": latents(broken)}).off[0] < 0.02


def test_movies_whose_pixels_do_not_agree_are_told():
    px = (0.01, 0.02, 0.03)
    assert not differing_scales(("a", "b", "c"), (0.1420, 0.1431, np.nan), px)
    assert not differing_scales(("a",), (np.nan,), px[:1])
    (line,) = differing_scales(("cold", "hot", "empty"), (0.1397, 0.1440, np.nan), px)
    assert "cold 0.1397 nm, hot 0.1440 nm." in line
    assert "--pixel-sizes 0.010165 0.019722 0.03 makes" in line  # 0.01 x 142 / 139.7, 0.02 x 142 / 144


def test_joined_and_apart_again():
    parts = [latents(np.random.default_rng(i).normal(size=(n, 2)), i) for i, n in enumerate((5, 0, 3))]
    whole = joined(parts)
    assert len(whole) == 8 and whole.scale is None
    assert np.array_equal(part_of(whole, slice(5, 8)).content, parts[2].content)
    assert [len(v) for v in split(whole.angle, [5, 0, 3])] == [5, 0, 3]


def test_windows_of_movies_with_different_pixels_show_the_same(tmp_path):
    """One sheet in two tables, of 10 and of 20 pm pixels: with a common window pixel their windows are equal."""
    stacks = []
    for px in (0.010, 0.020):
        write_sheet(tmp_path / f"{px}.csv", px, frames=(0,))
        maps = segment(read_movie(tmp_path / f"{px}.csv"))
        stacks.append(cut_subimages(maps, read_coordinates(tmp_path / f"{px}.csv").atoms, window_px_nm=0.02))
    assert stacks[0].images.shape[1:] == stacks[1].images.shape[1:]
    places = [np.column_stack([s.x, s.y]) * px for s, px in zip(stacks, (0.01, 0.02), strict=True)]
    away = np.hypot(*(places[0][:, None] - places[1][None]).transpose(2, 0, 1))
    here, there = np.nonzero(away < 1e-3)  # frames end at multiples of 16 px, so that not all have a whole window
    assert len(here) > 60
    a, b = stacks[0].images[here].astype(float), stacks[1].images[there].astype(float)
    assert np.abs(a - b).max() < 0.08
    together = stacked(stacks)
    assert len(together) == len(stacks[0]) + len(stacks[1]) and together.pixel_size_nm == 0.02
    with pytest.raises(ImageError, match="together"):
        stacked([stacks[0], replace(stacks[1], images=stacks[1].images[:, 1:-1, 1:-1])])


def test_labels_that_cannot_name_a_folder():
    assert checked_labels(["a/one.tif", "two.csv.gz"], ()) == ("one", "two")
    assert checked_labels(["a.tif", "b.tif"], ("300 K", "-40C")) == ("300 K", "-40C")
    of_the_comparison = [("x", name) for name in ("figures", "report.html", "conditions.csv", "notes", "seconds")]
    for labels in (("x",), ("x", "x"), ("x", "a/b"), ("x", ".."), ("x", ""), *of_the_comparison):
        with pytest.raises(ConfigError, match="label"):
            checked_labels(["a.tif", "b.tif"], labels)
    with pytest.raises(ConfigError, match="labelled 'movie'"):
        checked_labels(["cold/movie.tif", "hot/movie.tif"], ())


def test_the_command_line_refuses_what_makes_no_sense(refused, tmp_path):
    write_sheet(tmp_path / "a.csv", 0.016)
    write_sheet(tmp_path / "b.csv", 0.016)
    two, out = f"{tmp_path / 'a.csv'} {tmp_path / 'b.csv'}", f"--out {tmp_path / 'out'}"
    assert "INPUT" in refused(f"run {out}")
    assert "--labels" in refused(f"run {two} {out} --labels cold")
    assert "leave it out" in refused(f"run {tmp_path / 'a.csv'} {out} --labels cold")
    assert "1 for 2 movies" in refused(f"run {two} {out} --pixel-sizes 0.016")
    assert "--px-nm" in refused(f"run {tmp_path / 'a.csv'} {out} --pixel-sizes 0.016")
    assert "one table" in refused(f"run {two} {out} --centres {tmp_path / 'a.csv'}")
    assert "no such file" in refused(f"run {two} {tmp_path / 'none.csv'} {out}")
    assert not (tmp_path / "out").exists()


def test_each_movie_has_the_pixel_size_that_is_said_of_it(monkeypatch, tmp_path):
    """Windows have the finest of them; without it the tables' own hold."""
    for name in "ab":
        write_sheet(tmp_path / f"{name}.csv", 0.016)
    seen = []

    def stop(movie, config):
        seen.append((movie.pixel_size_nm, config.window_px_nm))
        raise InterruptedError

    monkeypatch.setattr("rvaejax.pipeline.conditions.found.points", stop)
    for sizes in ((0.0158, 0.0163), ()):
        with pytest.raises(InterruptedError):
            run_conditions([tmp_path / "a.csv", tmp_path / "b.csv"], tmp_path / "out", FEW, pixel_sizes_nm=sizes)
    assert seen == [(0.0158, 0.0158), (pytest.approx(0.016), None)]


def test_a_line_for_each_condition():
    from rvaejax.analysis.dynamics import frame_clock

    rng = np.random.default_rng(2)
    many = {f"{i}": latents(rng.normal(size=(50, 2)) + i, 0.1 * i) for i in range(7)}
    figure = distributions(many)
    assert [len(axes.patches) for axes in figure.axes] == [7, 7, 7]
    assert [axes.get_yscale() for axes in figure.axes] == ["linear", "log", "log"]
    for axes in figure.axes[1:]:  # a single site can still be seen
        heights = np.concatenate([patch.get_data().values for patch in axes.patches])
        one = heights[heights > axes.get_ylim()[0] * 1.001].min()
        assert one == pytest.approx(2 * axes.get_ylim()[0], rel=1e-6)
    drawn = curves({k: {"order": np.arange(4.0)} for k in many}, {k: frame_clock(4, None, None) for k in many})
    assert len(drawn.axes[0].lines) == 7


@pytest.mark.slow
def test_two_movies_one_model_and_each_folder_is_a_run(quick_compilation, tmp_path, monkeypatch):
    write_sheet(tmp_path / "fresh.csv", 0.016)
    write_sheet(tmp_path / "shaken.csv", 0.018, shake_nm=0.02, frames=(0, 1, 2), seed=1)
    sources, out = [tmp_path / "fresh.csv", tmp_path / "shaken.csv"], tmp_path / "out"
    looked, find_sites = [], dynamics.movie_sites
    monkeypatch.setattr(dynamics, "movie_sites", lambda *a: looked.append(len(a[0])) or find_sites(*a))
    results = run_conditions(sources, out, FEW, labels=("cold", "hot"))
    assert looked == [len(one.atoms) for one in results.values()]  # bonds are found once a movie
    rows = {row["condition"]: row for row in csv.DictReader((out / "conditions.csv").read_text().splitlines())}
    assert rows["cold"]["frames"] == "2" and rows["hot"]["frames"] == "3"
    assert {path.stem for path in (out / "figures").glob("*.png")} == {"condition_distributions", "condition_curves"}
    page = (out / "report.html").read_text()
    assert (
        '<th scope="col">cold</th><th scope="col">hot</th>' in page and "Median bonds differ" in page
    )  # shaking by 0.02 nm makes them 2 % longer
    assert float(rows["cold"]["median bond length [nm]"]) == pytest.approx(0.142, abs=1e-3)
    total = sum(len(one.subimages) for one in results.values())
    away = deviation(joined([one.latents for one in results.values()]))
    own = crystallinity(away)
    for number, (label, one) in enumerate(results.items()):
        stored = read_latents_h5(out / label / "latents.h5")
        assert np.array_equal(stored.latents.content, one.latents.content)
        here = slice(0, len(one.subimages)) if label == "cold" else slice(total - len(one.subimages), total)
        assert np.allclose(stored.order.crystallinity_own, own[here])  # one crystal and one scale for both
        assert np.std(stored.order.crystallinity) < np.std(stored.order.crystallinity_own)
        again = run_subimages(out / label)
        assert np.abs(again.images.astype(float) - one.subimages.images).max() < 0.02
        assert int(rows[label]["sub-images"]) == len(again)
        first, of = shared_rows(out / label)
        assert of == total and first == (0, len(results["cold"].subimages))[number]
        model = load_model(out / label)
        judged, known = judged_rows(model, len(again), CheckConfig(rows=20), True, (first, of))
        held = set(split_rows(total, model.config.training.holdout, model.seed)[1])
        assert known == (len(held & set(range(first, first + len(again)))) >= 20)
        assert not known or {int(row) + first for row in judged} <= held
        assert (out / label / "report.html").is_file()
        assert json.loads((out / label / "summary.json").read_text())["movie"]["frames"] == len(one.movie)
    window_px = yaml.safe_load((out / "hot" / "config.yaml").read_text())["run"]["window_px_nm"]
    assert window_px == pytest.approx(0.016, rel=1e-6)
    before, model = rows, load_model(out)
    monkeypatch.setattr("rvaejax.pipeline.run.draw_figures", lambda folder, structure: None)
    arguments = ["--labels", "cold", "hot", "--resume", "--preset", "paper", "--steps", "4", "--max-seconds", "300"]
    main(["run", *map(str, sources), "--out", str(out), *arguments])
    assert load_model(out).steps == model.steps
    rows = {row["condition"]: row for row in csv.DictReader((out / "conditions.csv").read_text().splitlines())}
    (out / "report.html").unlink()
    (out / "hot" / "report.html").unlink()
    assert report(out) == out / "report.html" and (out / "hot" / "report.html").is_file()
    for name in ("atoms", "sub-images"):
        assert rows["hot"][name] == before["hot"][name]
    with pytest.raises(ConfigError, match="labels"):
        run_conditions(sources, out, FEW, labels=("cold", "warm"), resume=True)
