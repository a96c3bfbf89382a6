"""`rvaejax train` and `encode` with classes, labels and signals; labels are looked at only where that is asked for."""

import numpy as np
import pytest

from rvaejax.cli import main
from rvaejax.rvae import load_model

MLP = """
encoder: {kind: MLPEncoder, hidden: 8, layers: 1}
decoder: {kind: SpatialDecoder, hidden: 8, layers: 1}
training: {batch_size: 8, piece: 2, evaluate_every: 2}
"""
SOME = MLP + "classes: {count: 3, labels: some}\n"


pytestmark = pytest.mark.usefixtures("quick_compilation")


@pytest.fixture
def files(tmp_path, monkeypatch):
    """Sub-images with labels of several sorts, and signals, in the working folder."""
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    images, labels = rng.random((24, 6, 6)).astype(np.float32), rng.integers(0, 3, 24)
    for name, label in {
        "some": np.where(labels > 0, labels, -1),
        "seven": labels + 5,
        "unlabelled": 0 * labels - 1,
    }.items():
        np.savez(f"{name}.npz", images=images, label=label)
    np.savez("bare.npz", images=images)
    np.savez("signals.npz", images=rng.random((24, 20)).astype(np.float32))
    (tmp_path / "some.yaml").write_text(SOME)
    return tmp_path


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ("seven.npz --config some.yaml", ["seven.npz", "label", "is not one of the 3 classes 0..2"]),
        ("unlabelled.npz --config some.yaml", ["unlabelled.npz", "no row is labelled", "labels: none"]),
        ("bare.npz --config some.yaml", ["bare.npz", "there is no array 'label'"]),
        ("signals.npz", ["signals of 20 px with rotation on", "--preset spectra"]),
    ],
)
def test_what_the_data_cannot_give_is_one_line_and_nothing_is_written(arguments, words, files, refused):
    line = refused(f"train {arguments} --out out")
    assert all(word in line for word in words), line
    assert not (files / "out").exists()


def test_some_labels_from_file_to_class_probabilities(files):
    main("train some.npz --out run --config some.yaml --steps 4".split())
    assert load_model(files / "run").config.classes.labels == "some"
    main("encode run bare.npz --out latents.npz".split())  # no labels are needed to encode
    with np.load(files / "latents.npz") as latents:
        assert latents["class_probability"].shape == (24, 3) and "scale" not in latents.files
        assert np.allclose(latents["class_probability"].sum(1), 1, atol=1e-5)


def test_signals_from_file_to_shifts(files):
    main("train signals.npz --out run --preset spectra --steps 4".split())
    main("encode run signals.npz --out latents.npz".split())
    with np.load(files / "latents.npz") as latents:
        assert latents["shift"][:, 0].std() > 0 and not latents["shift"][:, 1].any() and not latents["angle"].any()
        assert "class_probability" not in latents.files
