"""Benchmark of a chain over photos, timed step by step."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Any

from ganchain import chains
from ganchain.bench.costs import StageCost, costs
from ganchain.bench.machine import Peak, machine, matrix_products
from ganchain.bench.throughput import Throughput, chain_throughput
from ganchain.errors import FaceError, PhotoError
from ganchain.photos import images
from ganchain.photos.find import find
from ganchain.photos.protect import Protection
from ganchain.pipeline import outputs
from ganchain.pipeline.order import needs_face
from ganchain.pipeline.pipeline import Pipeline
from ganchain.pipeline.result import Stopwatch

RUNS = 3
NOWHERE = Path(".ganchain-bench")  # stands for the folder of outputs, of which there is none
PER_WORKER = 6  # photos timed in each process of the batch


@dataclass(frozen=True)
class Report:
    """Result of ``measure``.

    Attributes:
        chain: as it was asked for.
        machine: processor, cores, threads, versions.
        products: GFLOP/s of a matrix product by precision, measured in this run.
        photos, megapixels, faces: number of photos, their mean size, and the number of faces edited in them.
        seconds: a photo in one process by step: "read", "detect", each stage, "paste", "encode"; medians of the runs.
            The faces are cut out in the first stage of scope face.
        memory: peak of the resident memory of that process in bytes.
        stages: costs by the stages' names.
        batch: throughput of ``ganchain batch`` on the photos; None with no workers.
    """

    chain: str
    machine: dict[str, Any]
    products: dict[str, float]
    photos: int
    megapixels: float
    faces: int
    seconds: dict[str, float]
    memory: int
    stages: dict[str, StageCost]
    batch: Throughput | None

    @property
    def photos_per_second(self) -> float:
        """Photos a second in one process."""
        return 1 / sum(self.seconds.values())

    @property
    def shares(self) -> dict[str, float]:
        """Share of each step in the seconds a photo; they add up to 1."""
        return {name: seconds * self.photos_per_second for name, seconds in self.seconds.items()}

    def to_json(self) -> dict[str, Any]:
        """Return all of it, for JSON."""
        return asdict(self) | {"photos_per_second": self.photos_per_second, "shares": self.shares}


def measure(
    chain: str,
    photos: Sequence[Path],
    *,
    engine: str = "auto",
    device: str = "auto",
    workers: int | None = None,
    runs: int = RUNS,
) -> Report:
    """Run ``photos`` (files and folders) through ``chain``: once to warm up, ``runs`` times, then as a batch.

    Args:
        chain: a YAML file, or the name of a bundled chain.
        workers: processes of the batch; None for one a core, 0 for no batch.

    Raises:
        GanchainError: the chain or the engine is wrong, there are no photos, one cannot be read, or no face is in any.
    """
    loaded_chain = chains.load(chain)
    sources = [item.source for item in find(photos, NOWHERE).items if _readable(item.source)]
    if not sources:
        raise PhotoError(f"no photo that can be read in {', '.join(map(str, photos))}")
    pipeline = Pipeline.from_chain(loaded_chain, engine=engine, device=device)
    pipeline.prepare()
    with Peak.watched() as peak, tempfile.TemporaryDirectory() as folder:
        faces, _ = _run_photos(pipeline, sources, Path(folder))
        if not faces and needs_face(pipeline.stages):
            raise FaceError(f"no face to edit in {', '.join(map(str, photos))}: nothing of the chain would be measured")
        passes = [_run_photos(pipeline, sources, Path(folder))[1] for _ in range(runs)]
    facts, products = machine(pipeline.device), matrix_products(pipeline.device)
    stages = costs(loaded_chain, pipeline, products)
    processes = facts["usable"] if workers is None else workers
    return Report(
        chain=chain,
        machine=facts,
        products=products,
        photos=len(sources),
        megapixels=sum(width * height for width, height in map(images.size, sources)) / len(sources) / 1e6,
        faces=faces,
        seconds={name: median(seconds[name] for seconds in passes) for name in passes[0]},
        memory=peak.bytes,
        stages=stages,
        batch=chain_throughput(chain, sources, workers=processes, each=PER_WORKER, engine=engine, device=device)
        if processes
        else None,
    )


def _readable(photo: Path) -> bool:
    """Return whether the photo can be read."""
    with suppress(PhotoError):
        return bool(images.read(photo).pixels.size)
    return False


def _run_photos(pipeline: Pipeline, sources: Sequence[Path], folder: Path) -> tuple[int, dict[str, float]]:
    """Run all photos once: faces edited, and the seconds a photo by step."""
    watch, faces = Stopwatch(), 0
    protection = Protection(sources, overwrite=True)
    targets = outputs.Targets(folder, "bench", pipeline.output, alone=False, protection=protection)
    for source in sources:
        result = pipeline(source)
        with watch("encode"):
            targets.write(source, result)
        for name, seconds in result.seconds.items():
            watch.add(name, seconds)
        faces += sum(face.left_out is None for face in result.faces)
    steps = ["read", "detect", *pipeline.names, "paste", "encode"]
    return faces, {name: watch.seconds.get(name, 0.0) / len(sources) for name in steps}
