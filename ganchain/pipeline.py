"""The pipeline: faces are found and aligned once, edited by the stages, and put back once."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from ganchain import edits, images, manifest
from ganchain.align import Aligner, Canvas, Detector, FaceRule, choose
from ganchain.errors import ChainError, FaceError, PhotoError, WeightsError
from ganchain.face import Face, Photo
from ganchain.framing import HEAD, Framing
from ganchain.images import Source
from ganchain.result import Result, Stopwatch
from ganchain.stage import Stage
from ganchain.tensors import to_pixels

if TYPE_CHECKING:
    from ganchain.config import Chain, Output


class Pipeline:
    """A chain of stages over photos.

    Args:
        stages: the stages in order; the same class may stand twice.
        faces: "all", "largest", or numbers of the usable faces, best first.
        device: "auto" (CUDA where there is one), "cpu" or "cuda".
        detector: how faces are found.
        keep_steps: keep the whole photo after each stage in ``Result.steps``.
        output: what ``ganchain run`` writes; the pipeline itself only carries it.
        license_policy: "commercial" refuses stages whose weights' licence does not allow commercial use.

    Example:
        >>> pipeline = Pipeline.from_yaml("portrait")
        >>> pipeline("photo.jpg").save("character.png")
    """

    def __init__(
        self,
        stages: Sequence[Stage],
        *,
        faces: FaceRule = "all",
        device: str = "auto",
        detector: Detector | None = None,
        keep_steps: bool = False,
        output: Output | None = None,
        license_policy: manifest.Policy = "any",
    ) -> None:
        if not isinstance(stages, Sequence) or not all(isinstance(stage, Stage) for stage in stages):
            raise ChainError(f"stages must be a list of stage objects, as in Pipeline([Makeup()]), not {stages!r}")
        self.names = _names(stages)
        for name, stage in zip(self.names, stages, strict=True):
            with _placed(name, stage):
                manifest.permit(stage.weights, license_policy)
        self.device = _device(device)
        self.stages = [stage.to(self.device).eval() for stage in stages]
        self.faces: FaceRule = faces
        self.keep_steps, self.output = keep_steps, output
        self.detector = detector or Detector()

    @classmethod
    def from_yaml(
        cls,
        chain: str | Path,
        *,
        device: str = "auto",
        keep_steps: bool = False,
        license_policy: manifest.Policy | None = None,
    ) -> Pipeline:
        """The pipeline of a YAML file, or of a chain shipped in ``configs`` by its name.

        ``license_policy`` stands above the one in the file.
        """
        from ganchain import config

        described = config.load(chain)
        return cls.from_chain(described, device=device, keep_steps=keep_steps, license_policy=license_policy)

    @classmethod
    def from_chain(
        cls,
        described: Chain,
        *,
        device: str = "auto",
        keep_steps: bool = False,
        license_policy: manifest.Policy | None = None,
    ) -> Pipeline:
        """The pipeline of a chain that was read by ``ganchain.config``."""
        return cls(
            [stage.build() for stage in described.stages],
            faces=described.faces,
            device=device,
            keep_steps=keep_steps,
            output=described.output,
            license_policy=license_policy or described.license_policy,
        )

    @cached_property
    def _aligner(self) -> Aligner:
        framings = [stage.framing for stage in self.stages if stage.scope == "face" and not stage.enlarges]
        return Aligner(Framing.around(framings or [HEAD]))

    @cached_property
    def _ready(self) -> bool:
        with torch.inference_mode():
            for name, stage in zip(self.names, self.stages, strict=True):
                with _placed(name, stage):
                    stage.prepare(self._align)
        return True

    def prepare(self) -> None:
        """Read what the stages need (reference pictures) now instead of with the first photo."""
        assert self._ready

    def _align(self, path: Path, framing: Framing, side: int) -> Tensor:
        photo = images.read(path)
        usable = [face for face in self.detector(photo.pixels) if face.left_out is None]
        if not usable:
            raise FaceError(f"{path}: no face found in the reference picture")
        return Aligner(framing).chip(photo.pixels, usable[0], side).to(self.device)

    def __call__(self, photo: Source) -> Result:
        """Run one photo: a path, a PIL image or an (H, W, 3) uint8 RGB array.

        Raises:
            GanchainError: the photo cannot be read or a stage failed.
        """
        self.prepare()
        watch = Stopwatch()
        with watch("read"):
            read = images.read(photo)
        with watch("detect"):
            faces = choose(self.detector(read.pixels), self.faces)
        return self._edited(read, faces, watch)

    def run(self, photos: Iterable[Source] | str | Path) -> Iterator[Result]:
        """Run photos one after the other; a photo that fails gives a "failed" result and the rest go on."""
        for photo in [photos] if isinstance(photos, str | Path) else photos:
            try:
                yield self(photo)
            except Exception as error:  # one bad photo must not cost the others
                name = photo if isinstance(photo, str | Path) else type(photo).__name__
                yield Result(str(name), "failed", error=error)

    def _edited(self, photo: Photo, faces: list[Face], watch: Stopwatch) -> Result:
        chosen = [face for face in faces if face.left_out is None]
        result = Result(photo.name, "ok", photo, faces, seconds=watch.seconds)
        active = [(n, s) for n, s in zip(self.names, self.stages, strict=True) if s.strength > 0 or s.enlarges]
        if not chosen and any(stage.scope == "face" for stage in self.stages):
            result.status = "no_face"
            return result
        canvases: list[Canvas] = []
        for name, stage in active:
            with watch(name), torch.inference_mode():
                if stage.scope == "photo":
                    photo = _pasted(photo, canvases)
                    canvases = []
                    photo, chosen = edits.whole(stage, name, photo, chosen, self.device)
                else:
                    canvases = canvases or [self._aligner.canvas(photo.pixels, face) for face in chosen]
                    canvases = edits.faces(stage, name, canvases, self.device)
            if self.keep_steps:
                result.steps.append((name, _pasted(photo, canvases)))
        with watch("paste"):
            result.photo = _pasted(photo, canvases)
            if self.output is None or self.output.write != "photo":
                shown = canvases or [self._aligner.canvas(result.photo.pixels, face) for face in chosen]
                result.pictures = [to_pixels(canvas.after)[0] for canvas in shown]
        return result


@contextmanager
def _placed(name: str, stage: Stage) -> Iterator[None]:
    """Messages about a stage say which one, and where it stands in its chain."""
    try:
        yield
    except (PhotoError, FaceError, WeightsError) as error:
        raise type(error)(f"{stage.where}: {name}: {error}".removeprefix(": ")) from error


def _pasted(photo: Photo, canvases: list[Canvas]) -> Photo:
    pixels = photo.pixels
    for canvas in reversed(canvases):  # the best face last, on top
        pixels = Aligner.paste(pixels, canvas)
    return replace(photo, pixels=pixels)


def _device(name: str) -> torch.device:
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    if name not in ("cpu", "cuda"):
        raise ChainError(f"device {name!r} is none of auto, cpu, cuda")
    if name == "cuda" and not torch.cuda.is_available():
        raise ChainError("device cuda: torch finds no CUDA device here; use --device cpu")
    return torch.device(name)


def _names(stages: Sequence[Stage]) -> list[str]:
    """makeup, webtoon, webtoon-2 ...: the stages' names, numbered where one stands again."""
    names: list[str] = []
    for stage in stages:
        name = type(stage).__name__.lower()
        again = sum(other.split("-")[0] == name for other in names)
        names.append(f"{name}-{again + 1}" if again else name)
    return names
