"""Two lines beside each figure: what the paper shows, and what a run shows, made of the run's numbers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

Numbers = Mapping[str, Any]

TITLES = {
    "figure_2": "Figure 2: from the image to atoms",
    "figure_3": "Figure 3: evolution under the beam",
    "figure_5": "Figure 5: GMM, autoencoder and rVAE, small and large windows",
    "figure_6": "Figure 6: latents in real space, small windows",
    "figure_6_large": "Figure 6: latents in real space, large windows",
    "figure_7": "Figure 7: dynamics, small windows",
    "figure_7_large": "Figure 7: dynamics, large windows",
    "figure_S1": "Figure S1: similarity of the components",
    "quarter": "Training on a part of each frame's sub-images",
}
PAPER = {
    "figure_2": "The network finds C and Si as separate blobs; holes and amorphous regions stay unrecognised.",
    "figure_3": "Carbon is lost, holes grow, chains of 5- and 7-membered rings form, Si gathers at the holes' edges.",
    "figure_5": "GMM components and autoencoder latents are mostly rotated copies of one structure; the rVAE's latents "
    "are free of rotation: crystallinity along one axis, in large windows closeness to an edge along the other.",
    "figure_6": "The angle shows the two sublattices as a checkerboard and small-angle boundaries as changes of "
    "colour; the first content latent is largest in ordered regions and lower at edges and defects.",
    "figure_7": "A sharp bimodal distribution of the angle in the first frame, which loses height as atoms are "
    "lost and broadens; the content's distributions broaden and lose height.",
    "figure_S1": "Structural similarity between the components of GMM, VAE and rVAE.",
    "quarter": "The same results when the rVAE is trained on about 25 % of the images of each frame.",
}


def paper_says(figure: str) -> str:
    """What the paper shows in a figure."""
    return PAPER[figure.removesuffix("_large")]


def run_says(figure: str, found: Numbers) -> str:
    """What the run shows, in one line."""
    return _LINES[figure.removesuffix("_large")](found)


def _number(value: float | None, form: str = ".2f") -> str:
    return "–" if value is None else f"{value:{form}}"


def _pair(values: Any, form: str = "") -> str:
    first, last = values
    return f"{_number(first, form)} to {_number(last, form)}"


def _segmentation(found: Numbers) -> str:
    line = (
        f"Frame {found['frame']}: {found['C']} C and {found['Si']} Si; {found['share of the frame without atoms']:.0%}"
    )
    line += " of the frame, holes and contamination, has no atom."
    if "image" in found:
        line += " In the recorded image: {C} C and {Si} Si.".format(**found["image"])
    if "detection F1" in found:
        line += f" Against the truth: detection F1 {found['detection F1']:.3f}."
    return line


def _evolution(found: Numbers) -> str:
    total = [c + s for c, s in zip(found["C"], found["Si"], strict=True)]
    rings, edge = found["5 and 7 rings per 100 hexagons"], found["share of Si at an edge"]
    return (
        f"Frames {_pair(found['frames'])}: {_pair(total)} atoms, {_pair(rings, '.1f')} rings of 5 or 7 per 100 "
        f"hexagons, {_pair(found['Si'])} Si, of which at an edge {_pair(edge, '.0%')}."
    )


def _descriptors(found: Numbers) -> str:
    parts = []
    for window in ("small", "large"):
        told, similar = found[window]["orientation told by the latents, R2"], found[window]["similarity"]
        gain = {name: two["turned"] - two["plain"] for name, two in similar.items()}
        kl = " and ".join(f"{v:.1f}" for v in found[window]["KL of the content latents [nat]"][:2])
        parts.append(
            f"{window} windows: of the bonds' direction the autoencoder's latents tell {_number(told['autoencoder'])}, "
            f"the rVAE's content {_number(told['rVAE'])} (R²); turning makes the components more alike by "
            f"{gain['GMM']:.2f} (GMM), {gain['VAE']:.2f} (VAE), {gain['rVAE']:.2f} (rVAE); content {kl} nat"
        )
    return _sentence("; ".join(parts))


def _real_space(found: Numbers) -> str:
    one, order = found["content latent 1"], found["crystallinity of the content"]
    apart, near = found["angle between bonded sites, median [deg]"], found["share within 15 deg of 60"]
    return (
        f"Bonded sites of the ordered lattice differ by {_number(apart, '.1f')}° (median), {_number(near, '.1%')} of "
        f"them by 60° to within 15°; content latent 1 is {_number(one['ordered sites, mean'])} in ordered regions and "
        f"{_number(one['edges and defects, mean'])} at edges and defects (AUC "
        f"{_number(one['AUC, ordered above disturbed'])}, rank correlation with crystallinity "
        f"{_number(one['rank correlation with crystallinity'])}); crystallinity, by how far all content latents "
        f"of a site and its bonded neighbours are from the crystal's, {_number(order['ordered sites, mean'])} and "
        f"{_number(order['edges and defects, mean'])} (AUC {_number(order['AUC, ordered above disturbed'])}, rank "
        f"correlation {_number(order['rank correlation with crystallinity'])})."
    )


def _dynamics(found: Numbers) -> str:
    apart = _number(found["their distance [deg]"], ".1f")
    return (
        f"Frame {found['frames'][0]}: {found['peaks in the first frame']} peaks modulo 120°, {apart}° apart; from the "
        f"first to the last frame {_pair(found['C with a window'])} C with a window, the highest peak falls to "
        f"{_number(found['height of the highest peak, last over first'], '.0%')}, its width grows from "
        f"{_pair(found['width of the peaks, circular sd modulo 60 deg [deg]'], '.1f')}°; content latent 1 has mean "
        f"{_pair(found['content latent 1, mean'], '.2f')}, sd {_pair(found['content latent 1, sd'], '.2f')}."
    )


def _similarity(found: Numbers) -> str:
    parts = []
    for window, methods in found.items():
        each = ", ".join(
            f"{name} {of['plain']:.2f}, {of['turned']:.2f} and {of['copies']:.0%}" for name, of in methods.items()
        )
        parts.append(_capital(f"{window} windows: {each}. {_over_draws(methods)}"))
    said = "mean similarity as they are and up to rotation, and share of pairs more than 0.95 alike up to rotation. "
    return _sentence(said + " ".join(parts)).removesuffix(".")


def _over_draws(methods: Numbers) -> str:
    """Whether the rVAE's components are less alike than the others', or more, by more than draws scatter."""
    parts = []
    for what, name, less, more in (
        ("turned", "similarity", "less alike", "more alike"),
        ("copies", "share of copies", "fewer", "more"),
    ):
        means = ", ".join(f"{one} {_with_error(of[f'{what}, draws'], '.3f')}" for one, of in methods.items())
        told = []
        for one, of in methods.items():
            if one != "rVAE":
                difference, within = of[f"{what}, rVAE less this"]
                verdict = "not told apart" if abs(difference) <= within else less if difference < 0 else more
                told.append(f"rVAE less {one} {_with_error((difference, within), '+.3f')}: {verdict}")
        parts.append(f"{name} {means}; {'; '.join(told)}")
    draws = methods["rVAE"]["draws"]
    return (
        f"Mixtures fitted to {draws} parts of the sub-images, up to rotation (mean, 95 % interval; one training of the "
        f"rVAE): {'. '.join(map(_capital, parts))}."
    )


def _with_error(pair: Any, form: str) -> str:
    return f"{pair[0]:{form}} ± {pair[1]:.3f}"


def _quarter(found: Numbers) -> str:
    r2 = ", ".join(f"{v:.2f}" for v in found["content, R2 after turning the latent space"])
    return (
        f"Trained on {found['trained on']} of {found['of']} sub-images from another seed: angles of ordered sites "
        f"agree to {_number(found['angle, median difference [deg]'])}° (median, modulo 120°; R = "
        f"{_number(found['angle, concentration'], '.4f')}), content latents up to a turn of the latent space with "
        f"R² = {r2}, up to any smooth map {found['content, R2 up to a smooth map']:.2f}."
    )


def _sentence(text: str) -> str:
    return _capital(text) + "."


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


_LINES = {
    "figure_2": _segmentation,
    "figure_3": _evolution,
    "figure_5": _descriptors,
    "figure_6": _real_space,
    "figure_7": _dynamics,
    "figure_S1": _similarity,
    "quarter": _quarter,
}
