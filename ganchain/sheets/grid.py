"""Grids: one photo under many settings, or many photos under many references, as contact sheets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from hashlib import blake2b
from pathlib import Path
from typing import Any

from PIL import Image

from ganchain import chains
from ganchain.chains import Chain
from ganchain.chains.document import Place
from ganchain.checkpoints.manifest import Policy
from ganchain.errors import ChainError, GanchainError
from ganchain.faces.detect import Detector, DlibDetector
from ganchain.faces.face import Face
from ganchain.photos import images
from ganchain.photos.find import expand
from ganchain.photos.images import Source
from ganchain.pipeline.pipeline import Pipeline
from ganchain.sheets import grid_file, grid_settings, people
from ganchain.sheets.grid_settings import Setting
from ganchain.sheets.people import Row, Window
from ganchain.stage import Stage
from ganchain.tensors import Pixels

DEFAULT = "overview"
LARGEST = 400  # cells a face


class CachedDetector:
    """A detector that looks at each picture once."""

    def __init__(self, detector: Detector) -> None:
        self.detector = detector
        self._faces: dict[bytes, list[Face]] = {}

    def __call__(self, pixels: Pixels) -> list[Face]:
        key = blake2b(pixels.tobytes(), digest_size=16).digest() + bytes(str(pixels.shape), "ascii")
        if key not in self._faces:
            self._faces[key] = self.detector(pixels)
        return self._faces[key]


@dataclass(frozen=True)
class Grid:
    """What is shown of each face: a column a setting, and a row each where a second thing is varied.

    Attributes:
        columns, rows: the settings; a grid that varies one thing has one row, which changes nothing.
        chain: what they change; None: the stages that they name.
        photos: what is drawn where nothing else is asked for.
        source: its name.
        device, license_policy: as of ``Pipeline``.

    Example:
        >>> Grid.of(vary={"attributes.hair": ["black", "blond"]}).draw(["photo.jpg"]).save("grid.png")
        >>> Grid.read("strengths").draw(["photo.jpg"])
        >>> Grid.of(references=["refs/"]).draw(["a.jpg", "b.jpg"])
    """

    columns: Sequence[Setting]
    rows: Sequence[Setting] = (Setting(),)
    chain: Chain | None = None
    photos: Sequence[Path] = ()
    source: str = "grid"
    device: str = "auto"
    license_policy: Policy | None = None

    @classmethod
    def of(
        cls,
        *,
        vary: Mapping[str, Any] | Sequence[Setting] = (),
        by: Mapping[str, Any] | Sequence[Setting] = (),
        references: Sequence[str | Path] = (),
        strengths: Sequence[float | Setting] = (),
        chain: str | Path | None = None,
        photos: Sequence[str | Path] = (),
        **others: Any,
    ) -> Grid:
        """A grid by its settings.

        Args:
            vary: what the columns show, as {"attributes.hair": ["black", "blond"], "webtoon": {"scope": "photo"}}.
            by: what the rows show, in the same words.
            references: photos or folders whose makeup the columns show, instead of ``vary``.
            strengths: 0 to 1, shown by the columns; what is varied is then shown by the rows.
            chain: the chain that is changed, a file or a bundled one.
            photos: files and folders to draw.
            others: ``source``, ``device``, ``license_policy``.

        Raises:
            GanchainError: a setting is wrong; says what is available.
        """
        columns, rows = (_axis(name, given) for name, given in (("vary", vary), ("by", by)))
        if references and columns:
            raise ChainError("they are what is varied; keep vary or references", key="references")
        columns = columns or grid_settings.references([Path(path) for path in references])
        if strengths:
            if rows:
                reason = "they are the columns then, and what is varied the rows; leave by out"
                raise ChainError(reason, key="strengths")
            if not columns and chain is None:
                raise ChainError("of what? Say what is varied, or which chain", key="strengths")
            shares = [one for one in strengths if isinstance(one, Setting)]
            columns, rows = shares or grid_settings.strengths(Place(key="strengths"), strengths), columns
        if not columns:
            raise ChainError("a grid needs something that is varied, as in vary: {attributes.hair: [black, blond]}")
        base = None if chain is None else chains.load(chain)
        rows = grid_settings.distinct(rows) or [Setting()]
        made = cls(grid_settings.distinct(columns), rows, base, expand([Path(one) for one in photos]), **others)
        if len(made.columns) * len(made.rows) > LARGEST:
            raise ChainError(
                f"{len(made.columns)} x {len(made.rows)} settings are too many to look at: {LARGEST} at most"
            )
        for row in made.rows:
            for column in made.columns:
                grid_settings.changed(base, row, column)
        return made

    @classmethod
    def read(cls, grid: str | Path, **others: Any) -> Grid:
        """The grid of a YAML file, or of one that comes along by its name.

        Raises:
            ChainError: with file, line, key, value and what is available.
        """
        file = grid_file.read(grid)
        try:
            return cls.of(**{**file.asked, **others})
        except ChainError as error:
            raise file.add_place(error) from error.__cause__

    @property
    def captions(self) -> list[str]:
        """What stands above the columns, that of the photo first."""
        return ["photo", *(column.caption for column in self.columns)]

    @cached_property
    def _detector(self) -> CachedDetector:
        return CachedDetector(DlibDetector())

    @cached_property
    def _pipelines(self) -> list[list[Pipeline]]:
        """By rows and columns; those that do the same share their stages, and so their weights."""
        stages: dict[tuple[str, str], Stage] = {}
        return [[self._pipeline(row, column, stages) for column in self.columns] for row in self.rows]

    def _pipeline(self, row: Setting, column: Setting, stages: dict[tuple[str, str], Stage]) -> Pipeline:
        chosen = []
        for spec in grid_settings.changed(self.chain, row, column):
            key = (spec.name, repr(spec.options))
            if key not in stages:
                stages[key] = spec.build()
            chosen.append(stages[key])
        pipeline = Pipeline(
            chosen,
            faces=self.chain.faces if self.chain else "all",
            device=self.device,
            detector=self._detector,
            output=chains.Output(),
            license_policy=self.license_policy or (self.chain.license_policy if self.chain else "any"),
        )
        pipeline.prepare()
        return pipeline

    @property
    def references(self) -> list[Path]:
        """The photos whose makeup the columns show; empty where they show other settings, too."""
        found = [column.picture for column in self.columns if column.picture]
        return found if len(found) == len(self.columns) else []

    def prepare(self) -> None:
        """Load all weights and read all references now, so that what is wrong is said before the first photo."""
        _ = self._pipelines

    def rim(self, side: int) -> list[Pixels]:
        """The heads of the references, at most ``side`` px; empty where the columns are none."""
        return [self._head(path, side) for path in self.references]

    def _head(self, path: Path, side: int) -> Pixels:
        photo = images.read(path)
        best = next((face for face in self._detector(photo.pixels) if face.left_out is None), None)
        return (Window.head(best, photo.size) if best else Window.whole(photo.size)).shown(photo, side)

    def cells(self, photo: Source, side: int, name: str | None = None) -> list[Row]:
        """The rows of one photo (a path, a PIL image or an array): for each face and each of ``rows``, the photo's head
        and its cells, at most ``side`` px.

        Raises:
            GanchainError: the photo cannot be read, or a stage failed.
        """
        source = images.read(photo)
        before: dict[int, Pixels] = {}
        found: dict[tuple[int, int], Row] = {}
        for number, (row, pipelines) in enumerate(zip(self.rows, self._pipelines, strict=True)):
            for pipeline in pipelines:
                result = pipeline(images.to_image(source))
                shown = people.windows(result, source.size, name or Path(source.name).name)
                for face, (face_name, window) in enumerate(shown):
                    if face not in before:
                        before[face] = window.shown(source, side)
                    line = found.setdefault((face, number), Row(face_name, [before[face]], row.caption))
                    cell = result.photo if result.status == "ok" else None
                    line.pictures.append(None if cell is None else window.shown(cell, side))
        return [found[key] for key in sorted(found)]

    def draw(self, photos: Sequence[Source] = (), side: int = people.SIDE) -> Image.Image:
        """The grid of ``photos`` (those of its file by default) as one picture; all of its rows are held at once."""
        rows = [row for photo in photos or self.photos for row in self.cells(photo, side)]
        if not rows:
            raise GanchainError("a grid needs photos")
        return people.drawn(rows, self.captions, self.rim(side), side)


def _axis(name: str, given: Mapping[str, Any] | Sequence[Setting]) -> list[Setting]:
    if isinstance(given, Mapping):
        return [one for key, values in given.items() for one in grid_settings.settings(Place(name), key, values)]
    return list(given)
