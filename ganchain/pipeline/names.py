"""Names of outputs: by a template, the same at every rerun, and never that of another photo's output."""

from __future__ import annotations

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
REMEMBERED = 1000  # candidates for a name among which an earlier batch's choice is recognised


class Owner(Protocol):
    """The record of an output, as far as it decides on names."""

    input: str
    path: str
    chain: str
    target: str
    sha256: str | None


@dataclass(frozen=True)
class Names:
    """The names of one chain's outputs.

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
        yield self._filled(path, path.stem, path.name)
        yield self._filled(path, path.name, path.name)
        for number in count(2):
            yield self._filled(path, f"{path.name}-{number}", f"{path.name}-{number}")

    def _filled(self, path: PurePosixPath, stem: str, name: str) -> str:
        parent = path.parent.name
        text = self.template.format(stem=stem, name=name, parent=parent, chain=self.chain, ext=self.ext)
        return (path.parent / text.lstrip("/")).as_posix()

    def claim(self, target: str) -> str:
        """Reduce a target to what it shares with all that could overwrite its files, on any file system."""
        path = PurePosixPath(target)
        stem = re.sub(r"-face\d+$", "", path.stem) if self.faces else path.stem
        return unicodedata.normalize("NFC", str(path.with_name(stem + path.suffix))).casefold()

    def assign(
        self, items: Sequence[Item], owners: Iterable[Owner], digest: Callable[[Path], str | None], out: Path
    ) -> list[Item]:
        """Give the items their targets.

        A photo keeps the name it had (its record tells: the same input of the same path, or of the same content). A new
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
        mine = {item.input: self._former(item, former.get(item.input, ()), digest) for item in items}
        wished = Counter(self.claim(self.plain(item.input)) for item in items)
        taken = {self.claim(owner.target) for owner in owners}
        taken |= {self.claim(inside) for inside in _below(out, items)}
        assigned = []
        for item in items:
            former_owner = mine[item.input]
            target = former_owner.target if former_owner else self._free(item.input, taken, wished)
            taken.add(self.claim(target))
            assigned.append(replace(item, target=target))
        return assigned

    def _former(self, item: Item, owners: Iterable[Owner], digest: Callable[[Path], str | None]) -> Owner | None:
        """Find the record whose name this photo goes on with."""
        possible = set(islice(self.candidates(item.input), REMEMBERED))
        fitting = [owner for owner in owners if owner.target in possible]
        same = [owner for owner in fitting if owner.path == str(item.source)]
        if not same and fitting:
            content = digest(item.source)
            same = [owner for owner in fitting if content is not None and owner.sha256 == content]
        return same[0] if same else None

    def _free(self, input_: str, taken: set[str], wished: Counter[str]) -> str:
        plain = self.plain(input_)
        if wished[self.claim(plain)] == 1 and self.claim(plain) not in taken:
            return plain
        return next(name for name in islice(self.candidates(input_), 1, None) if self.claim(name) not in taken)


def of_face(path: Path, number: int) -> Path:
    """Name the picture of a face beside the output ``path`` of its photo: a-chain-face0.png."""
    return path.with_name(f"{path.stem}-face{number}{path.suffix}")


def _below(out: Path, items: Iterable[Item]) -> Iterator[str]:
    for item in items:
        if item.source.is_relative_to(out):
            yield item.source.relative_to(out).as_posix()
