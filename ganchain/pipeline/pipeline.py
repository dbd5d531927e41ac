"""The pipeline: faces are found and aligned once, edited by the stages, and put back once."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property
from multiprocessing import current_process
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from ganchain.chains.digest import chain_hash
from ganchain.checkpoints import manifest
from ganchain.engines import choice
from ganchain.errors import ChainError, FaceError, PhotoError, WeightsError
from ganchain.faces.align import Aligner, Detector, FaceRule, choose
from ganchain.framing import HEAD, Framing
from ganchain.photos import images
from ganchain.photos.images import Source
from ganchain.photos.marks import Provenance
from ganchain.pipeline.group import Walk, Work
from ganchain.pipeline.result import Result
from ganchain.stage import Stage

if TYPE_CHECKING:
    from ganchain.batch.summary import Summary
    from ganchain.chains import Chain, Output


class Pipeline:
    """A chain of stages over photos.

    Args:
        stages: the stages in order; the same class may stand twice.
        faces: "all", "largest", or numbers of the usable faces, best first.
        device: "auto" (CUDA where there is one), "cpu" or "cuda".
        engine: how the networks are run: "torch" (float32, the reference), another one of ``ganchain.engines``,
            "auto" (the fastest that agrees with it, measured once), or what ``engines`` of another pipeline says.
        batch: faces in one network batch; by default as many as CUDA's memory holds, and on a CPU one, since more
            are no faster there and a face's picture shall not depend on its neighbours, by no bit.
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
        engine: str | Mapping[str, str] = "torch",
        batch: int | None = None,
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
        self._engine, self._together = engine, batch
        self.faces: FaceRule = faces
        self.keep_steps, self.output = keep_steps, output
        self.detector = detector or Detector()
        self.described: Chain | None = None
        self.license_policy: manifest.Policy = license_policy

    @classmethod
    def from_yaml(
        cls,
        chain: str | Path,
        *,
        device: str = "auto",
        engine: str | Mapping[str, str] = "torch",
        keep_steps: bool = False,
        license_policy: manifest.Policy | None = None,
    ) -> Pipeline:
        """The pipeline of a YAML file, or of a chain shipped in ``configs`` by its name.

        ``license_policy`` stands above the one in the file.
        """
        from ganchain import chains

        described = chains.load(chain)
        return cls.from_chain(
            described, device=device, engine=engine, keep_steps=keep_steps, license_policy=license_policy
        )

    @classmethod
    def from_chain(
        cls,
        described: Chain,
        *,
        device: str = "auto",
        engine: str | Mapping[str, str] = "torch",
        keep_steps: bool = False,
        license_policy: manifest.Policy | None = None,
    ) -> Pipeline:
        """The pipeline of a chain that was read by ``ganchain.chains.chain``."""
        pipeline = cls(
            [stage.build() for stage in described.stages],
            faces=described.faces,
            device=device,
            engine=engine,
            keep_steps=keep_steps,
            output=described.output,
            license_policy=license_policy or described.license_policy,
        )
        pipeline.described = described
        return pipeline

    @cached_property
    def _aligner(self) -> Aligner:
        framings = [stage.framing for stage in self.stages if stage.scope == "face" and not stage.enlarges]
        return Aligner(Framing.around(framings or [HEAD]), side=self.output.side if self.output else None)

    @cached_property
    def _ready(self) -> bool:
        with torch.inference_mode():
            for name, stage in zip(self.names, self.stages, strict=True):
                with _placed(name, stage):
                    stage.prepare(self._align)
        return True

    @cached_property
    def engines(self) -> dict[str, str]:
        """How each stage's networks are run, by the stages' names."""
        return choice.use(dict(zip(self.names, self.stages, strict=True)), self._engine, self.device)

    @cached_property
    def mark(self) -> Provenance | None:
        """What the pictures that it edits say of themselves; None where they shall say nothing."""
        if self.output is not None and not self.output.mark:
            return None
        names, chain = tuple(self.names), self.described
        weights = [ref for stage in self.stages for ref in stage.weights]
        return Provenance(names, Path(chain.source).stem, chain_hash(chain, weights)) if chain else Provenance(names)

    def prepare(self) -> None:
        """Read what the stages need (reference pictures) and choose engines now instead of with the first photo."""
        _ = self._ready, self.engines, self.mark

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
        result = self.group([photo])[0]
        if result.error is not None:
            raise result.error
        return result

    def run(self, photos: Iterable[Source] | str | Path) -> Iterator[Result]:
        """Run photos one after the other; a photo that fails gives a "failed" result and the rest go on."""
        for photo in [photos] if isinstance(photos, str | Path) else photos:
            yield from self.group([photo])

    def group(self, photos: Sequence[Source]) -> list[Result]:
        """Run photos side by side: the faces of all of them share each stage's network batches.

        All pixels are held at once; for folders of any size there is ``batch``. Results come in the order of the
        photos; one that fails gives a "failed" result and costs the others nothing.
        """
        self.prepare()
        works = [self._begun(photo) for photo in photos]
        walk = Walk(self._aligner, self.device, self._together, self.mark)
        for name, stage in zip(self.names, self.stages, strict=True):
            if stage.strength > 0 or stage.enlarges:
                walk.step(stage, name, works)
                if self.keep_steps:
                    walk.keep(name, works)
        write = self.output.write if self.output else "both"
        walk.end(works, whole=write != "faces", pictures=write != "photo")
        return [work.result for work in works]

    def batch(self, inputs: Sequence[str | Path], out: str | Path, **options: Any) -> Summary:
        """Run files and folders into the folder ``out`` as ``ganchain batch`` does: in processes, resumed where it was.

        A script that calls it needs ``if __name__ == "__main__":``, since the workers import it.

        Args:
            options: fields of ``ganchain.batch.options.Options``; device and engine are the pipeline's own by default.

        Raises:
            GanchainError: nothing was begun: an input, an option or ``out`` is wrong, or the pipeline was not made
                from a chain, of which the workers make theirs.
        """
        from ganchain.batch.options import Options
        from ganchain.batch.run import batch

        if getattr(current_process(), "_inheriting", False):  # a worker that is only just being set up
            raise ChainError("batch starts workers, which import this script: call it below if __name__ == '__main__':")
        if self.described is None or self.detector != Detector():
            raise ChainError("batch needs a pipeline made from a chain (Pipeline.from_yaml) with the usual detector")
        own = {"device": self.device.type, "engine": self._engine, "license_policy": self.license_policy}
        return batch(self.described, [Path(path) for path in inputs], Path(out), Options(**{**own, **options}))

    def _begun(self, source: Source) -> Work:
        """Read, find, choose."""
        name = str(source) if isinstance(source, str | Path) else type(source).__name__
        work = Work(Result(name, "ok"))
        with work.guarded():
            with work.watch("read"):
                photo = images.read(source)
            with work.watch("detect"):
                faces = choose(self.detector(photo.pixels), self.faces)
            work.photo, work.chosen = photo, [face for face in faces if face.left_out is None]
            work.result = Result(photo.name, "ok", photo, faces, seconds=work.watch.seconds)
            if not work.chosen and any(stage.scope == "face" for stage in self.stages):
                work.result.status = "no_face"
        return work


@contextmanager
def _placed(name: str, stage: Stage) -> Iterator[None]:
    """Messages about a stage say which one, and where it stands in its chain."""
    try:
        yield
    except (PhotoError, FaceError, WeightsError) as error:
        raise type(error)(f"{stage.where}: {name}: {error}".removeprefix(": ")) from error


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
