"""ganchain against the seed's way: face edits as a notebook stitches them together, photo by photo.

    python -m benchmarks.seed FOLDER [--sizes 1 4 12] [--rounds 3] [--photos 48] [--few 12] [--json FILE] [--keep OUT]

**The seed's way** (``notebook.py``), written from its description. Models are loaded once. Each photo is read; dlib
looks for faces on the full photo, enlarged once (``detector(photo, 1)``); its 5-point shape predictor and
``get_face_chips`` cut chips of 256 px; each network runs alone, in fp32 torch, one face at a time, without gradients,
with all cores for torch: BeautyGAN with one reference face, StarGAN at 256 px, a Swapping AutoEncoder (encode, decode
with the texture of one style), SRGAN x4. Between networks the face is a picture of 8 bits. Nothing is pasted.

**ganchain's side** are two chains. *same*: the same four networks. *compact*: the bundled networks in the same order
(makeup, attributes, webtoon, upscale x4). Both write the faces as PNG, cut at 256 px and enlarged to 1,024, as the
seed's way does, by the engines that ``auto`` chooses.

The published architectures are ganchain's own modules, on both sides, with the weights by formula of the tests: equal
shapes and tensors, pictures of noise. Photos are those of FOLDER with one face, brought to each size in megapixels and
written as JPEG. What is compared, in each round one after the other, so that a noisy machine hits both sides:

- detection: finding and cutting out the face of a decoded photo, without networks, alone on the machine;
- networks: the four networks, seconds a face with all cores (the seed's way: torch's threads; ganchain's: one process a
  core, all of them at once, as in a batch); and once more with ganchain's arithmetic around them;
- end to end: photo file to face file, seconds a photo; of ``ganchain.batch`` with one process a core, from when a
  quarter of the photos are done (all workers are at work then) to the last one. Loading is left out on both sides.

Figures are medians over rounds, a ratio is the median of the rounds' own. Needs ``pip install 'ganchain[test]'``.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from statistics import mean, median
from typing import Any, NamedTuple

import numpy as np
import skimage.data
import torch
from PIL import Image
from rich.console import Console
from rich.table import Table

from benchmarks.detection import overlap
from benchmarks.notebook import SIDE, SeedsWay, import_weights
from benchmarks.photos import make_photos
from benchmarks.workers import physical
from ganchain.bench.machine import machine, matrix_products
from ganchain.bench.throughput import Throughput, throughput
from ganchain.engines.kernels import kernels_of
from ganchain.engines.probe import probe
from ganchain.faces.align import Aligner
from ganchain.faces.detect import DlibDetector
from ganchain.faces.face import Face
from ganchain.framing import FFHQ
from ganchain.photos import images
from ganchain.pipeline.pipeline import Pipeline
from ganchain.tensors import Pixels

RUNS = 4  # runs of ganchain's detection, a round
SPAN = 4.0  # seconds for which ganchain's networks run, a round
SAME = """\
stages:
  - makeup: {weights: seed-beautygan, reference: reference.png}
  - attributes: {weights: seed-stargan, hair: blond, gender: female, age: young}
  - webtoon: {weights: seed-webtoon, style: style.png}
  - upscale: {weights: seed-srgan, scope: face}
output: {write: faces, side: 256}
"""
COMPACT = """\
stages:
  - makeup: {look: evening}
  - attributes: {hair: blond, age: young}
  - webtoon
  - upscale: {factor: 4, scope: face}
output: {write: faces, side: 256}
"""
CHAINS = {"same": SAME, "compact": COMPACT}


def seconds(call: Callable[[], object]) -> float:
    """Time one call."""
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def cut(pixels: Pixels) -> list[Face]:
    """Detect and align by ganchain: cuts the canvas of each face."""
    faces = [face for face in DlibDetector()(pixels) if face.left_out is None]
    for face in faces:
        Aligner(FFHQ, max_side=SIDE).canvas(pixels, face)
    return faces


class ClockedChain:
    """Chain of ganchain's, with a clock at its networks."""

    def __init__(self, path: Path) -> None:
        self.seconds = 0.0
        self.pipeline = Pipeline.from_yaml(path, engine="auto")
        self.pipeline.prepare()
        for kernel in (kernel for stage in self.pipeline.stages for kernel in kernels_of(stage)):
            kernel.take_over(self._clocked(getattr(kernel.network, kernel.method)))

    def _clocked(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """Add a clock to a function."""

        def timed(*arguments: Any) -> Any:
            start = time.perf_counter()
            answer = function(*arguments)
            self.seconds += time.perf_counter() - start
            return answer

        return timed

    def face(self, span: float) -> tuple[float, float]:
        """Measure the seconds of the networks, and of the stages with all their arithmetic, for one face of 256 px.

        ``span``: for how many seconds faces are done, one at least.
        """
        stages, number, self.seconds = 0.0, 0, 0.0
        with torch.inference_mode():
            faces = [probe(stage, torch.device("cpu")) for stage in self.pipeline.stages]
            while not number or stages < span:
                stages += sum(
                    seconds(partial(stage, face, **read))
                    for stage, (face, read) in zip(self.pipeline.stages, faces, strict=True)
                )
                number += 1
        return self.seconds / number, stages / number


def _faces(chain: Path, ready: Any, answers: Any) -> None:
    """Measure on one core, while the others do the same."""
    torch.set_num_threads(1)
    clocked_chain = ClockedChain(chain)
    clocked_chain.face(0)
    ready.wait()
    answers.put(clocked_chain.face(SPAN))


def measure_at_once(chain: Path) -> tuple[float, float]:
    """Measure seconds a face of the networks, and of the stages, with one process a core."""
    cores, context = physical(), get_context("spawn")
    ready, answers = context.Barrier(len(cores)), context.Queue()
    for _ in cores:
        context.Process(target=_faces, args=(chain, ready, answers)).start()
    networks, stages = zip(*(answers.get() for _ in cores), strict=True)
    return mean(networks) / len(cores), mean(stages) / len(cores)


def batch(chain: Path, photos: Sequence[Path], out: Path) -> Throughput:
    """Run ``ganchain batch`` over ``photos``; a quarter of them, to begin with, is not timed."""
    result = throughput(chain, photos, out, warm=len(photos) // 4)
    pictures = list(out.rglob("*-face0.png"))
    if len(pictures) != len(photos):
        raise SystemExit(f"{chain.stem}: {len(pictures)} faces of {len(photos)} photos in {out}")
    return result


class Row(NamedTuple):
    """Comparison of one kind: chain, seconds of the seed's way and ours, and whether both found the same faces."""

    what: str
    chain: str
    seed: float
    ganchain: float
    same_faces: bool | None = None


class Comparison:
    """Comparison of both ways in one folder, in which the chains and the weights lie."""

    def __init__(self, folder: Path) -> None:
        import_weights(folder)
        face = np.asarray(skimage.data.astronaut())
        Image.fromarray(face).save(folder / "reference.png")
        Image.fromarray(face[:, ::-1]).save(folder / "style.png")
        self.seed = SeedsWay(face, face[:, ::-1].copy())
        self.engines = dict[str, dict[str, str]]()
        self.chains = {name: folder / f"{name}.yaml" for name in CHAINS}
        for name, path in self.chains.items():
            path.write_text(CHAINS[name])

    def round(self, photos: Sequence[Path], few: int, out: Path) -> list[Row]:
        """Run one photo the seed's way, ``photos`` through the chain "compact", and ``few`` of them through "same"."""
        (out / "seed").mkdir(parents=True)
        seed_seconds, boxes = self.seed(photos[0], out / "seed")
        pixels = images.read(photos[0]).pixels
        own_boxes = [face.box for face in cut(pixels)]
        same_faces = len(own_boxes) == len(boxes) and all(
            any(overlap(box, own_box) >= 0.4 for own_box in own_boxes) for box in boxes
        )
        detection = median(seconds(partial(cut, pixels)) for _ in range(RUNS))
        rows = [Row("detection", "", seed_seconds["detection"], detection, same_faces)]
        for name, path in self.chains.items():
            networks, stages = measure_at_once(path)
            measured = batch(path, photos if name == "compact" else photos[:few], out / name)
            self.engines[name] = measured.engines
            rows.append(Row("networks", name, seed_seconds["networks"], networks))
            rows.append(Row("networks and their arithmetic", name, seed_seconds["networks"], stages))
            rows.append(Row("end to end", name, seed_seconds["end to end"], 1 / measured.photos_per_second))
        return rows


def medians(rounds: Sequence[Sequence[Row]], megapixels: float) -> list[dict[str, Any]]:
    """Compute the medians over the rounds."""
    records = []
    for rows in zip(*rounds, strict=True):
        first = rows[0]
        record: dict[str, Any] = {"megapixels": megapixels, "what": first.what, "chain": first.chain}
        record |= {"seed": median(row.seed for row in rows), "ganchain": median(row.ganchain for row in rows)}
        record["ratio"] = median(row.seed / row.ganchain for row in rows)
        record["ratios"] = [row.seed / row.ganchain for row in rows]
        if first.same_faces is not None:
            record["same_faces"] = all(row.same_faces for row in rows)
        records.append(record)
    return records


def show(records: Sequence[dict[str, Any]]) -> None:
    """Print the records as a table."""
    table = Table("MP", "what", "chain", "seed s", "ganchain s", "ratio", "rounds", title="the seed's way / ganchain")
    for record in records:
        ratios = " ".join(f"{ratio:.1f}" for ratio in record["ratios"])
        faces = "" if "same_faces" not in record else ", same faces" if record["same_faces"] else ", OTHER faces"
        numbers = (f"{record['seed']:.3f}", f"{record['ganchain']:.4f}", f"{record['ratio']:.1f}", ratios)
        table.add_row(f"{record['megapixels']:g}", record["what"] + faces, record["chain"], *numbers)
    Console(width=None if sys.stdout.isatty() else 140).print(table)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--sizes", type=float, nargs="+", default=[1, 4, 12], help="megapixels")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--photos", type=int, default=48, help="through the compact chain, each round")
    parser.add_argument("--few", type=int, default=12, help="through the published networks")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--keep", type=Path, help="an empty folder where photos, chains and faces are left to look at")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = arguments.keep or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        os.environ["GANCHAIN_CACHE"] = str(folder / "cache")
        comparison = Comparison(folder)
        records: list[dict[str, Any]] = []
        for size in arguments.sizes:
            photos = make_photos(arguments.folder, size, folder / f"{size:g}mp", arguments.photos)
            rounds = []
            for number in range(arguments.rounds):
                rotated = [*photos[number:], *photos[:number]]
                rounds.append(comparison.round(rotated, arguments.few, folder / f"{size:g}mp-out" / str(number)))
            records += medians(rounds, size)
            show(records[-len(rounds[0]) :])
    cpu = torch.device("cpu")
    products = matrix_products(cpu)
    report = {"machine": machine(cpu), "products": products, "engines": comparison.engines, "records": records}
    print(json.dumps(report))
    if arguments.json:
        arguments.json.write_text(json.dumps(report, indent=1) + "\n")


if __name__ == "__main__":
    main()
