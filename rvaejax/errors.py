"""Typed errors for input that cannot be used.

Every error that a user can cause derives from `InputError`; its message is one line that names the file or option,
what is wrong with it, and what to do. The command line prints that line and ends with exit code 2.
"""


class InputError(ValueError):
    """Something the caller gave cannot be used; the message says what and what to do instead."""


class MissingFileError(InputError, FileNotFoundError):
    """A file that was named does not exist or cannot be opened."""

    def __str__(self) -> str:
        return str(self.args[0]) if self.args else ""


class FormatError(InputError):
    """A file's format is not known, or the file does not hold what its format promises."""


class ImageError(InputError):
    """An image cannot be analysed: constant, not finite, wrong number of axes, colour, or too small."""


class PixelSizeError(InputError):
    """The pixel size makes no sense, or is nowhere to be found."""


class NoAtomsError(InputError):
    """No atoms were found where the analysis needs some."""


class OutputExistsError(InputError):
    """The output exists already and was not to be overwritten."""


class ConfigError(InputError):
    """An option is unknown, or its value is outside what makes sense."""
