"""Names of outputs: made by a template, the same at every rerun, and never two photos' outputs under one name."""

from __future__ import annotations

import os
import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate, count, islice
from pathlib import Path, PurePosixPath
from string import Formatter
from typing import TYPE_CHECKING, Protocol

from ganchain.errors import PhotoError, available

if TYPE_CHECKING:
    from ganchain.photos.find import Item

TEMPLATE = "{stem}-{chain}.{ext}"
FIELDS = ("stem", "name", "parent", "chain", "ext")
FACE = re.compile(r"-face\d+$")
_NUMBER = "\0"  # stands for the number in a candidate, as no file's name can


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
        folder, _, name = input_.rpartition("/")
        yield self._fill(folder, _stem(name), name)
        yield self._fill(folder, name, name)
        for number in count(2):
            yield self._fill(folder, f"{name}-{number}", f"{name}-{number}")

    def _fill(self, folder: str, stem: str, name: str) -> str:
        """Fill the template, in ``folder``."""
        parent = folder.rpartition("/")[2]
        text = self.template.format(stem=stem, name=name, parent=parent, chain=self.chain, ext=self.ext)
        if "/" in self.template:
            return (PurePosixPath(folder) / text.lstrip("/")).as_posix()
        return f"{folder}/{text}" if folder else text

    def claim(self, target: str) -> str:
        """Reduce a target to a key that is equal for all targets that could overwrite its files, on any file system."""
        if self.faces:
            folder, _, name = target.rpartition("/")
            stem = _stem(name)
            target = f"{folder}/{FACE.sub('', stem)}{name[len(stem) :]}"
        return target.lower() if target.isascii() else unicodedata.normalize("NFC", target).casefold()

    def assign(
        self, items: Sequence[Item], owners: Iterable[Owner], digest: Callable[[Path], str | None], out: Path
    ) -> list[Item]:
        """Give the items their targets.

        A photo keeps the name of its record: that of the same input, with the same path or the same content. A new
        photo gets the plain name if no other input could have it too and no record holds it. Videos have suffixes of
        their own.

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
        names = {item.input: replace(self, ext=item.video) if item.video else self for item in items}
        former_owners = {
            item.input: names[item.input]._former(item, former.get(item.input, ()), digest) for item in items
        }
        plain_names = {item.input: names[item.input].plain(item.input) for item in items}
        wanted_names = Counter(map(self.claim, plain_names.values()))
        taken = {self.claim(owner.target) for owner in owners}
        taken |= {self.claim(name) for name in _inside(out, items)}
        assigned = []
        for item in items:
            former_owner = former_owners[item.input]
            target = former_owner.target if former_owner else plain_names[item.input]
            claim = self.claim(target)
            if not former_owner and (wanted_names[claim] > 1 or claim in taken):
                target = names[item.input]._free(item.input, taken)
                claim = self.claim(target)
            taken.add(claim)
            assigned.append(replace(item, target=target, recorded=former_owner is not None))
        return assigned

    def _former(self, item: Item, owners: Iterable[Owner], digest: Callable[[Path], str | None]) -> Owner | None:
        """Find the record whose name this photo keeps; None for a new photo."""
        fitting = [owner for owner in owners if self._is_candidate(item.input, owner.target)]
        matching = [owner for owner in fitting if owner.path == str(item.source)]
        if not matching and fitting:
            content = digest(item.source)
            matching = [owner for owner in fitting if content is not None and owner.sha256 == content]
        return matching[0] if matching else None

    def _is_candidate(self, input_: str, target: str) -> bool:
        """Say whether ``target`` is one of the ``candidates`` of ``input_``."""
        if target in islice(self.candidates(input_), 2):
            return True
        folder, _, name = input_.rpartition("/")
        pattern = self._fill(folder, f"{name}-{_NUMBER}", f"{name}-{_NUMBER}")
        number = re.match(r"[1-9][0-9]*", target[pattern.index(_NUMBER) :])
        beginnings = accumulate(number[0] if number else "")  # other digits may follow the number
        return any(start != "1" and pattern.replace(_NUMBER, start) == target for start in beginnings)

    def _free(self, input_: str, taken: set[str]) -> str:
        """Choose the first name, beside the plain one, that is not taken."""
        return next(name for name in islice(self.candidates(input_), 1, None) if self.claim(name) not in taken)


def _stem(name: str) -> str:
    """Cut the suffix off a file's name, as ``Path.stem`` does, in a tenth of its time."""
    dot = name.rfind(".")
    return name[:dot] if 0 < dot < len(name) - 1 else name


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
