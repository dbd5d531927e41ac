"""Protection of files: one place decides for all commands whether an output may be written where something lies."""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Iterable
from contextlib import suppress
from filecmp import cmp
from pathlib import Path

from ganchain.errors import PhotoError, plain
from ganchain.files import is_file, is_folder, open_regular
from ganchain.photos import images
from ganchain.photos.marks import Provenance, page_mark

HEAD = 4096  # bytes of a page that are searched for its mark


class Protection:
    """Protection of the files that lie there from the outputs of one call.

    An output never takes the place of a file that the call reads, however that is named: through links, or in upper
    and lower case; nor that of another output of the call. It takes the place of any other file only if that has the
    same content, if ganchain wrote it with a chain of the same name, or if the user asked for it.

    Args:
        inputs: all files that the call reads, whether they exist or not.
        chain: the chain's name; "" for none.
        overwrite: the user asked for files to be replaced.
    """

    def __init__(self, inputs: Iterable[Path], chain: str = "", *, overwrite: bool = False) -> None:
        paths = list(inputs)
        self.chain, self.overwrite = chain, overwrite
        self._names = {claim(path) for path in paths}
        self._identities = {identity for path in paths if (identity := _identity(path))}
        self._written: set[str] = set()

    def is_input(self, path: Path) -> bool:
        """Say whether the call reads the file ``path``."""
        return claim(path) in self._names or _identity(path) in self._identities

    def refuse_input(self, path: Path) -> None:
        """Refuse the place of a file that the call reads.

        Raises:
            PhotoError: with the cure.
        """
        if self.is_input(path):
            reason = "would overwrite a photo or another input; inputs are never overwritten; give another name"
            raise PhotoError(reason, path=path)

    def refuse(self, path: Path, part: Path | None = None) -> None:
        """Refuse the place of a file that must stay.

        Args:
            part: the file that shall take the place; None where it is not known yet.

        Raises:
            PhotoError: with the cure.
        """
        self.refuse_input(path)
        if claim(path) in self._written:
            raise PhotoError("two outputs would have this name; give another one", path=path)
        if self.overwrite or not os.path.lexists(path) or is_folder(path):  # a folder is refused by the system
            return
        if not ((part is not None and _same(path, part)) or made_by(path, self.chain)):
            raise PhotoError("is there already, and not from this chain; --overwrite replaces it", path=path)

    def permit(self, path: Path, part: Path) -> None:
        """Permit the file ``part`` to take the place ``path``, or refuse it as ``refuse`` does."""
        self.refuse(path, part)
        self._written.add(claim(path))


def claim(path: Path) -> str:
    """Reduce a path to a key that is equal for all paths that could be the same file, on any file system."""
    return unicodedata.normalize("NFC", os.path.realpath(path)).casefold()


def made_by(path: Path, chain: str) -> bool:
    """Say whether ``path`` is a picture or a page that ganchain made with a chain of this name."""
    return bool(chain) and (mark(path).chain == plain(chain) or page_mark(chain) in _head(path))


def is_own(path: Path, chain: str) -> bool:
    """Say whether a picture in a folder is no photo for a chain of this name: made by such a chain, or a sheet."""
    own = mark(path)
    return bool(chain) and (own.chain == plain(chain) or own.sheet)


def mark(path: Path) -> Provenance:
    """Read the mark of a picture; an empty one if it has none or cannot be read."""
    with suppress(PhotoError):
        return Provenance.of(images.header(path, to_end=False).xmp)
    return Provenance(software="", source_type="")


def _head(path: Path) -> bytes:
    with suppress(OSError, ValueError), open_regular(path) as file:
        return file.read(HEAD)
    return b""


def _identity(path: Path) -> tuple[int, int] | None:
    with suppress(OSError):
        status = os.stat(path)  # noqa: PTH116 - one call for all kinds of paths
        return status.st_dev, status.st_ino
    return None


def _same(path: Path, other: Path) -> bool:
    with suppress(OSError):
        return is_file(path) and cmp(path, other, shallow=False)
    return False
