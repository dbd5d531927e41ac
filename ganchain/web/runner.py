"""The runner of jobs in a worker process: a photo through a pipeline that stays loaded, pictures and previews."""

from __future__ import annotations

import dataclasses
import json
import logging
from collections import OrderedDict
from collections.abc import Callable, Sequence
from copy import copy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ganchain import files
from ganchain.batch import memory
from ganchain.chains import Chain
from ganchain.errors import GanchainError, PhotoError, StageError, is_bug, text_of
from ganchain.photos.images import write
from ganchain.photos.photo import Photo
from ganchain.pipeline import outputs
from ganchain.pipeline.pipeline import Pipeline
from ganchain.pipeline.result import Result
from ganchain.web.models import Problem, problems_of
from ganchain.web.reader import Full, preview
from ganchain.web.worker import Line

log = logging.getLogger(__name__)

LOADED = 4  # pipelines that stay in memory
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
    error: GanchainError | None = None
    logged: list[str] = dataclasses.field(default_factory=list)


LOADING, READING = -1, 0  # the steps of a task before its stages, which are 1, 2 …; writing comes after them


class Runner:
    """Work of a process that runs tasks, and keeps their pipelines for the next task of the same chain."""

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
            outcome.error = Full() if files.is_full(error) else _public(error, task)
        finally:
            logging.getLogger("ganchain").removeHandler(records)
        outcome.logged = records.texts
        return outcome

    def _stage(self, task: Task) -> str:
        return phase([spec.name for spec in task.chain.stages], self._line.step)[0]

    def _run(self, task: Task, outcome: Outcome) -> None:
        self._line.reach(LOADING)
        pipeline = self._pipeline(task)
        needs = memory.needed(*task.size, pipeline.stages) + _step_bytes(task, pipeline) + _face_bytes(task, pipeline)
        available = memory.available() - SLACK
        if needs > available:
            raise PhotoError(
                f"needs about {memory.text(needs)} of memory, {memory.text(available)} are there; {memory.CURE}"
            )
        hooks = [
            stage.register_forward_pre_hook(lambda *_, step=step: self._line.reach(step))
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
            pipeline = Pipeline.from_chain(task.chain, device=self.device, engine=self.engine, keep_steps=True)
            pipeline.prepare()
            self._pipelines[key] = pipeline
        self._pipelines.move_to_end(key)
        while len(self._pipelines) > LOADED:
            self._pipelines.popitem(last=False)
        return self._pipelines[key]


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
    steps: list[tuple[str, Photo]] = list(result.steps) if result.status == "ok" else []
    outcome.previews.append(("photo", task.preview))
    for number, (name, photo) in enumerate(steps, start=1):
        outcome.previews.append((name, task.folder / f".step-{number}.jpg"))
        preview(photo.pixels, outcome.previews[-1][1])
    outcome.report = {
        "status": result.status,
        "chain": task.name,
        "photo": task.photo.name,
        "size": list(task.size),
        "faces": _faces(task, result),
        "seconds": {name: round(seconds, 3) for name, seconds in result.seconds.items()},
        "engines": pipeline.engines,
        "pictures": [
            {"name": path.name, "bytes": path.stat().st_size, "sha256": files.sha256(path)} for path in outcome.pictures
        ],
    }


def _faces(task: Task, result: Result) -> list[dict[str, Any]]:
    """Describe the upload's faces, those that the chain's rule leaves out included."""
    return [{**described, "left_out": face.left_out} for described, face in zip(task.faces, result.faces, strict=True)]


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
    stages = [
        [spec.name, {key: _content(value) for key, value in sorted(spec.options.items())}] for spec in chain.stages
    ]
    head = [str(chain.faces), chain.output.model_dump(), chain.license_policy, chain.source]
    return json.dumps([stages, head], default=repr)


def _content(value: Any) -> Any:
    return files.sha256(value) if isinstance(value, Path) else value


class Failed(GanchainError):
    """An error of a job as its visitor may read it.

    Attributes:
        status: the HTTP status.
        problems: the wrong values of the chain.
    """

    def __init__(self, reason: str, status: int, problems: list[Problem]) -> None:
        super().__init__(reason)
        self.status, self.problems = status, problems


def _public(error: Exception, task: Task) -> Failed:
    """Turn an error into one for the visitor; a bug has the status 500."""
    text = _message(error, task)
    problems = problems_of(error)
    if str(task.folder.parent) in "".join(problem.reason for problem in problems):
        problems = []
    return Failed(text, 500 if is_bug(error) and not memory.ran_out(error) else 422, problems)


def _message(error: Exception, task: Task) -> str:
    """Say why a job failed, without paths on this machine."""
    if memory.ran_out(error):
        return f"not enough memory for this photo; {memory.CURE}"
    if isinstance(error, StageError) and is_bug(error):
        return f"the stage {error.stage!r} failed: an error of its own, not of the photo; the server's log says more"
    if not isinstance(error, GanchainError):
        return f"an error of ganchain's own: {type(error).__name__}"
    public = copy(error)
    for field in ("path", "ref", "file"):
        if Path(value := getattr(public, field, "")).is_absolute():
            setattr(public, field, Path(value).name)
    if str(task.folder.parent) in str(public):
        log.error("job %s: an error's reason names a path", task.id, exc_info=error)
        return "failed; the server's log says why"
    return str(public)
