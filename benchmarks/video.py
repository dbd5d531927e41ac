"""Video: flicker, frames a second, memory, and kills.

    python -m benchmarks.video flicker CLIP...       mean flicker of three chains, held steady and frame by frame
    python -m benchmarks.video speed [CHAIN...]      frames a second at 640 x 360, by engine
    python -m benchmarks.video memory [FRAMES]       resident memory over 5,000 small frames
    python -m benchmarks.video kills CLIP [NUMBER]   the same bytes after kill -9, NUMBER times (30)

Flicker is the mean absolute difference, in levels, between a frame and the one before it, warped by the optical flow of
the input, inside the head, minus the same of the input. The second figure is that of the edits themselves (output minus
input), which the noise of the input does not hide.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from fractions import Fraction
from itertools import product
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import psutil
import skimage.data
import torch
from numpy.typing import NDArray

from ganchain import Pipeline
from ganchain.tensors import Pixels
from ganchain.video import coding, joining, record
from ganchain.video.ahead import one_core_less
from ganchain.video.clip import Clip
from ganchain.video.sources import source_of

MAKEUP, ATTRIBUTES = "makeup: {look: evening}", "attributes: {hair: red, age: old}"
CHAINS = {
    "makeup": [MAKEUP],
    "attributes": [ATTRIBUTES],
    "webtoon": ["webtoon: {}"],
    "filter": ["webtoon: {look: filter}"],
    "page": ["webtoon: {scope: photo}"],
    "chain": [MAKEUP, ATTRIBUTES, "webtoon: {}"],
}
FRAMES = 300  # whose speed is measured: ten seconds
HEAD = (0.5, 0.7, 0.4)  # how far a head reaches beyond the inner face: to the sides, above, below


def moved(number: int, size: tuple[int, int] = (320, 240), noise: float = 2.0) -> Pixels:
    """Draw a slow move of the astronaut, with a camera's noise."""
    t = number / 60
    scale, turn = 1.15 + 0.08 * np.sin(2 * t), 0.06 * np.sin(1.3 * t)
    matrix = cv2.getRotationMatrix2D((225, 130), float(np.degrees(turn)), float(scale))
    matrix[:, 2] += np.array(size) / 2 - (225, 130) + (14 * np.sin(1.1 * t), 6 * np.sin(1.7 * t))
    picture = cv2.warpAffine(skimage.data.astronaut(), matrix, size, flags=cv2.INTER_AREA)
    grain = np.random.default_rng(number).normal(0, noise, picture.shape)
    return (picture + grain).round().clip(0, 255).astype(np.uint8)


def drawn(path: Path, frames: int, size: tuple[int, int] = (320, 240)) -> Path:
    """Write a clip of ``moved``."""
    clip = Clip(path, size, Fraction(1, 30), Fraction(30))
    how = coding.Coding(coding.CODECS["h264"], "mp4", 14)
    part = path.with_suffix(".segment")
    writer = coding.SegmentWriter(part, clip, how, size)
    for number in range(frames):
        writer.write(moved(number, size), number)
    writer.close()
    joining.join([part], [[(number, 1) for number in range(frames)]], clip, how, path, None)
    part.unlink()
    return path


def chain_of(folder: Path, name: str) -> Path:
    """Write one of ``CHAINS`` into a folder."""
    path = folder / f"{name}.yaml"
    path.write_text("stages:\n" + "".join(f"  - {stage}\n" for stage in CHAINS[name]))
    return path


def boxes(path: Path) -> Mapping[int, list[tuple[float, ...]]]:
    """Read the boxes of the edited faces, by frame."""
    import json

    lines = [json.loads(line) for line in path.read_text().splitlines()[1:]]
    faces: dict[int, list[tuple[float, ...]]] = {}
    for line in lines:
        if line.get("status") == "edited":
            faces.setdefault(line["frame"], []).append(tuple(line["box"]))
    return faces


def changes(
    path: Path, guide: Path, faces: Mapping[int, list[tuple[float, ...]]]
) -> Iterator[tuple[float, float, float]]:
    """Yield how much each head differs from itself in the frame before, warped by the guide's flow.

    That is in the video, in the guide, and in the difference of both.
    """
    dis: Any = cv2.DISOpticalFlow_create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)  # type: ignore[attr-defined]
    last: list[NDArray[np.float32]] = []
    before = np.zeros(0, np.uint8)
    for frame, seen in zip(source_of(path).frames(), source_of(guide).frames(), strict=True):
        grey = np.asarray(cv2.cvtColor(seen.pixels, cv2.COLOR_RGB2GRAY), np.uint8)
        planes = [frame.pixels.astype(np.float32), seen.pixels.astype(np.float32)]
        planes.append(planes[0] - planes[1])
        if last and frame.number in faces and frame.number - 1 in faces:
            flow = dis.calc(grey, before, None)
            y, x = np.indices(grey.shape, dtype=np.float32)
            came = [cv2.remap(plane, x + flow[..., 0], y + flow[..., 1], cv2.INTER_CUBIC) for plane in last]
            apart = [np.abs(now - then).mean(axis=2) for now, then in zip(planes, came, strict=True)]
            for left, top, right, bottom in faces[frame.number]:
                side = right - left
                rows = slice(max(0, round(top - HEAD[1] * side)), round(bottom + HEAD[2] * side))
                columns = slice(max(0, round(left - HEAD[0] * side)), round(right + HEAD[0] * side))
                video, of_guide, edit = (float(plane[rows, columns].mean()) for plane in apart)
                yield video, of_guide, edit
        last, before = planes, grey


def flicker(clips: list[Path], names: list[str]) -> None:
    """Print the flicker of chains over clips."""
    with tempfile.TemporaryDirectory() as folder:
        clips = clips or [drawn(Path(folder) / "astronaut.mp4", 60)]
        for clip in clips:
            for name in names:
                chain = chain_of(Path(folder), name)
                figures = {}
                for steady in (0.0, 0.8):
                    out = Path(folder) / f"{clip.stem}-{name}-{steady}.mkv"
                    Pipeline.from_yaml(chain).video(clip, out, steady=steady, codec="ffv1")
                    faces = boxes(record.path_of(out))
                    video, guide, edit = np.mean(list(changes(out, clip, faces)), axis=0)
                    figures[steady] = f"{video - guide:.2f} ({edit:.2f})"
                print(f"{clip.stem} {name}: {figures[0.8]} levels, frame by frame {figures[0.0]}", flush=True)


def speed(names: list[str]) -> None:
    """Print frames a second at 640 x 360, of a clip whose one face fills a third of the height."""
    with tempfile.TemporaryDirectory() as folder:
        clip = drawn(Path(folder) / "clip.mp4", FRAMES, (640, 360))
        for name, engine in product(names, ("torch", "auto")):
            pipeline = Pipeline.from_yaml(chain_of(Path(folder), name), engine=engine)
            with one_core_less():  # as many threads as there will be
                pipeline(moved(0))  # loads all weights
            clocks = (time.perf_counter, time.process_time, time.thread_time)
            start = [clock() for clock in clocks]
            pipeline.video(clip, Path(folder) / f"{name}-{engine}.mp4")
            wall, *used = (clock() - then for clock, then in zip(clocks, start, strict=True))
            all_, own = (f"{1000 * seconds / FRAMES:.0f}" for seconds in used)
            each = f"{all_} ms of processor a frame, {own} in the main thread"
            print(f"{name}, {engine}: {FRAMES / wall:.1f} frames/s, {each}; load {os.getloadavg()[0]:.1f}", flush=True)


def memory(frames: int = 5000) -> None:
    """Print resident memory while small frames are edited."""
    from ganchain.video.options import Options
    from ganchain.video.run import edit
    from ganchain.video.summary import Progress

    with tempfile.TemporaryDirectory() as folder:
        clip = drawn(Path(folder) / "clip.mp4", frames, (160, 120))
        chain = chain_of(Path(folder), "makeup")
        process = psutil.Process()

        def show(progress: Progress) -> None:
            if progress.done % max(1, frames // 10) == 0:
                mib = process.memory_info().rss / 2**20
                print(f"{progress.step} {progress.done}: {mib:.0f} MiB, {progress.rate:.1f} frames/s", flush=True)

        edit(Pipeline.from_yaml(chain), clip, Path(folder) / "out.mp4", Options(), show)


def kills(clip: Path, number: int) -> None:
    """Kill a run ``number`` times, let it finish, and compare its bytes with an undisturbed run's."""
    with tempfile.TemporaryDirectory() as folder:
        chain = chain_of(Path(folder), "makeup")

        def start(name: str) -> subprocess.Popen[bytes]:
            command = [sys.executable, "-m", "ganchain", "video", str(chain), str(clip), "-o", f"{folder}/{name}.mp4"]
            return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

        began = time.perf_counter()
        assert start("whole").wait() == 0
        seconds = time.perf_counter() - began
        dice, killed = random.Random(0), 0
        while killed < number:
            run = start("killed")
            try:
                run.wait(dice.uniform(0.3, 0.9) * seconds)
                (Path(folder) / "killed.mp4").unlink()  # it was finished: begin anew
            except subprocess.TimeoutExpired:
                os.kill(run.pid, signal.SIGKILL)
                run.wait()
                killed += 1
        assert start("killed").wait() == 0
        whole, other = (Path(folder, f"{name}.mp4").read_bytes() for name in ("whole", "killed"))
        left = sorted(path.name for path in Path(folder).iterdir())
        print(f"{killed} kills: bytes {'equal' if whole == other else 'DIFFER'}; left there: {left}")


if __name__ == "__main__":
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "0")) or torch.get_num_threads())
    what, *rest = sys.argv[1:]
    if what == "flicker":
        flicker([Path(text) for text in rest if text not in CHAINS], [t for t in rest if t in CHAINS] or list(CHAINS))
    elif what == "kills":
        kills(Path(rest[0]), int(rest[1]) if len(rest) > 1 else 30)
    elif what == "memory":
        memory(*map(int, rest))
    else:
        speed(rest or list(CHAINS))
