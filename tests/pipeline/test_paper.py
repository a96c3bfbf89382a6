"""The paper's figures from one command: sources, numbers that tell order from disorder, resuming, the page."""

import json
from dataclasses import replace
from types import SimpleNamespace

import jax.numpy as jnp
import numpy as np
import pytest

from rvaejax.analysis.sites import movie_sites
from rvaejax.baselines.config import PCA
from rvaejax.baselines.fit import fit
from rvaejax.cli import main
from rvaejax.errors import ConfigError, FormatError, ImageError, MissingFileError
from rvaejax.io.latents import LatentRows
from rvaejax.io.render import render
from rvaejax.pipeline.demo import SECTION
from rvaejax.pipeline.paper import components, lines, numbers
from rvaejax.pipeline.paper.config import PaperOptions
from rvaejax.pipeline.paper.reproduce import reproduce
from rvaejax.pipeline.paper.source import authors, given, thinned
from rvaejax.simulate.sheet import honeycomb
from rvaejax.types import Atoms, Latents, Maps, Movie, SubImages

PX, SIDE = 0.0157, 3.2
SIZE = round(SIDE / PX)


@pytest.fixture(scope="module")
def sheet():
    """Three frames of a sheet with a hole that grows; a Si at its rim in the last one."""
    xy = np.asarray(honeycomb(jnp.float32(0.1), jnp.zeros(2), jnp.full(2, SIDE / 2), SIDE), np.float64)
    xy = xy[((xy > 0.02) & (xy < SIDE - 0.02)).all(1)]
    away = np.hypot(*(xy - SIDE / 2).T)
    parts, species = [xy[away > r] for r in (0.3, 0.5, 0.7)], []
    for t, part in enumerate(parts):
        kind = np.full(len(part), "C", "U2")
        if t == 2:
            kind[np.hypot(*(part - SIDE / 2).T).argmin()] = "Si"
        species.append(kind)
    x, y = np.concatenate(parts).T / PX
    one = np.ones(len(x))
    frame = np.repeat([0, 1, 2], [len(p) for p in parts])
    return Atoms(frame, x, y, np.concatenate(species), one, 0 * one, PX)


@pytest.fixture(scope="module")
def run(sheet):
    """What a perfect rVAE would have left: the bonds' direction as the angle, crystallinity as the content."""
    sites = movie_sites(sheet, (SIZE, SIZE))
    n, rng = len(sheet), np.random.default_rng(0)
    known = np.isfinite(sites.sites.orientation)
    direction = np.where(known, sites.sites.orientation, rng.uniform(-np.pi, np.pi, n))
    direction = direction + 2 * np.pi / 3 * rng.integers(-1, 2, n)
    content = np.column_stack([sites.sites.crystallinity, rng.normal(size=n)]) + 1e-3 * rng.normal(size=(n, 2))
    latents = Latents(direction, np.zeros(n), np.zeros((n, 2)), content, 0 * content)
    rows = LatentRows(latents, sheet.frame, sheet.x, sheet.y, sheet.species, np.arange(n))
    maps = Maps(SimpleNamespace(shape=(3, SIZE, SIZE, 2)), ("C", "Si"), PX, (SIZE, SIZE), PX)
    return numbers.Run(sheet, sites, rows, maps, (1, (0, 1, 2), (0, 2)))


def test_the_hole_is_what_has_no_atoms(run):
    found = numbers.segmentation(run)
    assert found["C"] == (run.atoms.frame == 1).sum() and found["Si"] == 0
    radius = 0.5 + 0.5 * 0.12 - numbers.EMPTY_NM  # the rim's atoms stand between 0 and about 0.12 nm outside of it
    assert found["share of the frame without atoms"] == pytest.approx(np.pi * radius**2 / SIDE**2, rel=0.25)


def test_loss_and_silicon_at_the_edge(run):
    found = numbers.evolution(run)
    carbon = [((run.atoms.frame == t) & (run.atoms.species == "C")).sum() for t in (0, 2)]
    assert found["C"] == carbon and found["Si"] == [0, 1]
    assert found["5 and 7 rings per 100 hexagons"] == [0, 0]
    assert found["share of Si at an edge"] == [None, 1.0]


def test_sublattices_alternate_and_content_follows_order(run):
    found = numbers.real_space(run)
    assert found["angle between bonded sites, median [deg]"] == pytest.approx(60, abs=0.1)
    assert found["share within 15 deg of 60"] == 1
    assert found["content latent 1"]["AUC, ordered above disturbed"] > 0.99
    assert found["content latent 1"]["rank correlation with crystallinity"] > 0.9
    assert abs(found["content latent 2"]["AUC, ordered above disturbed"] - 0.5) < 0.15


def test_random_angles_do_not_alternate(run):
    blind = replace(run.rows.latents, angle=np.random.default_rng(1).uniform(-np.pi, np.pi, len(run.atoms)))
    other = run._replace(rows=run.rows._replace(latents=blind))
    assert numbers.real_space(other)["share within 15 deg of 60"] < 0.4
    assert numbers.dynamics(other)["width of the peaks, circular sd modulo 60 deg [deg]"][0] > 15


def test_two_peaks_that_lose_height_with_the_atoms(run):
    found = numbers.dynamics(run)
    assert found["peaks in the first frame"] == 2
    assert found["their distance [deg]"] == pytest.approx(60, abs=0.5)
    assert found["height of the highest peak, last over first"] < 1
    blurred = run.rows.latents.angle + np.where(run.rows.frame == 2, 0.1, 0) * np.random.default_rng(2).normal(
        size=len(run.atoms)
    )
    wider = run._replace(rows=run.rows._replace(latents=replace(run.rows.latents, angle=blurred)))
    found = numbers.dynamics(wider), found
    widths = [f["width of the peaks, circular sd modulo 60 deg [deg]"] for f in found]
    assert widths[0][1] > widths[1][1] and widths[0][0] == widths[1][0]
    assert (
        found[0]["height of the highest peak, last over first"]
        < found[1]["height of the highest peak, last over first"]
    )


def test_what_the_run_shows_is_made_of_its_numbers(run):
    said = lines.run_says("figure_3", numbers.evolution(run))
    assert str((run.atoms.frame == 0).sum()) in said and str((run.atoms.frame == 2).sum()) in said
    for figure in ("figure_2", "figure_6", "figure_6_large", "figure_7"):
        make = {"2": numbers.segmentation, "6": numbers.real_space, "7": numbers.dynamics}[figure.split("_")[1]]
        assert "nan" not in lines.run_says(figure, make(run)) and lines.paper_says(figure)


def alike(means, less, within):
    """Numbers of figure S1 whose draws are all that matters."""
    rest = {"plain": 0.5, "turned": 0.6, "copies": 0.1, "draws": 5}
    rest |= {"copies, draws": (0.3, 0.1), "copies, rVAE less this": (-0.2, 0.1)}
    return {
        name: rest | {"turned, draws": (m, 0.01), "turned, rVAE less this": (d, within)}
        for name, m, d in zip(("GMM", "VAE", "rVAE"), means, less, strict=True)
    }


def test_components_are_less_alike_only_by_more_than_draws_scatter():
    said = lines.run_says("figure_S1", {"small": alike((0.68, 0.8, 0.67), (-0.01, -0.13, 0.0), 0.02)})
    assert "rVAE less GMM -0.010 ± 0.020: not told apart; rVAE less VAE -0.130 ± 0.020: less alike." in said
    said = lines.run_says("figure_S1", {"large": alike((0.6, 0.8, 0.7), (0.1, -0.1, 0.0), 0.02)})
    assert "rVAE less GMM +0.100 ± 0.020: more alike;" in said and said.startswith("Mean") and said.endswith("fewer.")


def test_each_draw_is_of_other_subimages_and_the_same_for_all_methods(monkeypatch):
    rng = np.random.default_rng(9)
    images = rng.normal(size=(203, 8, 8, 1)).astype(np.float32)
    zero = np.zeros(len(images))
    windows = SubImages(images, zero.astype(int), zero, zero, np.full(len(zero), "C"), np.arange(len(zero)))
    seen = {"fit": [], "latent_gmm": []}
    for name in seen:
        own = getattr(components, name)

        def noted(first, some, *, own=own, name=name, **options):
            seen[name].append(some.atom.tolist())
            return own(first, some, **options)

        monkeypatch.setattr(components, name, noted)
    network = fit(PCA(components=2), windows)
    found = components.similarity_of_draws(windows, {"VAE": network}, PaperOptions(classes=3, draws=4))
    assert seen["fit"] == seen["latent_gmm"] and sorted(sum(seen["fit"], [])) == list(range(203))
    assert {name: len(of["copies"]) for name, of in found.items()} == {"GMM": 4, "VAE": 4}
    assert np.ptp(found["GMM"]["turned"]) > 0
    assert all(-1 <= v <= 1 for of in found.values() for values in of.values() for v in values)


def test_evenly_spaced_frames_of_a_table_keep_their_atoms(sheet):
    movie = Movie(np.arange(3)[:, None, None] * np.ones((3, 8, 8)), PX, dose=np.ones(3), atoms=sheet, frame_time_s=2.0)
    less = thinned(movie, 2)
    assert len(less) == 2 and float(less.frames[1][0, 0]) == 2
    assert (np.unique(less.atoms.frame) == [0, 1]).all()
    assert len(less.atoms) == ((sheet.frame == 0) | (sheet.frame == 2)).sum()
    assert less.dose.sum() == 3 and less.frame_time_s == 4
    assert thinned(movie, None) is movie


def decoded(sheet, path, **options):
    """What the authors' network might have left of a sheet: blobs of C, of Si, and the background."""
    stack = []
    for t in range(3):
        here = sheet.select(sheet.frame == t)
        of = [here.select(here.species == s) for s in ("C", "Si")]
        maps = [render(a.x, a.y, np.ones(len(a)), 2.2, (SIZE, SIZE)) for a in of]
        stack.append(np.stack([*maps, 1 - sum(maps)], -1))
    np.save(path, np.array(stack, np.float32))
    return authors(path, PaperOptions(authors_array=path, **options))


def test_the_authors_maps_give_back_their_atoms(sheet, tmp_path):
    found = decoded(sheet, tmp_path / "decoded.npy", px_nm=PX)
    maps, atoms = found.known()
    assert maps.species == ("C", "Si") and maps.probabilities[0].shape == (SIZE, SIZE, 2)
    inner = (np.minimum(sheet.x, sheet.y) > 6) & (np.maximum(sheet.x, sheet.y) < SIZE - 7)
    for t in range(3):
        true, here = sheet.select(inner & (sheet.frame == t)), atoms.select(atoms.frame == t)
        away = np.hypot(true.x[:, None] - here.x, true.y[:, None] - here.y)
        assert away.min(1).max() < 0.5
        assert (true.species == here.species[away.argmin(1)]).all()


def test_arrays_that_are_not_the_authors(tmp_path):
    path = tmp_path / "array.npy"
    options = PaperOptions(authors_array=path)
    with pytest.raises(MissingFileError, match="zenodo"):
        given(options)
    np.save(path, np.array([{"a": 1}], dtype=object), allow_pickle=True)
    with pytest.raises(FormatError, match="numbers"):
        given(options)
    np.save(path, np.zeros((2, 8, 8, 2)))
    with pytest.raises(ImageError, match=r"\(2, 8, 8, 2\)"):
        given(options)


@pytest.mark.parametrize(
    ("options", "word"),
    [
        ({"small_window_nm": 1.2}, "small window"),
        ({"share": 0.0}, "share"),
        ({"classes": 1}, "classes"),
        ({"draws": 1}, "draws"),
        ({"steps": 0}, "steps"),
        ({"movie": "a.csv", "authors_array": "b.npy"}, "exclude"),
    ],
)
def test_options_that_make_no_sense(options, word):
    with pytest.raises(ConfigError, match=word):
        PaperOptions(**options)


def test_a_small_trial_keeps_what_is_asked_for():
    assert PaperOptions(small=True, steps=7).in_full.steps == 7
    assert PaperOptions(small=True).in_full.frames is not None
    assert PaperOptions().in_full == PaperOptions()


def test_the_command_line_says_what_is_wrong(refused, tmp_path):
    assert "no such file" in refused(f"reproduce paper --out {tmp_path / 'out'} --movie {tmp_path / 'none.csv'}")
    assert "nothing" in refused(f"reproduce nothing --out {tmp_path / 'out'}")
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_one_command_gives_every_figure_and_a_resumed_one_redoes_nothing(quick_compilation, tmp_path, monkeypatch):
    # those of each window's run
    monkeypatch.setattr("rvaejax.pipeline.run.draw_figures", lambda folder, structure: None)
    out = tmp_path / "paper"
    arguments = ["reproduce", "paper", "--out", str(out), "--small", "--preset", "paper", "--steps", "4"]
    arguments += ["--baseline-steps", "4", "--rows", "200"]
    main(arguments)
    drawn = {path.stem for path in (out / "figures").glob("*.png")}
    assert drawn == set(lines.TITLES)
    page, found = (out / "paper.md").read_text(), json.loads((out / "numbers.json").read_text())
    for name in drawn:
        assert f"figures/{name}.png" in page and lines.paper_says(name) in page
        assert lines.run_says(name, found[name]) in page
    assert page.count("\n*This run:*") == page.count("\n*The paper:*") == len(drawn)
    assert (out / "paper.html").read_text().count("data:image/png;base64,") == len(drawn)
    long = ("movie.npz", *(f"{part}/latents.h5" for part in ("small", "large", "quarter")), "large/components.json")
    before = {name: (out / name).stat().st_mtime_ns for name in long}
    scores = json.loads((out / "large" / "summary.json").read_text())[SECTION]
    for name in ("paper.md", "large/report.html", "large/summary.json"):
        (out / name).unlink()
    main([*arguments, "--resume"])
    # an analysis that was interrupted after the movie had been simulated is compared with its truth, too
    assert json.loads((out / "large" / "summary.json").read_text())[SECTION] == pytest.approx(scores, abs=2e-3)
    before["large/latents.h5"] = (out / "large/latents.h5").stat().st_mtime_ns
    assert {name: (out / name).stat().st_mtime_ns for name in long} == before
    assert (out / "paper.md").read_text() == page
    options = PaperOptions(small=True, preset="paper", steps=5, baseline_steps=4, rows=200)
    with pytest.raises(ConfigError, match="steps 4, not 5"):
        reproduce(out, options, resume=True)
