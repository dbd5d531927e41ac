"""The runner of jobs in a worker process: a photo through a pipeline that stays loaded, pictures and previews."""

from __future__ import annotations

import dataclasses
import itertools
import json
import logging
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ganchain import files
from ganchain.batch import memory
from ganchain.chains import Chain, StageSpec
from ganchain.errors import GanchainError, PhotoError, is_bug, text_of
from ganchain.photos.images import write
from ganchain.photos.photo import Photo
from ganchain.pipeline import outputs, tiles
from ganchain.pipeline.order import running_order
from ganchain.pipeline.pipeline import Pipeline
from ganchain.pipeline.result import Result
from ganchain.stage import Stage
from ganchain.web.public import public_error
from ganchain.web.reader import Full, preview
from ganchain.web.worker import Line

log = logging.getLogger(__name__)

LOADED = 4  # pipelines that stay in memory
THUMBNAIL = 320  # px
SLACK = 512 << 20  # bytes of memory left free for the rest of the system


@dataclass(frozen=True)
class Task:
    """A job as its worker process gets it.

    Attributes:
        id: the start of the job's id, for the log.
        name: the chain's name.
        photo, preview: the photo's file, and its picture for the screen.
        size: width and height in px, upright.
        faces: the photo's faces, described as by ``Upload.describe``.
        folder: the folder for the pictures.
    """

    id: str
    name: str
    chain: Chain
    photo: Path
    preview: Path
    size: tuple[int, int]
    faces: list[dict[str, Any]]
    folder: Path


@dataclass
class Outcome:
    """The outcome of a task: fields of its ``Job``, or the error that a visitor may read; and lines for the log."""

    report: dict[str, Any] = dataclasses.field(default_factory=dict)
    pictures: list[Path] = dataclasses.field(default_factory=list)
    previews: list[tuple[str, Path]] = dataclasses.field(default_factory=list)
    thumbnails: list[Path] = dataclasses.field(default_factory=list)
    video: Path | None = None
    error: GanchainError | None = None
    logged: list[str] = dataclasses.field(default_factory=list)


LOADING, READING = -1, 0  # the steps of a task before its stages, which are 1, 2 …; writing comes after them


class Runner:
    """Work of a process that runs tasks, and keeps their pipelines for the next task of the same chain.

    Attributes:
        keep_steps: keep the photo after each stage, for the previews.
    """

    keep_steps = True

    def __init__(self, line: Line, device: str, engine: str) -> None:
        self.device, self.engine = device, engine
        self._line = line
        self._pipelines: OrderedDict[str, Pipeline] = OrderedDict()

    def begin(self, items: Sequence[Task]) -> Callable[[], list[Outcome]]:
        """Run tasks; none of their errors is raised."""
        outcomes = [self._outcome(task) for task in items]
        return lambda: outcomes

    def _outcome(self, task: Task) -> Outcome:
        outcome, records = Outcome(), _Records()
        logging.getLogger("ganchain").addHandler(records)
        try:
            self._run(task, outcome)
        except Exception as error:  # a visitor must never see a traceback
            if is_bug(error) and not memory.ran_out(error) and not files.is_full(error):
                log.error("job %s: stage %s: %s", task.id, self._stage(task), text_of(error), exc_info=error)
            outcome.error = Full() if files.is_full(error) else public_error(error, task.folder)
        finally:
            logging.getLogger("ganchain").removeHandler(records)
        outcome.logged = records.texts
        return outcome

    def _stage(self, task: Task) -> str:
        return phase(self.steps(task), self._line.step)[0]

    def steps(self, task: Task) -> Sequence[str]:
        """Name the steps of a task between the reading and the writing."""
        return [spec.name for spec in task.chain.stages]

    def _run(self, task: Task, outcome: Outcome) -> None:
        self._line.reach(LOADING)
        pipeline = self._pipeline(task)
        needs = memory.needed(*task.size, pipeline.stages) + _step_bytes(task, pipeline) + _face_bytes(task, pipeline)
        refuse_large(needs)
        calls = _calls(task, pipeline.stages)
        hooks = [
            stage.register_forward_pre_hook(lambda *_, step=step: self._line.reach(step, next(calls[step - 1])))
            for step, stage in enumerate(pipeline.stages, start=1)
        ]
        try:
            self._line.reach(READING)
            result = pipeline(task.photo)
        finally:
            for hook in hooks:
                hook.remove()
        self._line.reach(len(pipeline.stages) + 1)
        _write(task, result, pipeline, outcome)

    def _pipeline(self, task: Task) -> Pipeline:
        """Return the loaded pipeline of the task's chain, or load it; the one used longest ago is dropped."""
        key = _key(task.chain)
        if key not in self._pipelines:
            pipeline = Pipeline.from_chain(
                task.chain, device=self.device, engine=self.engine, keep_steps=self.keep_steps
            )
            pipeline.prepare()
            self._pipelines[key] = pipeline
        self._pipelines.move_to_end(key)
        while len(self._pipelines) > LOADED:
            self._pipelines.popitem(last=False)
        return self._pipelines[key]


def refuse_large(needs: int) -> None:
    """Refuse a task that needs more memory than there is.

    Args:
        needs: bytes.

    Raises:
        PhotoError: with both sizes and the cure.
    """
    available = memory.available() - SLACK
    if needs > available:
        raise PhotoError(
            f"needs about {memory.text(needs)} of memory, {memory.text(available)} are there; {memory.CURE}"
        )


class _Records(logging.Handler):
    """A handler that collects what is logged of an error, since a worker process has no log of its own."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.texts: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.texts.append(self.format(record))


def phase(names: Sequence[str], step: int) -> tuple[str, int]:
    """Name a step of a task whose stages have ``names``, with the number of the stage, or 0."""
    if step <= READING:
        return ("loading" if step == LOADING else "reading"), 0
    return (names[step - 1], step) if step <= len(names) else ("writing", len(names))


def _write(task: Task, result: Result, pipeline: Pipeline, outcome: Outcome) -> None:
    """Write the pictures and the previews."""
    base = task.folder / outputs.names_of(task.name, task.chain.output).plain(task.photo.name)
    for path, photo in result.files(base):
        write(photo, path)
        outcome.pictures.append(path)
        if task.chain.output.write != "photo":
            outcome.thumbnails.append(task.folder / f".thumbnail-{len(outcome.pictures)}.jpg")
            preview(photo, outcome.thumbnails[-1], THUMBNAIL)
    steps: list[tuple[str, Photo]] = list(result.steps) if result.status == "ok" else []
    outcome.previews.append(("photo", task.preview))
    for number, (name, photo) in enumerate(steps, start=1):
        outcome.previews.append((name, task.folder / f".step-{number}.jpg"))
        preview(photo, outcome.previews[-1][1])
    outcome.report = {
        "status": result.status,
        "chain": task.name,
        "photo": task.photo.name,
        "size": list(task.size),
        "faces": _faces(task, result),
        "seconds": {name: round(seconds, 3) for name, seconds in result.seconds.items()},
        "engines": pipeline.engines,
        "pictures": [{"name": path.name, **files.identity(path)} for path in outcome.pictures],
    }


def _faces(task: Task, result: Result) -> list[dict[str, Any]]:
    """Describe the upload's faces, those that the chain's rule leaves out included."""
    return [{**described, "left_out": face.left_out} for described, face in zip(task.faces, result.faces, strict=True)]


def _calls(task: Task, stages: Sequence[Stage]) -> list[Iterator[float]]:
    """Yield for each stage the share of its calls that are done, where a stage enlarges a photo in tiles; else 0."""
    size, shares = task.size, dict[int, Iterator[float]]()
    for number in running_order(stages):
        stage = stages[number]
        shares[number] = itertools.repeat(0.0)
        if stage.effect == "enlarge" and stage.scope == "photo":
            total = tiles.count(size, stage.multiple)
            shares[number] = itertools.chain((done / total for done in range(total)), itertools.repeat(0.99))
            size = (size[0] * stage.scale, size[1] * stage.scale)
    return [shares[number] for number in range(len(stages))]


def _step_bytes(task: Task, pipeline: Pipeline) -> int:
    """Add up the bytes of the photos after each stage, which are kept for the previews."""
    pixels, scale = task.size[0] * task.size[1] * 3, 1
    total = 0
    for stage in pipeline.stages:
        scale *= stage.scale if stage.effect == "enlarge" and stage.scope == "photo" else 1
        total += pixels * scale**2
    return total


def _face_bytes(task: Task, pipeline: Pipeline) -> int:
    """Add up the bytes of face pictures with a side of their own, which ``memory.needed`` does not count."""
    side = task.chain.output.side or 0
    for stage in pipeline.stages:
        side *= stage.scale if stage.effect == "enlarge" and stage.scope == "face" else 1
    return sum(face["left_out"] is None for face in task.faces) * side**2 * memory.FACE_ENLARGED


def _key(chain: Chain) -> str:
    """Write all that a pipeline depends on as one text, files by their digests."""
    head = [str(chain.faces), chain.output.model_dump(), chain.license_policy, chain.source]
    return json.dumps([*map(stage_key, chain.stages), head], default=repr)


def stage_key(spec: StageSpec) -> str:
    """Write all that a stage depends on as one text, files by their digests."""
    return json.dumps([spec.name, {key: _content(value) for key, value in sorted(spec.options.items())}], default=repr)


def _content(value: Any) -> Any:
    return files.sha256(value) if isinstance(value, Path) else value
