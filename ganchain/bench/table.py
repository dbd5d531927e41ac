"""Report of a benchmark, as tables."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table

from ganchain.bench.report import Report
from ganchain.engines.choice import Measurement


def show(report: Report) -> None:
    """Print the report; plain text of a fixed width off a terminal."""
    console = Console()
    console = console if console.is_terminal else Console(width=140)
    facts, rates = report.machine, report.products
    rate = ", ".join(f"{kind} {gflops:,.0f}" for kind, gflops in rates.items())
    console.print(
        f"{facts.get('card') or facts['processor']}: {facts['usable']} cores, {facts['threads']} threads, "
        f"torch {facts['torch']}, openvino {facts['openvino']}; matrix product: {rate} GFLOP/s",
        highlight=False,
    )
    console.print(_steps(report))
    console.print(_stages(report))
    _sum_up(report, console)


def _steps(report: Report) -> Table:
    """Lay out the seconds a photo by step."""
    size = f"{report.photos} photos of {report.megapixels:.1f} megapixels, {report.faces} faces"
    table = Table("step", "seconds a photo", "share", title=f"{report.chain}: {size}")
    for name, seconds in report.seconds.items():
        table.add_row(name, f"{seconds:.4f}", f"{report.shares[name]:.0%}")
    table.add_row("all", f"{sum(report.seconds.values()):.4f}", f"{sum(report.shares.values()):.0%}")
    return table


def _stages(report: Report) -> Table:
    """Lay out the cost of a face by stage and engine."""
    labels = list(dict.fromkeys(label for cost in report.stages.values() for label in cost.engines))
    heads = [f"{label}, ms" for label in labels]
    title = "one face; in brackets the mean difference from float32 torch, in levels of 255"
    table = Table("stage", "side", "GMAC", *heads, "runs by", "GFLOP/s", "of the product", title=title)
    for name, cost in report.stages.items():
        times = [_cell(cost.engines[label]) if label in cost.engines else "-" for label in labels]
        ending = (cost.engine, f"{cost.gflops:.0f}", f"{cost.share:.0%}")
        table.add_row(name, f"{cost.side} px", f"{cost.gmac:.2f}", *times, *ending)
    return table


def _cell(measured: Measurement) -> str:
    """Write milliseconds, and the difference from torch, of one engine."""
    if measured.seconds is None:
        return "cannot"
    return f"{1000 * measured.seconds:.1f} ({measured.difference or 0:.2f})"


def _sum_up(report: Report, console: Console) -> None:
    """Print photos a second and memory, of one process and of the batch."""
    lines = [f"one process: {report.photos_per_second:.2f} photos/s, {report.memory / 1e9:.2f} GB at most"]
    if report.batch is not None:
        batch = report.batch
        size = f"{batch.memory / 1e9:.2f} GB at most"
        lines.append(f"batch, {batch.workers} workers: {batch.photos_per_second:.2f} photos/s, {size} (all processes)")
    console.print("\n".join(lines), highlight=False)
