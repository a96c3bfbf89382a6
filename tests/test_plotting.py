from dataclasses import replace

import matplotlib
import numpy as np
import pytest
from matplotlib.collections import PathCollection
from matplotlib.figure import Figure
from PIL import Image

from rvaejax import plotting
from rvaejax.analysis.circular import fold_angle
from rvaejax.plotting.images import composite
from rvaejax.plotting.maps import three_frames
from rvaejax.plotting.style import CYCLIC, robust_limits
from rvaejax.plotting.training import flatten, split_name
from rvaejax.types import Atoms, Latents

SIZE = (60, 80)


def scene(frames=5, per_frame=60, silicon=3):
    rng = np.random.default_rng(0)
    n = frames * per_frame
    species = np.where(np.arange(n) % per_frame < silicon, "Si", "C")
    x, y = rng.uniform(0, SIZE[1] - 1, n), rng.uniform(0, SIZE[0] - 1, n)
    atoms = Atoms(np.repeat(np.arange(frames), per_frame), x, y, species, np.ones(n), np.zeros(n), 0.016)
    rows = np.flatnonzero(species == "C")
    content = rng.normal(size=(len(rows), 2))
    angle = rng.uniform(-np.pi, np.pi, len(rows))
    return atoms, Latents(angle, 0 * angle, np.zeros((len(rows), 2)), content, 0 * content), rows


def all_figures(frames):
    atoms, latents, rows = scene(frames)
    frame = atoms.frame[rows]
    grid = np.random.default_rng(1).random((3, 4, 8, 8, 2))
    metrics = [{"step": i, "elbo": -1.0 / (i + 1), "holdout_elbo": -2.0, "kl_angle": 0.5} for i in range(5)]
    return {
        "overview": plotting.frame_overview(
            np.random.default_rng(2).integers(0, 999, SIZE).astype(np.uint16), atoms, 0
        ),
        "maps": plotting.real_space_maps(atoms, latents, rows=rows, size=SIZE),
        "manifold": plotting.latent_manifold(grid),
        "angles": plotting.angle_histogram(latents),
        "angle_time": plotting.angle_over_time(latents, frame),
        "content_time": plotting.content_over_time(latents, frame, 33.5),
        "counts": plotting.atom_counts(atoms),
        "losses": plotting.losses(metrics),
    }


@pytest.mark.parametrize("frames", [1, 2, 5])
def test_every_figure_is_drawn_and_saved_without_a_window(tmp_path, frames):
    for name, figure in all_figures(frames).items():
        assert isinstance(figure, Figure)
        plotting.save_figure(figure, tmp_path / f"{name}.png", dpi=60)
        with Image.open(tmp_path / f"{name}.png") as image:
            assert min(image.size) > 100 and np.asarray(image.convert("L")).std() > 1
    assert "matplotlib.pyplot" not in str(type(figure.canvas))


def test_figures_of_nothing():
    atoms, latents, rows = scene(3)
    none, no_latents = atoms.select(np.zeros(0, int)), Latents(*(np.zeros((0, *s)) for s in ((), (), (2,), (2,), (2,))))
    for figure in (
        plotting.frame_overview(np.zeros(SIZE), none),
        plotting.real_space_maps(none, no_latents, size=SIZE),
        plotting.angle_histogram(no_latents),
        plotting.angle_over_time(no_latents, np.zeros(0, int)),
        plotting.content_over_time(no_latents, np.zeros(0, int)),
        plotting.atom_counts(none),
        plotting.losses([]),
    ):
        figure.canvas.draw()


def test_atoms_are_drawn_where_they_are_and_y_points_down():
    atoms, _, _ = scene(2)
    figure = plotting.frame_overview(np.random.default_rng(0).random(SIZE), atoms, 1)
    axes = figure.axes[1]
    drawn = np.concatenate([c.get_offsets() for c in axes.collections if isinstance(c, PathCollection)])
    here = atoms.select(atoms.frame == 1)
    expected = np.c_[here.x, here.y]
    np.testing.assert_allclose(np.sort(drawn, axis=0), np.sort(expected, axis=0))
    assert axes.get_ylim() == (SIZE[0] - 0.5, -0.5) and axes.get_xlim() == (-0.5, SIZE[1] - 0.5)


def test_maps_show_each_latent_at_its_own_atom():
    atoms, latents, rows = scene(5)
    figure = plotting.real_space_maps(atoms, latents, rows=rows, fold=1, size=SIZE)
    last_column = figure.axes[2]
    dots, silicon = (c for c in last_column.collections if isinstance(c, PathCollection))
    here = atoms.frame[rows] == 4
    np.testing.assert_allclose(dots.get_offsets(), np.c_[atoms.x[rows][here], atoms.y[rows][here]])
    np.testing.assert_allclose(dots.get_array(), latents.angle[here])
    assert len(silicon.get_offsets()) == 3
    with pytest.raises(ValueError, match="subimages.atom"):
        plotting.real_space_maps(atoms, latents)


def test_three_content_latents_are_all_shown():
    """The preset `default` has three; the third may be the one that tells edges."""
    atoms, latents, rows = scene(2)
    three = replace(latents, content=np.column_stack([latents.content[:, :2], latents.angle]))
    labels = [axes.get_ylabel() for axes in plotting.real_space_maps(atoms, three, rows=rows, size=SIZE).axes]
    assert [label for label in labels if "content" in label] == [f"content latent {i}" for i in (1, 2, 3)]
    grid = np.random.default_rng(0).random((3, 3, 8, 8, 1))
    titles = [plotting.latent_manifold(grid, held=held).axes[0].get_title() for held in (0, 1, 2)]
    assert "median" not in titles[0] and titles[1].endswith("; content latent 3 at its median")
    assert titles[2].endswith("; content latents 3 to 4 at their medians")


def test_all_frames_share_one_scale_which_outliers_do_not_set():
    atoms, latents, rows = scene(5)
    latents.content[0, 0] = 1e6
    figure = plotting.real_space_maps(atoms, latents, rows=rows, size=SIZE)
    limits = {axes.collections[0].get_clim() for axes in figure.axes[3:6]}
    assert len(limits) == 1 and limits.pop()[1] < 5


@pytest.mark.parametrize("fold", [1, 2, 3, 6])
def test_folded_angles_are_what_the_symmetry_leaves(fold):
    angle = np.random.default_rng(0).uniform(-20, 20, 500)
    folded = fold_angle(angle, fold)
    low, high = (-np.pi, np.pi) if fold == 1 else (0, 2 * np.pi / fold)
    assert folded.min() >= low and folded.max() <= high
    np.testing.assert_allclose(np.exp(1j * fold * folded), np.exp(1j * fold * angle), atol=1e-9)
    np.testing.assert_allclose(fold_angle(angle + 2 * np.pi / fold, fold), folded, atol=1e-9)


def test_colours_of_an_angle_close_and_stand_out():
    colours = CYCLIC(np.linspace(0, 1, 256))[:, :3]
    np.testing.assert_allclose(colours[0], colours[-1])
    luminance = colours @ [0.2126, 0.7152, 0.0722]
    assert luminance.max() < 0.82  # not lost on white paper
    assert np.abs(np.diff(colours, axis=0)).max() < 0.03


def test_manifold_has_latent_two_upwards():
    grid = np.zeros((2, 2, 4, 4, 1))
    grid[1, 0] = 1.0  # largest second latent, smallest first: upper left
    figure = plotting.latent_manifold(grid)
    canvas = figure.axes[0].images[0].get_array()
    assert canvas[:4, :4].min() == 1 and canvas[5:, :4].max() == 0
    assert [t.get_text() for t in figure.axes[0].get_yticklabels()] == ["-2", "2"]


def test_channels_are_told_apart():
    images = np.zeros((1, 2, 2))
    images[0, 0] = [1, 0]
    images[0, 1] = [0, 1]
    carbon, silicon = composite(images)[0]
    assert carbon[2] > carbon[0] and silicon[0] > silicon[2]


def test_histograms_over_time_count_every_atom():
    _, latents, rows = scene(5)
    frame = scene(5)[0].frame[rows]
    figure = plotting.angle_over_time(latents, frame)
    for axes in figure.axes[:2]:
        counts = axes.images[0].get_array()
        np.testing.assert_array_equal(counts.sum(0), np.bincount(frame))


def test_frames_without_atoms_count_as_zero():
    atoms, _, _ = scene(3)
    figure = plotting.atom_counts(atoms.select(atoms.frame != 1), frames=5)
    np.testing.assert_array_equal(figure.axes[0].lines[0].get_ydata(), [57, 0, 57, 0, 0])


def test_three_frames():
    assert three_frames(np.repeat(np.arange(50), 3)) == (0, 25, 49)
    assert three_frames(np.array([4, 4])) == (4,)
    assert three_frames(np.array([4, 9])) == (4, 9)


def test_robust_limits():
    assert robust_limits(np.array([np.nan])) == (0.0, 1.0)
    assert robust_limits(np.full(4, 2.0)) == (1.5, 2.5)
    low, high = robust_limits(np.r_[np.linspace(0, 1, 1000), 1e9])
    assert 0 < low < 0.02 and 0.98 < high < 1


@pytest.mark.parametrize(
    ("name", "term", "held_out"),
    [
        ("elbo", "elbo", False),
        ("holdout_kl_angle", "kl_angle", True),
        ("test/elbo", "elbo", True),
        ("train_elbo", "elbo", False),
        ("elbo_held_out", "elbo", True),
    ],
)
def test_names_of_metrics(name, term, held_out):
    assert split_name(name) == (term, held_out)


def test_losses_draw_training_and_held_out_terms():
    rows = [{"step": s, "elbo": -9.0 / (s + 1), "kl_angle": s, "note": "x"} for s in range(6)]
    rows[-1]["holdout_elbo"] = -2.5
    figure = plotting.losses(rows)
    labels = [line.get_label() for axes in figure.axes for line in axes.lines]
    assert labels == ["elbo", "elbo, held out", "kl angle"]
    assert flatten({"step": 1, "train": {"elbo": -3}}) == {"step": 1.0, "train/elbo": -3.0}


def test_drawing_leaves_matplotlib_as_it_was():
    before = dict(matplotlib.rcParams)
    all_figures(2)
    assert dict(matplotlib.rcParams) == before
