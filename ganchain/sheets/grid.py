"""Grids: one photo under many settings, or many photos under many references, as contact sheets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from hashlib import blake2b
from pathlib import Path
from typing import Any

import torch
from PIL import Image

from ganchain import chains
from ganchain.chains import Chain
from ganchain.chains.document import Place
from ganchain.checkpoints.manifest import Policy
from ganchain.errors import ChainError, GanchainError
from ganchain.faces.detect import Detector, DlibDetector, best
from ganchain.faces.face import Face
from ganchain.photos import images
from ganchain.photos.folders import expand, given
from ganchain.photos.images import Source
from ganchain.pipeline import outputs
from ganchain.pipeline.pipeline import Pipeline
from ganchain.sheets import grid_file, grid_settings, people
from ganchain.sheets.grid_settings import LARGEST, Setting, limited, settings
from ganchain.sheets.people import Row, Window
from ganchain.stage import Stage
from ganchain.tensors import Pixels

DEFAULT = "overview"


class CachedDetector:
    """A detector that remembers the faces of each picture, so that a photo is searched only once."""

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
    """A grid: each face under many settings, one column a setting, and more rows if a second thing is varied.

    Attributes:
        columns, rows: the settings; a grid that varies one thing has one row, which changes nothing.
        chain: the chain that the settings change; None for a chain of the stages that they name.
        photos: the photos to draw by default.
        source: the grid's name.
        device, license_policy: as for ``Pipeline``.

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
    device: str | torch.device = "auto"
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
        **fields: Any,
    ) -> Grid:
        """Build a grid from its settings.

        Args:
            vary: the settings of the columns: {"attributes.hair": ["black", "blond"], "webtoon": {"scope": "photo"}}.
            by: the settings of the rows, written in the same way.
            references: reference photos (or folders of them), one a column, instead of ``vary``.
            strengths: 0 to 1, one a column; the settings of ``vary`` or ``references`` then become the rows.
            chain: the chain to change, a file or a bundled one.
            photos: files and folders to draw.
            fields: ``source``, ``device``, ``license_policy``.

        Raises:
            GanchainError: a setting is wrong; with what is available.
        """
        columns, rows = _axis("vary", vary), _axis("by", by)
        if references and columns:
            raise ChainError("they are what is varied; keep vary or references", key="references")
        columns = columns or grid_settings.references([given(path) for path in references])
        if strengths:
            if rows:
                reason = "they are the columns then, and what is varied the rows; leave by out"
                raise ChainError(reason, key="strengths")
            if not columns and chain is None:
                raise ChainError("of what? Say what is varied, or which chain", key="strengths")
            checked = [strength for strength in strengths if isinstance(strength, Setting)]
            columns, rows = checked or grid_settings.strengths(Place(key="strengths"), strengths), columns
        if not columns:
            raise ChainError("a grid needs something that is varied, as in vary: {attributes.hair: [black, blond]}")
        base = None if chain is None else chains.load(chain)
        rows = grid_settings.distinct(rows) or [Setting()]
        grid = cls(grid_settings.distinct(columns), rows, base, expand([given(path) for path in photos]), **fields)
        if len(grid.columns) * len(grid.rows) > LARGEST:
            raise ChainError(
                f"{len(grid.columns)} x {len(grid.rows)} settings are too many to look at: {LARGEST} at most"
            )
        for row in grid.rows:
            for column in grid.columns:
                grid_settings.changed_stages(base, row, column)
        return grid

    @classmethod
    def read(cls, grid: str | Path, **arguments: Any) -> Grid:
        """Read a grid from a YAML file, or a bundled grid by its name.

        Args:
            grid: the file's path, or the name.
            arguments: arguments of ``of`` that replace those of the file.

        Raises:
            ChainError: with file, line, key, value and what is available.
        """
        file = grid_file.read(grid)
        try:
            return cls.of(**{**file.arguments, **arguments})
        except ChainError as error:
            raise file.add_place(error) from error.__cause__

    @property
    def captions(self) -> list[str]:
        """The captions above the columns, that of the photo first."""
        return ["photo", *(column.caption for column in self.columns)]

    @cached_property
    def _detector(self) -> CachedDetector:
        return CachedDetector(DlibDetector())

    @cached_property
    def _pipelines(self) -> list[list[Pipeline]]:
        """The pipelines by row and column; equal stages are built once and shared, and so are their weights."""
        stages: dict[tuple[str, str], Stage] = {}
        return [[self._pipeline(row, column, stages) for column in self.columns] for row in self.rows]

    def _pipeline(self, row: Setting, column: Setting, stages: dict[tuple[str, str], Stage]) -> Pipeline:
        row_stages = []
        for spec in grid_settings.changed_stages(self.chain, row, column):
            key = (spec.name, repr(spec.options))
            if key not in stages:
                stages[key] = spec.build()
            row_stages.append(stages[key])
        pipeline = Pipeline(
            row_stages,
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
        """The reference photos of the columns; empty unless each column has one."""
        pictures = [column.picture for column in self.columns if column.picture]
        return pictures if len(pictures) == len(self.columns) else []

    @property
    def reads(self) -> list[Path]:
        """The files that the grid reads beside its photos: its chain, and all pictures that settings refer to."""
        pictures = [setting.picture for setting in (*self.columns, *self.rows) if setting.picture]
        return [*outputs.reads(self.chain), *pictures]

    def prepare(self) -> None:
        """Load all weights and read all references now, so that errors come before the first photo."""
        _ = self._pipelines

    def rim(self, side: int) -> list[Pixels]:
        """Cut out the heads of the references, at most ``side`` px; none unless each column has a reference."""
        return [self._head(path, side) for path in self.references]

    def _head(self, path: Path, side: int) -> Pixels:
        photo = images.read(path)
        face = best(self._detector(photo.visible()))
        return (Window.head(face, photo.size) if face else Window.whole(photo.size)).shown(photo, side)

    def cells(self, photo: Source, side: int, name: str | None = None) -> list[Row]:
        """Draw the rows of one photo: for each face and each of ``rows``, the head in the photo, then its cells.

        Args:
            photo: a path, a PIL image or an array.
            side: the longest side of a cell in px.
            name: the photo's name in the sheet; the file's name by default.

        Raises:
            GanchainError: the photo cannot be read, or a stage failed.
        """
        source = images.read(photo)
        originals: dict[int, Pixels] = {}  # by face
        face_rows: dict[tuple[int, int], Row] = {}  # by face and row
        for number, (row, pipelines) in enumerate(zip(self.rows, self._pipelines, strict=True)):
            for pipeline in pipelines:
                result = pipeline(images.to_image(source))
                windows = people.windows(result, source.size, name or Path(source.name).name)
                for face, (face_name, window) in enumerate(windows):
                    if face not in originals:
                        originals[face] = window.shown(source, side)
                    face_row = face_rows.setdefault((face, number), Row(face_name, [originals[face]], row.caption))
                    edited = result.photo if result.status == "ok" else None
                    face_row.pictures.append(None if edited is None else window.shown(edited, side))
        return [face_rows[key] for key in sorted(face_rows)]

    def draw(self, photos: Sequence[Source] = (), side: int = people.SIDE) -> Image.Image:
        """Draw the grid of ``photos`` (by default those of its file) as one picture; all rows are in memory at once."""
        rows = [row for photo in photos or self.photos for row in self.cells(photo, side)]
        if not rows:
            raise GanchainError("a grid needs photos")
        return people.draw(rows, self.captions, self.rim(side), side)


def _axis(name: str, axis: Mapping[str, Any] | Sequence[Setting]) -> list[Setting]:
    if isinstance(axis, Mapping):
        items = axis.items()
        return limited(setting for key, values in items for setting in settings(Place(name), key, values))
    return limited(axis)
