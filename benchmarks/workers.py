"""How ``ganchain batch`` grows with its workers: photos a second with 1, 2 and 4 processes.

    python -m benchmarks.workers FOLDER [--chain portrait] [--workers 1 2 4] [--rounds 3] [--photos 10] [--json FILE]

Each count of workers is a process of its own, pinned to as many physical cores as it has workers (one hardware thread
each; Linux), so every worker computes with one thread and "one" is one core's work. Rounds go through the counts one
after the other, so that a noisy machine hits all of them. Timed are ``--photos`` a worker, the photos of FOLDER
repeated, after the first ones of each worker. Share: photos a second / (workers x photos a second of one), the median
of the rounds' own shares. Where fewer cores are free than workers, the share says so.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from statistics import median

from rich.console import Console
from rich.table import Table

CORES = Path("/sys/devices/system/cpu")


def physical() -> list[int]:
    """One hardware thread of each physical core that this process may use."""
    first: dict[str, int] = {}
    for number in sorted(os.sched_getaffinity(0)):
        siblings = CORES / f"cpu{number}" / "topology" / "thread_siblings_list"
        first.setdefault(siblings.read_text() if siblings.exists() else str(number), number)
    return list(first.values())


def rate(chain: str, folder: Path, workers: int, photos: int, cores: Sequence[int]) -> float:
    """Photos a second of ``workers`` processes on the first so many of ``cores``, in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.workers", str(folder), "--chain", chain, "--photos", str(photos)]
    pinned = ",".join(map(str, cores[:workers]))
    done = subprocess.run([*command, "--pinned", pinned], capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{workers} workers: {done.stderr.strip()}")
    return float(done.stdout.split()[-1])


def pinned(chain: str, folder: Path, photos: int, cores: Sequence[int]) -> float:
    """The same in this process: its workers inherit the cores, and torch one thread each."""
    os.sched_setaffinity(0, cores)
    os.environ["OMP_NUM_THREADS"] = "1"
    from ganchain.bench.throughput import chain_throughput
    from ganchain.pipeline import outputs

    sources = outputs.expand([folder])
    return chain_throughput(
        chain, sources, workers=len(cores), each=photos, engine="auto", device="cpu"
    ).photos_per_second


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--chain", default="portrait")
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2, 4])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--photos", type=int, default=10, help="timed a worker")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--pinned", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.pinned:
        print(pinned(asked.chain, asked.folder, asked.photos, [int(core) for core in asked.pinned.split(",")]))
        return
    cores = physical()
    if max(asked.workers) > len(cores):
        raise SystemExit(f"{max(asked.workers)} workers need as many physical cores; there are {len(cores)}")
    counts = sorted({1, *asked.workers})
    rounds = [
        {count: rate(asked.chain, asked.folder, count, asked.photos, cores) for count in counts}
        for _ in range(asked.rounds)
    ]
    table = Table("workers", "photos/s", "share", "rounds", title=f"{asked.chain}, one core a worker")
    records = []
    for count in counts:
        shares = [one[count] / (count * one[1]) for one in rounds]
        records.append({"workers": count, "photos_per_second": [one[count] for one in rounds], "shares": shares})
        rates = " ".join(f"{one[count]:.2f}" for one in rounds)
        table.add_row(str(count), f"{median(one[count] for one in rounds):.2f}", f"{median(shares):.2f}", rates)
    Console(width=None if sys.stdout.isatty() else 120).print(table)
    line = json.dumps({"chain": asked.chain, "cores": len(cores), "records": records})
    print(line)
    if asked.json:
        asked.json.write_text(line + "\n")


if __name__ == "__main__":
    main()
