"""Figures of the bundled weights on the test split: how near the teacher, how much of the person is kept."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from statistics import fmean

import numpy as np
import torch
from rich.console import Console
from rich.table import Table
from torch.utils.data import DataLoader, Subset

from ganchain import manifest, registry
from ganchain.align import Aligner, Detector
from ganchain.dlib_detector import Embedder
from ganchain.face import Face
from ganchain.framing import TIGHT
from ganchain.pipeline import Pipeline
from ganchain.stage import Stage
from ganchain.tensors import Pixels, to_pixels
from ganchain.train import recipes
from ganchain.train.data import read, samples

EMBEDDING_SIDE = 150  # px, padding 0.25: the chip dlib's embedding was trained on

# what the distance to the source is measured for
EDITS: dict[str, tuple[str, dict[str, object]]] = {
    "makeup, evening": ("makeup", {"look": "evening"}),
    "attributes, blond": ("attributes", {"hair": "blond"}),
    "attributes, young": ("attributes", {"age": "young"}),
    "attributes, old": ("attributes", {"age": "old"}),
    "attributes, female": ("attributes", {"gender": "female"}),
    "attributes, male": ("attributes", {"gender": "male"}),
    "webtoon": ("webtoon", {}),
    "upscale x4": ("upscale", {"factor": 4}),
}


def run(data: Path, out: Path | None, *, limit: int | None = None, threads: int | None = None) -> None:
    """Measure everything, print it, and write it to ``out`` as JSON."""
    if threads:
        torch.set_num_threads(threads)
    console = Console()
    figures: dict[str, Mapping[str, float]] = {}
    for key in manifest.bundled():
        figures[key] = of_weights(key, data, limit)
        table = Table("figure", key)
        for name, value in figures[key].items():
            table.add_row(name, f"{value:.4g}")
        console.print(table)
    distances = identity(data, limit)
    table = Table("edit", "embedding distance to the source", "share below 0.6")
    for name, values in distances.items():
        table.add_row(name, f"{fmean(values):.3f}", f"{np.mean(np.array(values) < 0.6):.2f}")
    console.print(table)
    figures["identity"] = {name: fmean(values) for name, values in distances.items()}
    line = json.dumps({key: {n: round(v, 5) for n, v in found.items()} for key, found in figures.items()})
    print(line)
    if out is not None:
        out.write_text(line + "\n")


def of_weights(key: str, data: Path, limit: int | None) -> dict[str, float]:
    """The figures its recipe defines, averaged over the test split."""
    recipe = recipes.build(key, data)
    next(iter(recipe.networks.values())).load_state_dict(manifest.tensors(key))
    test = recipe.dataset("test")
    count = len(test) if limit is None else min(limit, len(test))  # type: ignore[arg-type]
    loader = DataLoader(Subset(test, range(count)), recipe.batch)
    with torch.inference_mode():
        rows = [(len(_first(batch)), recipe.figures(batch)) for batch in loader]
    total = sum(size for size, _ in rows)
    return {name: sum(size * row[name] for size, row in rows) / total for name in rows[0][1] if name != "score"}


def _first(batch: object) -> torch.Tensor:
    while not isinstance(batch, torch.Tensor):
        batch = batch[0]  # type: ignore[index]
    return batch


def identity(data: Path, limit: int | None) -> dict[str, list[float]]:
    """Distance of dlib's face embedding between each test head and its edits (below 0.6: the same person)."""
    embed, detector = Embedder(), Detector()
    pipelines = {name: Pipeline([_stage(*edit)], faces="largest") for name, edit in EDITS.items()}
    distances: dict[str, list[float]] = {name: [] for name in EDITS}
    for sample in samples(data / "wide256", "test")[:limit]:
        pixels = read(sample.path)
        faces = [face for face in detector(pixels) if face.left_out is None]
        if not faces:
            continue
        source = embed(_chip(pixels, faces[0]))
        for name, pipeline in pipelines.items():
            photo = pipeline(pixels).photo
            assert photo is not None
            face = faces[0].enlarged(photo.size[0] // pixels.shape[1])
            distances[name].append(float(np.linalg.norm(embed(_chip(photo.pixels, face)) - source)))
    return distances


def _stage(name: str, options: dict[str, object]) -> Stage:
    return registry.stage(name)(**options)


def _chip(pixels: Pixels, face: Face) -> Pixels:
    return to_pixels(Aligner(TIGHT).chip(pixels, face, EMBEDDING_SIDE))[0]
