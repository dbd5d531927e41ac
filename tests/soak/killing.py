"""A batch in a process of its own, to be killed."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from hashlib import sha256
from pathlib import Path

import psutil
from PIL import Image, ImageEnhance

from ganchain.tensors import Pixels

COMMAND = [sys.executable, "-c", "from ganchain.cli.batch import batch; batch()"]
CHAIN = "faces: all\nstages:\n  - makeup: {look: rose}\noutput: {write: both, format: png}\n"


def photos(folder: Path, pixels: Pixels, number: int) -> None:
    """``number`` different small photos, in two folders."""
    for index in range(number):
        path = folder / ("a" if index % 2 else "b") / f"{index:04}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        image = Image.fromarray(pixels).resize((256 + index % 40, 256))
        ImageEnhance.Brightness(image).enhance(0.7 + index % 60 / 100).save(path, quality=90)


def started(chain: Path, photos: Path, out: Path, workers: int = 2) -> subprocess.Popen[str]:
    options = ["--engine", "torch", "--workers", str(workers)]
    command = [*COMMAND, str(chain), str(photos), "-o", str(out), *options]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment, cwd=out.parent
    )


def contents(out: Path) -> dict[str, str]:
    """SHA-256 of all that lies in ``out`` but the record and the lock, by path."""
    files = (path for path in out.rglob("*") if path.is_file() and "ganchain-batch" not in path.name)
    return {path.relative_to(out).as_posix(): sha256(path.read_bytes()).hexdigest() for path in files}


def recorded(out: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in (out / "ganchain-batch.jsonl").read_text().splitlines()]


def killed(chain: Path, photos: Path, out: Path, total: int, chance: random.Random, workers: int = 2) -> str:
    """Start a batch, kill it or one of its workers (-9) at a random moment; returns what happened.

    The moment: after a random number of new outputs and up to 0.2 s more.
    """
    before = len(contents(out)) if out.exists() else 0
    process = started(chain, photos, out, workers)
    wanted = chance.randint(before, 2 * total - 1) if before < 2 * total else before
    while process.poll() is None and (len(list(out.rglob("*.png"))) if out.exists() else 0) < wanted:
        time.sleep(0.01)
    time.sleep(chance.random() * 0.2)
    children = psutil.Process(process.pid).children() if process.poll() is None else []
    spawned = [one for one in children if "spawn_main" in " ".join(one.cmdline())]
    if spawned and chance.random() < 0.25:
        chance.choice(spawned).kill()
        process.communicate(timeout=120)
        return f"a worker killed at {wanted}, batch ended with {process.returncode}"
    if process.poll() is None:
        process.send_signal(signal.SIGKILL)
    process.communicate(timeout=120)
    for one in psutil.wait_procs(spawned, timeout=10)[1]:
        raise AssertionError(f"worker {one.pid} outlived its parent")
    return f"killed at {wanted}" if process.returncode == -signal.SIGKILL else "ended before"


def check(chain: Path, photos: Path, out: Path, total: int, undisturbed: dict[str, str], workers: int = 2) -> None:
    """One more run, to the end, after which all is as it should be."""
    process = started(chain, photos, out, workers)
    output, errors = process.communicate(timeout=600)
    assert process.returncode == 0, errors
    check_contents(photos, out, total, undisturbed)
    summary = json.loads(output.splitlines()[-1])["summary"]
    assert summary["ok"] + summary["skipped"] == total


def check_contents(photos: Path, out: Path, total: int, undisturbed: dict[str, str]) -> None:
    """Every output is there, byte for byte, and nothing else; every photo is once in the record."""
    assert contents(out) == undisturbed
    records = recorded(out)
    assert Counter(record["input"] for record in records) == Counter(
        path.relative_to(photos).as_posix() for path in photos.rglob("*.jpg")
    )
    assert len(records) == total
    assert all(record["status"] == "ok" for record in records)
