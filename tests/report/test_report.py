import base64
import io
import json
import subprocess
import sys
from html.parser import HTMLParser

import numpy as np
import pytest
import yaml
from PIL import Image

from rvaejax.errors import FormatError, MissingFileError
from rvaejax.io import write_atoms, write_latents_h5
from rvaejax.report import write_report
from rvaejax.report.catalogue import CATALOGUE, group_figures
from rvaejax.report.contents import flatten, read_metrics, text
from rvaejax.types import Atoms, Latents, SubImages

VOID = {"meta", "link", "img", "input", "br"}


class Page(HTMLParser):
    """Checks that tags close in order; keeps the pictures, the text, and everything that points outside."""

    def __init__(self, source):
        super().__init__()
        self.open, self.images, self.text, self.outside, self.ids, self.anchors = [], [], [], [], [], []
        self.sliders = 0
        self.feed(source)
        self.close()
        assert not self.open

    def handle_starttag(self, tag, attrs):
        values = dict(attrs)
        if tag not in VOID:
            self.open.append(tag)
        if tag == "img":
            self.images.append((values["alt"], values["src"]))
        if tag == "input":
            self.sliders += 1
        if "id" in values:
            self.ids.append(values["id"])
        for name in ("src", "href", "action"):
            link = values.get(name) or ""
            if link.startswith("#"):
                self.anchors.append(link[1:])
            elif link and not link.startswith("data:"):
                self.outside.append(link)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)

    @property
    def words(self):
        return " ".join(" ".join(self.text).split())


@pytest.fixture
def run(tmp_path):
    figures = tmp_path / "figures"
    figures.mkdir()
    names = ["losses", "frame_overview_0010", "frame_overview_0002", "latent_manifold", "my <own>", "real_space_maps"]
    for i, name in enumerate(names):
        Image.new("L", (8 + i, 6), color=20 * i).save(figures / f"{name}.png")
    config = {
        "seed": 7,
        "rvae": {"kind": "RVAEConfig", "encoder": {"kind": "MLP", "layers": [128, 128]}, "pixels": None},
    }
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(config))
    summary = {"title": "movie <b>", "input": {"frames": 50, "pixel_size_nm": 0.0157}, "notes": ["cut & short"]}
    (tmp_path / "summary.json").write_text(json.dumps(summary))
    (tmp_path / "metrics.jsonl").write_text('{"step": 10, "elbo": -12.5}\n{"step": 20, "elbo": -11.25}\n{"step": 3')
    atoms = Atoms(
        np.array([0, 1, 1]), np.ones(3), np.ones(3), np.array(["C", "C", "Si"]), np.ones(3), np.ones(3), 0.016
    )
    write_atoms(tmp_path / "atoms.csv", atoms)
    latents = Latents(np.zeros(2), np.zeros(2), np.zeros((2, 2)), np.zeros((2, 3)), np.zeros((2, 3)))
    windows = SubImages(
        np.zeros((2, 4, 4, 1)), atoms.frame[:2], atoms.x[:2], atoms.y[:2], atoms.species[:2], np.arange(2)
    )
    write_latents_h5(tmp_path / "latents.h5", latents, windows)
    return tmp_path


def test_report_is_one_whole_file_with_every_figure_in_it(run):
    path = write_report(run)
    assert path == run / "report.html"
    page = Page(path.read_text(encoding="utf-8"))
    assert page.outside == []
    prefix = "data:image/png;base64,"
    embedded = [base64.b64decode(source.removeprefix(prefix)) for _, source in page.images]
    assert sorted(embedded) == sorted(p.read_bytes() for p in (run / "figures").glob("*.png"))
    for data in embedded:
        Image.open(io.BytesIO(data)).verify()
    assert sorted(page.anchors) == sorted(page.ids) and len(set(page.ids)) == len(page.ids)


def test_report_shows_what_the_files_say(run):
    words = Page(write_report(run).read_text(encoding="utf-8")).words
    for expected in (
        "movie <b>",
        "cut & short",
        "0.0157",
        "rvae",
        "encoder.layers",
        "128, 128",
        "Si atoms 1",
        "C atoms 2",
    ):
        assert expected.lower() in words.lower()
    for expected in ("sub-images 2", "content latents 3", "elbo -11.25", "pixels –", "seed 7"):
        assert expected in words


def test_figures_come_in_the_order_of_the_data_flow(run):
    page = Page(write_report(run).read_text(encoding="utf-8"))
    alts = [alt for alt, _ in page.images]
    assert alts == [
        "Frame and atoms, frame 2",
        "Frame and atoms, frame 10",
        "Training",
        "Latent manifold",
        "Angle and content of each atom",
        "My <own>",
    ]
    assert page.sliders == 1
    for kind in ("frame_overview", "losses", "latent_manifold", "real_space_maps"):
        assert CATALOGUE[kind].caption in page.words


def test_a_run_that_was_cut_short_still_has_a_report(tmp_path):
    (tmp_path / "config.yaml").write_text("seed: 1\n")
    page = Page(write_report(tmp_path).read_text(encoding="utf-8"))
    assert page.images == [] and "seed 1" in page.words


def test_folders_that_are_no_runs(tmp_path):
    with pytest.raises(MissingFileError, match="absent"):
        write_report(tmp_path / "absent")
    with pytest.raises(FormatError, match="not the folder of a run"):
        write_report(tmp_path)
    (tmp_path / "summary.json").write_text("{")
    with pytest.raises(FormatError, match=r"summary\.json") as error:
        write_report(tmp_path)
    assert "\n" not in str(error.value)


def test_damaged_settings(tmp_path):
    (tmp_path / "config.yaml").write_text("a: [1,\nb: }")
    with pytest.raises(FormatError, match=r"config\.yaml") as error:
        write_report(tmp_path)
    assert "\n" not in str(error.value) and not (tmp_path / "report.html").exists()


def test_rebuilding_gives_the_same_file(run):
    first = write_report(run).read_bytes()
    assert write_report(run).read_bytes() == first


def test_series_are_told_from_single_figures(tmp_path):
    files = [
        tmp_path / f"{s}.png" for s in ("frame_overview_frame5", "frame_overview_frame12", "content_over_time_2", "x_7")
    ]
    groups = group_figures(files)
    assert [len(g.files) for g in groups] == [2, 1, 1]
    assert groups[0].labels == ("frame 5", "frame 12") and groups[1].entry.title == "Content over time: 2"


def test_values_as_text():
    assert [text(v) for v in (None, True, 1.0 / 3, 123456, [1, 2.5], "a", float("nan"), 4.2e9, 1234.5)] == [
        "–", "yes", "0.3333", "123,456", "1, 2.5", "a", "nan", "4.2e+09", "1234",
    ]  # fmt: skip
    assert list(flatten({"a": {"b": 1, "c": {"d": "x"}}})) == [("a.b", "1"), ("a.c.d", "x")]


def test_short_items_of_lists_stay_in_one_line():
    assert text(["46.2 ± 0.1 (31 atoms)", "5 of 8"]) == "46.2\u00a0±\u00a00.1\u00a0(31\u00a0atoms), 5\u00a0of\u00a08"
    sentence = "a sentence that is far longer than a line of a narrow table"
    assert text([sentence]) == sentence


def test_metrics_that_were_interrupted(run):
    assert read_metrics(run / "metrics.jsonl") == [{"step": 10, "elbo": -12.5}, {"step": 20, "elbo": -11.25}]
    assert read_metrics(run / "absent.jsonl") == []


@pytest.mark.process
def test_files_figures_and_report_need_no_jax():
    code = "import sys, rvaejax.io, rvaejax.plotting, rvaejax.report; sys.exit('jax' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
