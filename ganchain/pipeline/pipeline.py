"""Pipeline: faces are found and aligned once, edited by the stages, and put back once."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from importlib import import_module
from pathlib import Path
from threading import RLock
from typing import Any

import torch

from ganchain import chains
from ganchain.chains import Chain, Output, digest, registry
from ganchain.checkpoints import manifest
from ganchain.engines import choice
from ganchain.engines.device import choose as choose_device
from ganchain.errors import ChainError, FaceError
from ganchain.faces.align import Aligner
from ganchain.faces.detect import Detector, DlibDetector, FaceRule, best, choose, in_reading_order
from ganchain.faces.reading import Reading
from ganchain.photos import images, metadata
from ganchain.photos.images import Source
from ganchain.photos.marks import Provenance
from ganchain.pipeline import outputs
from ganchain.pipeline.group import Group, Passage, located
from ganchain.pipeline.order import needs_face, runs, windows
from ganchain.pipeline.reader import FaceReader
from ganchain.pipeline.result import Result
from ganchain.stage import Stage, claim_process

_PREPARING = RLock()  # of all pipelines: engines are chosen by their speed, which a second choice would disturb


class Pipeline:
    """A chain of stages over photos.

    Threads may share one: they get what one after the other would get, to the bit. Processes are started by spawn.

    Args:
        stages: the stages in order; the same class may stand twice.
        faces: "all", "largest", "best" (by the detector's score), or numbers of the usable faces in reading order.
        device: "auto" (CUDA where there is a card), "cpu", "cuda", "cuda:1" ..., "mps", or a ``torch.device``.
        engine: what runs the networks: "torch" (float32, the reference), another one of ``ganchain.engines``,
            "auto" (the fastest that agrees with it, measured once), or the ``engines`` of another pipeline.
        batch: faces in one network batch; by default as many as CUDA's memory holds, and on a CPU one, since more
            are no faster there and a face's picture shall not depend on its neighbours by a single bit.
        detector: finds the faces; dlib's by default.
        keep_steps: keep the whole photo after each stage in ``Result.steps``.
        accept_damaged: read photos whose pixels are damaged, as far as it goes; else they fail.
        output: what ``ganchain run`` and ``Result.save`` write, and what they leave out.
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
        device: str | torch.device = "auto",
        engine: str | Mapping[str, str] = "torch",
        batch: int | None = None,
        detector: Detector | None = None,
        keep_steps: bool = False,
        accept_damaged: bool = False,
        output: Output | None = None,
        license_policy: manifest.Policy = "any",
    ) -> None:
        if not isinstance(stages, Sequence) or not all(isinstance(stage, Stage) for stage in stages):
            raise ChainError(f"stages must be a list of stage objects, as in Pipeline([Makeup()]), not {stages!r}")
        for stage in stages:
            stage.name = stage.name or registry.name_of(type(stage))
            stage.check()
            with located(stage):
                manifest.permit(stage.resolved().all_weights, license_policy)
        self.names = chains.numbered(stage.name for stage in stages)
        self.device = choose_device(device)
        self.stages = [stage.resolved().to(self.device).eval() for stage in stages]
        self._engine, self._batch = engine, batch
        self.faces: FaceRule = faces
        self.keep_steps, self.accept_damaged, self.output = keep_steps, accept_damaged, output
        self.detector = detector or DlibDetector()
        self.described: Chain | None = None
        self._references: list[Path] = []
        self.license_policy: manifest.Policy = license_policy

    @classmethod
    def from_yaml(
        cls,
        chain: str | Path,
        *,
        device: str | torch.device = "auto",
        engine: str | Mapping[str, str] = "torch",
        keep_steps: bool = False,
        accept_damaged: bool = False,
        license_policy: manifest.Policy | None = None,
    ) -> Pipeline:
        """Build the pipeline of a YAML file, or of a chain shipped in ``configs`` by its name.

        ``license_policy`` overrides the one in the file.
        """
        return cls.from_chain(
            chains.load(chain),
            device=device,
            engine=engine,
            keep_steps=keep_steps,
            accept_damaged=accept_damaged,
            license_policy=license_policy,
        )

    @classmethod
    def from_chain(
        cls,
        described: Chain,
        *,
        device: str | torch.device = "auto",
        engine: str | Mapping[str, str] = "torch",
        keep_steps: bool = False,
        accept_damaged: bool = False,
        license_policy: manifest.Policy | None = None,
    ) -> Pipeline:
        """Build the pipeline of a chain that was read before (``ganchain.chains.load``)."""
        pipeline = cls(
            [stage.build() for stage in described.stages],
            faces=described.faces,
            device=device,
            engine=engine,
            keep_steps=keep_steps,
            accept_damaged=accept_damaged,
            output=described.output,
            license_policy=license_policy or described.license_policy,
        )
        pipeline.described = described
        return pipeline

    @cached_property
    def reader(self) -> FaceReader:
        """Reader of the points and parts of the faces."""
        return FaceReader(self.device)

    @cached_property
    def _aligner(self) -> Aligner:
        """Aligner of the canvases; ``output.side`` is that of the part which is shown."""
        seen, shown = windows(self.stages)
        side = self.output.side if self.output else None
        return Aligner(seen, side=side and round(side * seen.side / shown.side))

    @cached_property
    def _ready(self) -> bool:
        """True, once all stages have read their reference pictures."""
        with torch.inference_mode():
            for stage in self.stages:
                with located(stage):
                    stage.prepare(self._reference)
        return True

    @property
    def engines(self) -> dict[str, str]:
        """Engine of each stage, by the stages' names."""
        with _PREPARING:
            return self._engines

    @cached_property
    def _engines(self) -> dict[str, str]:
        chosen = choice.use(dict(zip(self.names, self.stages, strict=True)), self._engine, self.device)
        self.reader.follow(chosen.values())
        return chosen

    @cached_property
    def chain_hash(self) -> str:
        """Digest of chain and weights (``chains.digest``); "" for a pipeline that was not made from a chain."""
        weights = [ref for stage in self.stages for ref in stage.all_weights]
        return digest.chain_hash(self.described, weights) if self.described else ""

    @cached_property
    def mark(self) -> Provenance | None:
        """Provenance that is written into the edited pictures; None where the chain wants no mark."""
        wanted = self.output is None or self.output.mark
        chain = Path(self.described.source).stem if self.described else ""
        return Provenance(tuple(self.names), chain, self.chain_hash) if wanted else None

    def prepare(self) -> None:
        """Read what the stages need (reference pictures) and choose engines now instead of with the first photo."""
        claim_process()
        with _PREPARING:
            _ = self._ready, self.engines, self.mark

    def _reference(self, path: Path) -> Reading:
        """Find the best face of a reference picture."""
        self._references.append(path)
        pixels = images.read(path).visible()
        face = best(self.detector(pixels))
        if face is None:
            raise FaceError("no face found in the reference picture", path=path)
        return self.reader.of(pixels, face)

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

    def video(self, path: str | Path, out: str | Path, **options: Any) -> Any:
        """Run a video, an animation or a folder of frames: see ``ganchain.video.run.edit`` and ``video.options``."""
        run, chosen = (import_module(f"ganchain.video.{name}") for name in ("run", "options"))  # needs the extra video
        return run.edit(self, Path(path), Path(out), chosen.Options(**options))

    def group(self, photos: Sequence[Source | Passage]) -> list[Result]:
        """Run photos side by side: the faces of all of them share each stage's network batches.

        All pixels are held at once; for folders of any size there is ``batch``. A ``Passage`` is a photo whose faces
        are known before, as a frame of a video. Results come in the order of the photos; one that fails gives a
        "failed" result and costs the others nothing.
        """
        self.prepare()
        torch.get_num_threads()  # sets it for this thread, too, whose first sums would else be divided otherwise
        passages = [photo if isinstance(photo, Passage) else self._read(photo) for photo in photos]
        group = Group(passages, self._aligner, self.device, self._batch, self.mark)
        if any(stage.needs for stage in self.stages):
            group.leave_out_unsure()
        write, shown = self.output.write if self.output else "both", windows(self.stages)[1]
        for number, window in runs(self.stages, shown if write == "faces" else None):
            group.run(self.stages[number], self.names[number], window)
            if self.keep_steps:
                group.keep_step(self.names[number])
        return group.finish(whole=write != "faces", pictures=None if write == "photo" else shown)

    def _read(self, source: Source) -> Passage:
        """Read a photo, find its faces and choose among them; an error becomes its result."""
        name = str(source) if isinstance(source, str | Path) else type(source).__name__
        passage = Passage(Result(name, "ok"), needs_face(self.stages))
        with passage.catch_errors():
            with passage.watch("read"):
                photo = images.read(source, accept_damaged=self.accept_damaged)
                if self.output is not None and self.output.location == "strip":
                    photo = metadata.without_location(photo)
            with passage.watch("detect"):
                passage.begin(photo)
                faces = choose(in_reading_order(self.detector(passage.seen)), self.faces)
            passage.result = Result(photo.name, "ok", photo, seconds=passage.watch.seconds)
            passage.result.output = self.output or Output()
            passage.result.reads = [Path(photo.name), *self._references, *outputs.reads(self.described)]
            passage.take(replace(face, reading=self.reader.of(passage.seen, face)) for face in faces)
        return passage
