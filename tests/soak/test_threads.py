"""Four threads with 500 photos each: what comes out is, to the bit, what comes out of one after the other."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256

import numpy as np
import pytest

from ganchain.engines import openvino
from ganchain.pipeline.pipeline import Pipeline
from ganchain.stages.makeup import Makeup
from ganchain.stages.webtoon import Webtoon
from ganchain.tensors import Pixels

pytestmark = pytest.mark.slow
THREADS, PHOTOS, SIZES = 4, 500, 25


@pytest.fixture(scope="module")
def photos(small_head: Pixels) -> list[Pixels]:
    """Photos of 25 sizes, with one face each."""
    return [np.pad(small_head, ((n, 7 * n), (3 * n, 5 * n), (0, 0)), mode="edge") for n in range(SIZES)]


@pytest.mark.parametrize("shared", [True, False])
@pytest.mark.parametrize("engine", ["torch", *(["openvino"] if openvino.installed() else [])])
def test_threads_to_the_bit(photos: list[Pixels], engine: str, shared: bool) -> None:
    def pipeline() -> Pipeline:
        return Pipeline([Makeup(look="rose"), Webtoon(look="filter")], engine=engine)

    def digest(used: Pipeline, number: int) -> str:
        result = used(photos[number % SIZES])
        assert result.photo is not None
        return sha256(result.photo.pixels.tobytes()).hexdigest()

    one = pipeline()
    expected = [digest(one, number) for number in range(SIZES)]
    fresh = pipeline()

    def many(thread: int) -> list[str]:
        used = fresh if shared else pipeline()
        return [digest(used, number + 7 * thread) for number in range(PHOTOS)]

    with ThreadPoolExecutor(THREADS) as pool:
        answers = list(pool.map(many, range(THREADS)))
    wrong = sum(
        answer != expected[(number + 7 * thread) % SIZES]
        for thread, of_thread in enumerate(answers)
        for number, answer in enumerate(of_thread)
    )
    print(f"{engine}, {'one pipeline' if shared else 'a pipeline each'}: {wrong} of {THREADS * PHOTOS} differ")
    assert wrong == 0
