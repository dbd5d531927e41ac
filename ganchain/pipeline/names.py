"""Names of outputs: made by a template, the same at every rerun, and never two photos' outputs under one name."""

from __future__ import annotations

import os
import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import count, islice
from pathlib import Path, PurePosixPath
from string import Formatter
from typing import TYPE_CHECKING, Protocol

from ganchain.errors import PhotoError, available

if TYPE_CHECKING:
    from ganchain.photos.find import Item

TEMPLATE = "{stem}-{chain}.{ext}"
FIELDS = ("stem", "name", "parent", "chain", "ext")
MAX_CANDIDATES = 1000  # candidates for a name that an earlier batch may have chosen


class Owner(Protocol):
    """Fields of an output's record that decide on names."""

    input: str
    path: str
    chain: str
    target: str
    sha256: str | None


@dataclass(frozen=True)
class Names:
    """Names of one chain's outputs.

    Attributes:
        template: of the file's name, with the fields stem (the photo's name without suffix), name (with it), parent
            (the folder it lies in), chain and ext; "/" makes folders.
        chain: the chain's name.
        ext: suffix of the outputs without dot.
        faces: whether faces are written, so that names ending in -face0 are taken, too.
    """

    template: str
    chain: str
    ext: str
    faces: bool = False

    def __post_init__(self) -> None:
        """Refuse a template that names no field or an unknown one, or leaves the output folder.

        Raises:
            PhotoError: with the template and the reason.
        """
        try:
            parts = list(Formatter().parse(self.template))
        except ValueError as error:
            raise PhotoError(f"name {self.template!r}: {error}") from error
        fields = [field for _, field, _, _ in parts if field is not None]
        for field in fields:
            if field not in FIELDS:
                raise PhotoError(f"name {self.template!r}: no field {{{field}}}; {available(field, FIELDS)}")
        if any(format_ or conversion for _, _, format_, conversion in parts):
            raise PhotoError(f"name {self.template!r}: fields stand alone, as in {TEMPLATE}")
        if not {"stem", "name"} & set(fields):
            raise PhotoError(
                f"name {self.template!r}: needs {{stem}} or {{name}}, else all outputs are called the same"
            )
        if not self.template.endswith(".{ext}"):
            raise PhotoError(
                f"name {self.template!r}: must end in .{{ext}}; the chain's output says which format that is"
            )
        if PurePosixPath(self.template).is_absolute() or {"..", ""} & set(self.template.split("/")):
            raise PhotoError(f"name {self.template!r}: must stay below the output folder")

    def plain(self, input_: str) -> str:
        """Name the output of ``input_`` as the template says: a-chain.png."""
        return next(self.candidates(input_))

    def candidates(self, input_: str) -> Iterator[str]:
        """Propose paths for the output of ``input_``: a-chain.png, a.jpg-chain.png, a.jpg-2-chain.png ..."""
        path = PurePosixPath(input_)
        yield self._fill(path, path.stem, path.name)
        yield self._fill(path, path.name, path.name)
        for number in count(2):
            yield self._fill(path, f"{path.name}-{number}", f"{path.name}-{number}")

    def _fill(self, path: PurePosixPath, stem: str, name: str) -> str:
        """Fill the template, in the folder of ``path``."""
        parent = path.parent.name
        text = self.template.format(stem=stem, name=name, parent=parent, chain=self.chain, ext=self.ext)
        return (path.parent / text.lstrip("/")).as_posix()

    def claim(self, target: str) -> str:
        """Reduce a target to a key that is equal for all targets that could overwrite its files, on any file system."""
        path = PurePosixPath(target)
        stem = re.sub(r"-face\d+$", "", path.stem) if self.faces else path.stem
        return unicodedata.normalize("NFC", str(path.with_name(stem + path.suffix))).casefold()

    def assign(
        self, items: Sequence[Item], owners: Iterable[Owner], digest: Callable[[Path], str | None], out: Path
    ) -> list[Item]:
        """Give the items their targets.

        A photo keeps the name of its record: that of the same input, with the same path or the same content. A new
        photo gets the plain name if no other input could have it too and no record holds it.

        Args:
            owners: all records of the output folder.
            digest: SHA-256 of a file, or None where it cannot be read.
            out: the output folder; a photo in it is never an output's name.
        """
        owners = list(owners)
        former: dict[str, list[Owner]] = {}
        for owner in owners:
            if owner.chain == self.chain:
                former.setdefault(owner.input, []).append(owner)
        former_owners = {item.input: self._former(item, former.get(item.input, ()), digest) for item in items}
        wanted_names = Counter(self.claim(self.plain(item.input)) for item in items)
        taken = {self.claim(owner.target) for owner in owners}
        taken |= {self.claim(name) for name in _inside(out, items)}
        assigned = []
        for item in items:
            former_owner = former_owners[item.input]
            target = former_owner.target if former_owner else self._free(item.input, taken, wanted_names)
            taken.add(self.claim(target))
            assigned.append(replace(item, target=target, recorded=former_owner is not None))
        return assigned

    def _former(self, item: Item, owners: Iterable[Owner], digest: Callable[[Path], str | None]) -> Owner | None:
        """Find the record whose name this photo keeps; None for a new photo."""
        possible = set(islice(self.candidates(item.input), MAX_CANDIDATES))
        fitting = [owner for owner in owners if owner.target in possible]
        matching = [owner for owner in fitting if owner.path == str(item.source)]
        if not matching and fitting:
            content = digest(item.source)
            matching = [owner for owner in fitting if content is not None and owner.sha256 == content]
        return matching[0] if matching else None

    def _free(self, input_: str, taken: set[str], wanted_names: Counter[str]) -> str:
        """Choose a name that is not taken: the plain one, if no other photo wants it too."""
        plain = self.plain(input_)
        if wanted_names[self.claim(plain)] == 1 and self.claim(plain) not in taken:
            return plain
        return next(name for name in islice(self.candidates(input_), 1, None) if self.claim(name) not in taken)


def of_face(path: Path, number: int) -> Path:
    """Name the picture of a face beside the output ``path`` of its photo: a-chain-face0.png."""
    return path.with_name(f"{path.stem}-face{number}{path.suffix}")


def _inside(out: Path, items: Iterable[Item]) -> Iterator[str]:
    """List the photos that lie in the output folder, by their paths in it; those that were not named never do."""
    real = Path(os.path.realpath(out))
    for item in items:
        if item.named:
            for folder, source in ((out, item.source), (real, Path(os.path.realpath(item.source)))):
                if source.is_relative_to(folder):
                    yield source.relative_to(folder).as_posix()
