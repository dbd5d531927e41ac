"""The runner of jobs: it runs a photo through a pipeline that stays loaded, and writes pictures and previews."""

from __future__ import annotations

import json
import logging
from collections import OrderedDict
from copy import copy
from pathlib import Path
from typing import Any

from ganchain.batch import memory
from ganchain.chains import Chain
from ganchain.errors import GanchainError, PhotoError, StageError, is_bug, text_of
from ganchain.files import sha256
from ganchain.photos.images import write
from ganchain.photos.photo import Photo
from ganchain.pipeline import outputs
from ganchain.pipeline.pipeline import Pipeline
from ganchain.pipeline.result import Result
from ganchain.web.jobs import Job
from ganchain.web.uploads import preview

log = logging.getLogger(__name__)

LOADED = 4  # pipelines that stay in memory
SLACK = 512 << 20  # bytes of memory left free for the rest of the system


class Runner:
    """A function that runs jobs and keeps their pipelines for the next job of the same chain."""

    def __init__(self, device: str, engine: str) -> None:
        self.device, self.engine = device, engine
        self._pipelines: OrderedDict[str, Pipeline] = OrderedDict()

    def __call__(self, job: Job) -> None:
        """Run ``job``.

        Raises:
            GanchainError: the job failed; the message names no path on this machine.
        """
        try:
            self._run(job)
        except Exception as error:  # a visitor must never see a traceback
            if is_bug(error) and not memory.ran_out(error):
                log.error("job %s: stage %s: %s", job.id[:4], job.stage, text_of(error), exc_info=error)
            raise GanchainError(_message(error, job)) from error

    def _run(self, job: Job) -> None:
        job.stage = "loading"
        pipeline = self._pipeline(job)
        needs = (
            memory.needed(*job.upload.size, pipeline.stages) + _step_bytes(job, pipeline) + _face_bytes(job, pipeline)
        )
        available = memory.available() - SLACK
        if needs > available:
            raise PhotoError(
                f"needs about {memory.text(needs)} of memory, {memory.text(available)} are there; {memory.CURE}"
            )
        hooks = [
            stage.register_forward_pre_hook(lambda *_, name=name, step=step: job.tick(name, step))
            for step, (name, stage) in enumerate(zip(pipeline.names, pipeline.stages, strict=True), start=1)
        ]
        try:
            job.stage = "reading"
            result = pipeline(job.upload.path)
        finally:
            for hook in hooks:
                hook.remove()
        job.stage, job.step = "writing", job.steps
        self._write(job, result, pipeline)

    def _pipeline(self, job: Job) -> Pipeline:
        """Return the loaded pipeline of the job's chain, or load it; the one used longest ago is dropped."""
        key = _key(job.chain)
        if key not in self._pipelines:
            job.tick()
            pipeline = Pipeline.from_chain(job.chain, device=self.device, engine=self.engine, keep_steps=True)
            pipeline.prepare()
            self._pipelines[key] = pipeline
        self._pipelines.move_to_end(key)
        while len(self._pipelines) > LOADED:
            self._pipelines.popitem(last=False)
        return self._pipelines[key]

    def _write(self, job: Job, result: Result, pipeline: Pipeline) -> None:
        output = job.chain.output
        base = job.folder / outputs.names_of(job.name, output).plain(job.upload.path.name)
        for path, photo in outputs.pictures(result, output, base):
            write(photo, path, keep_location=output.location == "keep")
            job.pictures.append(path)
        steps: list[tuple[str, Photo]] = list(result.steps) if result.status == "ok" else []
        job.previews.append(("photo", job.upload.preview))
        for number, (name, photo) in enumerate(steps, start=1):
            job.previews.append((name, job.folder / f".step-{number}.jpg"))
            preview(photo.pixels, job.previews[-1][1])
        job.report = {
            "status": result.status,
            "chain": job.name,
            "photo": job.upload.name,
            "size": list(job.upload.size),
            "faces": _faces(job, result),
            "seconds": {name: round(seconds, 3) for name, seconds in result.seconds.items()},
            "engines": pipeline.engines,
            "pictures": [
                {"name": path.name, "bytes": path.stat().st_size, "sha256": sha256(path)} for path in job.pictures
            ],
        }


def _faces(job: Job, result: Result) -> list[dict[str, Any]]:
    """Describe the upload's faces, those that the chain's rule leaves out included."""
    return [
        {**described, "left_out": face.left_out}
        for described, face in zip(job.upload.describe(), result.faces, strict=True)
    ]


def _step_bytes(job: Job, pipeline: Pipeline) -> int:
    """Add up the bytes of the photos after each stage, which are kept for the previews."""
    pixels, scale = job.upload.size[0] * job.upload.size[1] * 3, 1
    total = 0
    for stage in pipeline.stages:
        scale *= stage.scale if stage.effect == "enlarge" and stage.scope == "photo" else 1
        total += pixels * scale**2
    return total


def _face_bytes(job: Job, pipeline: Pipeline) -> int:
    """Add up the bytes of face pictures with a side of their own, which ``memory.needed`` does not count."""
    side = job.chain.output.side or 0
    for stage in pipeline.stages:
        side *= stage.scale if stage.effect == "enlarge" and stage.scope == "face" else 1
    return sum(face.left_out is None for face in job.upload.faces) * side**2 * memory.FACE_ENLARGED


def _key(chain: Chain) -> str:
    """Write all that a pipeline depends on as one text, files by their digests."""
    stages = [
        [spec.name, {key: _content(value) for key, value in sorted(spec.options.items())}] for spec in chain.stages
    ]
    head = [str(chain.faces), chain.output.model_dump(), chain.license_policy, chain.source]
    return json.dumps([stages, head], default=repr)


def _content(value: Any) -> Any:
    return sha256(value) if isinstance(value, Path) else value


def _message(error: Exception, job: Job) -> str:
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
    if str(job.folder.parent) in str(public):
        log.error("job %s: an error's reason names a path", job.id[:4], exc_info=error)
        return "failed; the server's log says why"
    return str(public)
