"""The workers' insides, warmed up: the first visitor need not wait for what is loaded when it is first used."""

from __future__ import annotations

import logging

from ganchain import chains, tensors
from ganchain.engines.probe import probe_picture
from ganchain.pipeline.pipeline import Pipeline
from ganchain.web.redraw import Redrawer
from ganchain.web.runner import LOADING, Runner
from ganchain.web.worker import Line

log = logging.getLogger(__name__)

CHAIN = "portrait"  # it has all stages but one
SIDE = 200  # px of the drawn face: small, since what is loaded is the same for every size


def warm_runner(line: Line, device: str, engine: str) -> Runner:
    """Make a runner, after a drawn face went through a chain; a job that waits ends that before its next stage."""
    try:
        _run(line, device)
    except Exception as error:  # a job will say so to its visitor
        log.debug("not warmed up", exc_info=error)
    return Runner(line, device, engine)


def warm_redrawer(line: Line, device: str) -> Redrawer:
    """Make a redrawer, after a drawn face went through a chain; a draft that waits ends that before its next stage."""
    try:
        _run(line, device)
    except Exception as error:
        log.debug("not warmed up", exc_info=error)
    return Redrawer(line, device)


def _run(line: Line, device: str) -> None:
    """Run the drawn face by torch, whatever engine was asked for: converting networks may take minutes."""
    line.reach(LOADING)
    pipeline = Pipeline.from_chain(chains.load(CHAIN), device=device, keep_steps=True)
    for stage in pipeline.stages:
        stage.register_forward_pre_hook(lambda *_: line.reach(LOADING))
    pipeline(tensors.to_pixels(tensors.resize(probe_picture(), (SIDE, SIDE)))[0])
