"""Growth of ``ganchain batch`` with its workers: photos a second with 1, 2 and 4 processes.

    python -m benchmarks.workers FOLDER [--chain portrait] [--workers 1 2 4] [--rounds 3] [--photos 10] [--json FILE]

Each count of workers is a process of its own, pinned to as many physical cores as it has workers (one hardware thread
each; Linux), so every worker computes with one thread and "one" is one core's work. Rounds go through the counts one
after the other, so that a noisy machine hits all of them. ``--photos`` a worker are timed, the photos of FOLDER
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
    """List one hardware thread of each physical core that this process may use."""
    threads: dict[str, int] = {}
    for number in sorted(os.sched_getaffinity(0)):
        siblings = CORES / f"cpu{number}" / "topology" / "thread_siblings_list"
        threads.setdefault(siblings.read_text() if siblings.exists() else str(number), number)
    return list(threads.values())


def rate(chain: str, folder: Path, workers: int, photos: int, cores: Sequence[int]) -> float:
    """Measure photos a second of ``workers`` processes on the first so many of ``cores``, in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.workers", str(folder), "--chain", chain, "--photos", str(photos)]
    pinned = ",".join(map(str, cores[:workers]))
    result = subprocess.run([*command, "--pinned", pinned], capture_output=True, text=True)
    if result.returncode:
        raise SystemExit(f"{workers} workers: {result.stderr.strip()}")
    return float(result.stdout.split()[-1])


def pinned(chain: str, folder: Path, photos: int, cores: Sequence[int]) -> float:
    """Measure in this process, pinned to ``cores``: its workers inherit the cores, and torch one thread each."""
    os.sched_setaffinity(0, cores)
    os.environ["OMP_NUM_THREADS"] = "1"
    from ganchain.bench.throughput import chain_throughput
    from ganchain.photos.find import expand

    sources = expand([folder])
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
    arguments = parser.parse_args()
    if arguments.pinned:
        print(
            pinned(
                arguments.chain, arguments.folder, arguments.photos, [int(core) for core in arguments.pinned.split(",")]
            )
        )
        return
    cores = physical()
    if max(arguments.workers) > len(cores):
        raise SystemExit(f"{max(arguments.workers)} workers need as many physical cores; there are {len(cores)}")
    counts = sorted({1, *arguments.workers})
    rounds = [
        {count: rate(arguments.chain, arguments.folder, count, arguments.photos, cores) for count in counts}
        for _ in range(arguments.rounds)
    ]
    table = Table("workers", "photos/s", "share", "rounds", title=f"{arguments.chain}, one core a worker")
    records = []
    for count in counts:
        shares = [round_rates[count] / (count * round_rates[1]) for round_rates in rounds]
        records.append(
            {
                "workers": count,
                "photos_per_second": [round_rates[count] for round_rates in rounds],
                "shares": shares,
            }
        )
        rates = " ".join(f"{round_rates[count]:.2f}" for round_rates in rounds)
        table.add_row(
            str(count),
            f"{median(round_rates[count] for round_rates in rounds):.2f}",
            f"{median(shares):.2f}",
            rates,
        )
    Console(width=None if sys.stdout.isatty() else 120).print(table)
    line = json.dumps({"chain": arguments.chain, "cores": len(cores), "records": records})
    print(line)
    if arguments.json:
        arguments.json.write_text(line + "\n")


if __name__ == "__main__":
    main()
