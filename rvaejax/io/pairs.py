"""A user's own training images: image and mask pairs (see `rvaejax.io.masks`), or images and a table of positions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float

from rvaejax.errors import ConfigError, FormatError, ImageError, MissingFileError, NoAtomsError
from rvaejax.io.arrays import FRAME_KEYS, NpzArrays
from rvaejax.io.images import FOLDER_SUFFIXES, natural_order
from rvaejax.io.masks import mask_atoms, read_mask
from rvaejax.io.movies import read_movie
from rvaejax.io.pixel_size import settle
from rvaejax.io.raw import check_frame, scalar
from rvaejax.io.tables import read_atoms
from rvaejax.types import Atoms

MASK_KEYS = ("masks", "labels", "mask", "label")
FEWEST = 2  # one to learn from, one to test with


@dataclass(frozen=True, eq=False)
class Pairs:
    """Images whose atoms are known.

    Attributes:
        images: each (h, w), intensities.
        atoms: their atoms; `frame` is the number of the image, positions are px of it.
        pixel_size_nm: of each image [nm]; None where nobody says.
        names: of each image, for messages.
    """

    images: tuple[Float[np.ndarray, "h w"], ...]
    atoms: Atoms
    pixel_size_nm: tuple[float | None, ...]
    names: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.images)


@dataclass(frozen=True)
class PairSource:
    """Where pairs come from: one of `file` and `images`, and with it masks or points.

    Attributes:
        file: .npz with `images` (n, h, w) and `masks` (n, h, w), and, where wanted, `pixel_size_nm` and `species`.
        images, masks: folders of images with equal names but for the suffix.
        points: table with columns frame, x_px, y_px, species instead of masks; frames in the images' natural order.
        pixel_size_nm: of all images [nm]; it wins over what the files say.
        species: what the classes 1, 2, ... of the masks are; by default the segmenter's species.
    """

    file: Path | None = None
    images: Path | None = None
    masks: Path | None = None
    points: Path | None = None
    pixel_size_nm: float | None = None
    species: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        if (self.file is None) == (self.images is None):
            raise ConfigError("pairs come from --pairs (.npz) or from --images (a folder): give one of them")
        if self.images is not None and (self.masks is None) == (self.points is None):
            raise ConfigError("--images needs --masks (a folder) or --points (a table): give one of them")
        if self.file is not None and self.masks is not None:
            raise ConfigError("--masks goes with --images; with --pairs the masks are in the same file")

    @property
    def paths(self) -> tuple[Path, ...]:
        """Everything that is read."""
        return tuple(path for path in (self.file, self.images, self.masks, self.points) if path is not None)


def read_pairs(source: PairSource, species: Sequence[str]) -> Pairs:
    """The pairs, checked.

    Args:
        source: where they are.
        species: that the segmenter knows; those of the pairs must be among them.

    Raises:
        MissingFileError: a file is missing, or the partner of one.
        FormatError: a file cannot be read, a mask is not of whole numbers, a class or species is unknown, or there are
            too few pairs.
        ImageError: a mask does not fit its image, or an image cannot be analysed.
        NoAtomsError: fewer than two pairs have atoms.
        PixelSizeError: a pixel size makes no sense.
    """
    if source.file is not None:
        images, masks, names, sizes, stated = _from_file(source.file, source.points is not None)
    else:
        images, masks, names, sizes, stated = *_from_folders(source), None
    if len(images) < FEWEST:
        raise FormatError(f"{source.paths[0]}: {len(images)} pair; at least {FEWEST} are needed, one to test with")
    images = [check_frame(image, name, 0) for image, name in zip(images, names, strict=True)]
    known = tuple(source.species or stated or species)
    if source.points is not None:
        atoms = _from_points(source.points, images)
    else:
        atoms = _from_masks(images, masks, names, known)
    unknown = sorted(set(atoms.species.tolist()) - set(species))
    if unknown:
        raise FormatError(
            f"{source.paths[-1]}: species {unknown[0]!r} is not one that the segmenter knows ({', '.join(species)}); "
            "set `species` in its config and train without --start-from"
        )
    with_atoms = len(np.unique(atoms.frame))
    if with_atoms < FEWEST:
        raise NoAtomsError(
            f"{source.paths[-1]}: {with_atoms} of {len(images)} pairs have atoms; at least {FEWEST} must, one to test"
        )
    settled = tuple(settle(size, source.pixel_size_nm, name)[0] for size, name in zip(sizes, names, strict=True))
    return Pairs(tuple(images), atoms, settled, tuple(names))


def _from_masks(
    images: Sequence[np.ndarray], masks: Sequence[np.ndarray], names: Sequence[str], species: Sequence[str]
) -> Atoms:
    frames, positions, symbols = [], [np.zeros((0, 2))], [np.zeros(0, "U2")]
    for number, (image, mask, name) in enumerate(zip(images, masks, names, strict=True)):
        if mask.shape != image.shape:
            raise ImageError(f"{name}: the mask is {mask.shape}, its image {image.shape} (h, w); they must be the same")
        xy, symbol = mask_atoms(mask, species, name)
        frames += [number] * len(xy)
        positions.append(xy)
        symbols.append(symbol)
    return _table(np.array(frames, np.int64), np.concatenate(positions), np.concatenate(symbols))


def _from_points(path: Path, images: Sequence[np.ndarray]) -> Atoms:
    atoms = read_atoms(path)
    if len(atoms) and not (0 <= atoms.frame.min() and atoms.frame.max() < len(images)):
        outside = atoms.frame.max() if atoms.frame.min() >= 0 else atoms.frame.min()
        raise FormatError(f"{path}: frame {outside} has no image; there are {len(images)}, counted from 0")
    sizes = np.array([image.shape[::-1] for image in images])[atoms.frame]
    xy = np.column_stack([atoms.x, atoms.y])
    outside = ~((xy > -0.5) & (xy < sizes - 0.5)).all(1)
    if outside.any():
        row = int(np.flatnonzero(outside)[0])
        raise FormatError(
            f"{path}: the atom at ({xy[row, 0]:g}, {xy[row, 1]:g}) px lies outside image {atoms.frame[row]}, "
            f"{sizes[row, 0]} x {sizes[row, 1]} px; give positions in px of the image"
        )
    return _table(atoms.frame, xy, atoms.species)


def _table(frame: np.ndarray, xy: np.ndarray, species: np.ndarray) -> Atoms:
    ones = np.ones(len(frame))
    return Atoms(frame, xy[:, 0], xy[:, 1], species, ones, 0 * ones, float("nan"))


_Read = tuple[list[np.ndarray], list[np.ndarray], list[str], list[float | None]]


def _from_file(path: Path, only_images: bool) -> tuple[*_Read, tuple[str, ...] | None]:
    """Images, masks, names, pixel sizes and species of an .npz."""
    if not path.is_file():
        raise MissingFileError(f"{path}: no such file; check the path")
    arrays = NpzArrays(path)
    keys = [next((key for key in names if key in arrays), None) for names in (FRAME_KEYS, MASK_KEYS)]
    if keys[0] is None or (keys[1] is None and not only_images):
        raise FormatError(f"{path}: needs arrays 'images' and 'masks'; it has {', '.join(arrays.headers) or 'none'}")
    stacks = [arrays[key] if key is not None else np.zeros(0) for key in keys]
    stacks = [stack[None] if stack.ndim == 2 else stack for stack in stacks]
    for key, stack in zip(keys, stacks, strict=True):
        if stack.ndim != 3 and not (only_images and key == keys[1]):
            raise FormatError(f"{path}: {key} has {stack.ndim} axes, {stack.shape}; give (n, h, w)")
    images, masks = stacks
    if not only_images and len(images) != len(masks):
        raise FormatError(f"{path}: {len(images)} images, but {len(masks)} masks; each image needs its mask")
    known = [arrays[key] for key in ("pixel_size_nm", "px_nm") if key in arrays]
    size = scalar(known[0], "pixel_size_nm", str(path)) if known else None
    species = tuple(str(s) for s in np.atleast_1d(arrays["species"])) if "species" in arrays else None
    names = [f"{path}: pair {number}" for number in range(len(images))]
    return list(images), list(masks), names, [size] * len(images), species


def _from_folders(source: PairSource) -> _Read:
    """Images, masks, names and pixel sizes of two folders, or of one."""
    assert source.images is not None
    images = _files(source.images)
    movies = [read_movie(path) for path in images.values()]
    for movie, path in zip(movies, images.values(), strict=True):
        if len(movie) != 1:
            raise FormatError(f"{path}: holds {len(movie)} frames; give one image per file, or an .npz of all")
    frames = [np.asarray(movie.frames[0]) for movie in movies]
    names, sizes = [str(path) for path in images.values()], [movie.pixel_size_nm for movie in movies]
    if source.masks is None:
        return frames, [], names, sizes
    masks = _files(source.masks)
    for mine, other, where in ((images, masks, source.masks), (masks, images, source.images)):
        alone = [path for stem, path in mine.items() if stem not in other]
        if alone:
            raise MissingFileError(f"{alone[0]}: has no partner of the same name in {where}; add it, or take it out")
    return frames, [read_mask(masks[stem]) for stem in images], names, sizes


def _files(folder: Path) -> dict[str, Path]:
    if not folder.is_dir():
        raise MissingFileError(f"{folder}: no such folder; check the path")
    files = [p for p in folder.iterdir() if p.suffix.lower() in FOLDER_SUFFIXES and not p.name.startswith(".")]
    if not files:
        raise FormatError(f"{folder}: no images in this folder; it should hold {', '.join(FOLDER_SUFFIXES)} files")
    return {path.stem: path for path in sorted(files, key=natural_order)}
