"""Threads give what one after the other gives, to the bit; a fork is refused, since it would wait for ever."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any

import numpy as np
import pytest
import torch

from ganchain import stage
from ganchain.checkpoints import architectures
from ganchain.engines import choice, openvino
from ganchain.engines.kernels import kernels_of
from ganchain.errors import GanchainError
from ganchain.faces import dlib_models
from ganchain.faces.detect import DlibDetector
from ganchain.faces.dlib_models import dlib
from ganchain.pipeline import reader
from ganchain.pipeline.pipeline import Pipeline
from ganchain.stages.makeup import Makeup
from ganchain.stages.webtoon import Webtoon
from ganchain.tensors import Pixels
from tests import dlib_once

THREADS = 4
needs_openvino = pytest.mark.skipif(openvino.installed() is None, reason="openvino has no wheel for this machine")


@pytest.fixture(scope="module")
def photos(small_head: Pixels) -> list[Pixels]:
    """Photos of six sizes, with one face each."""
    return [np.pad(small_head, ((n, 17 * n), (13 * n, 5 * n), (0, 0)), mode="edge") for n in range(6)]


def in_threads(call: Callable[[Any], Any], items: Sequence[Any]) -> list[Any]:
    """Call ``call`` for all items in four threads that begin together."""
    barrier = Barrier(THREADS)
    with ThreadPoolExecutor(THREADS, initializer=barrier.wait) as pool:
        return list(pool.map(call, items))


@pytest.fixture
def dlibs_own(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """dlib's detector itself, without the memory that other tests share."""
    monkeypatch.setattr(dlib, "get_frontal_face_detector", dlib_once.MAKE_DETECTOR)
    dlib_models._hog.cache_clear()
    yield
    dlib_models._hog.cache_clear()


@pytest.mark.usefixtures("dlibs_own")
@pytest.mark.slow
def test_detectors_in_threads(photos: list[Pixels]) -> None:
    shared = DlibDetector()
    expected = [(face.box, face.landmarks.tolist()) for pixels in photos for face in shared(pixels)]
    for call in (shared, lambda pixels: DlibDetector()(pixels)):
        faces = [face for faces in in_threads(call, photos) for face in faces]
        assert [(face.box, face.landmarks.tolist()) for face in faces] == expected


@needs_openvino
@pytest.mark.slow
def test_one_converted_network_in_threads() -> None:
    """OpenVINO refuses a second question while it answers the first."""
    run = openvino.OpenVINO(half=False)(next(kernels_of(Webtoon(look="filter"))))
    pictures = [torch.rand(1, 3, 256, 256, generator=torch.Generator().manual_seed(n)) * 2 - 1 for n in range(12)]
    expected = [run(picture) for picture in pictures]
    assert all(torch.equal(a, b) for a, b in zip(in_threads(run, pictures), expected, strict=True))


@pytest.mark.slow
def test_pipelines_in_threads(photos: list[Pixels], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reader, "architectures", architectures)  # not those built once: each builds its own networks

    def pixels(pipeline: Pipeline, photo: Pixels) -> Pixels:
        result = pipeline(photo)
        assert result.photo is not None
        return result.photo.pixels

    photos = photos[:THREADS]
    reference = Pipeline([Makeup(look="rose")])
    expected = [pixels(reference, photo) for photo in photos]
    fresh = Pipeline([Makeup(look="rose")])  # which the threads prepare, too
    for call in (
        lambda photo: pixels(fresh, photo),
        lambda photo: pixels(Pipeline([Makeup(look="rose")]), photo),
    ):
        answers = in_threads(call, photos)
        assert all(np.array_equal(a, b) for a, b in zip(answers, expected, strict=True))


def test_engines_are_chosen_by_one_thread(monkeypatch: pytest.MonkeyPatch, small_head: Pixels) -> None:
    chosen: list[str] = []

    def use(*_: object) -> dict[str, str]:
        time.sleep(0.05)
        chosen.append("x")
        return {}

    monkeypatch.setattr(choice, "use", use)
    pipeline = Pipeline([Makeup()])
    in_threads(lambda _: (pipeline.prepare(), pipeline.engines), range(THREADS))
    assert chosen == ["x"]


def test_a_fork_is_told_to_use_spawn(monkeypatch: pytest.MonkeyPatch, small_head: Pixels) -> None:
    pipeline = Pipeline([Makeup()])
    pipeline.prepare()
    monkeypatch.setattr(stage, "_processes", [os.getppid()])  # as a fork of this process finds it
    for call in (pipeline.prepare, lambda: pipeline(small_head), lambda: list(pipeline.run([small_head])), Makeup):
        with pytest.raises(GanchainError, match="use spawn"):
            call()


@pytest.mark.skipif(not hasattr(os, "fork") or sys.platform == "darwin", reason="forks as Linux has them")
@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
@pytest.mark.slow
def test_a_fork_of_a_used_pipeline_says_so(small_head: Pixels) -> None:
    from multiprocessing import get_context

    pipeline = Pipeline([Makeup()])
    pipeline(small_head)
    with get_context("fork").Pool(1) as pool, pytest.raises(GanchainError, match="use spawn"):
        pool.apply_async(_prepare_copy).get(timeout=60)


def _prepare_copy() -> None:
    """Make a pipeline in a forked process."""
    Pipeline([Makeup()])
