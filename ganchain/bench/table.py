"""A report in words."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table

from ganchain.bench.report import Report
from ganchain.engines.choice import Measured


def show(report: Report) -> None:
    """Print the report; plain text of a fixed width off a terminal."""
    console = Console()
    console = console if console.is_terminal else Console(width=140)
    about, rates = report.machine, report.products
    rate = ", ".join(f"{kind} {gflops:,.0f}" for kind, gflops in rates.items())
    console.print(
        f"{about.get('card') or about['processor']}: {about['usable']} cores, {about['threads']} threads, "
        f"torch {about['torch']}, openvino {about['openvino']}; matrix product: {rate} GFLOP/s",
        highlight=False,
    )
    console.print(_steps(report))
    console.print(_stages(report))
    _sum_up(report, console)


def _steps(report: Report) -> Table:
    size = f"{report.photos} photos of {report.megapixels:.1f} megapixels, {report.faces} faces"
    table = Table("step", "seconds a photo", "share", title=f"{report.chain}: {size}")
    for name, seconds in report.seconds.items():
        table.add_row(name, f"{seconds:.4f}", f"{report.shares[name]:.0%}")
    table.add_row("all", f"{sum(report.seconds.values()):.4f}", f"{sum(report.shares.values()):.0%}")
    return table


def _stages(report: Report) -> Table:
    labels = list(dict.fromkeys(label for cost in report.stages.values() for label in cost.engines))
    heads = [f"{label}, ms" for label in labels]
    title = "one face; in brackets the mean difference from float32 torch, in levels of 255"
    table = Table("stage", "side", "GMAC", *heads, "runs by", "GFLOP/s", "of the product", title=title)
    for name, cost in report.stages.items():
        times = [_measured(cost.engines[label]) if label in cost.engines else "-" for label in labels]
        ending = (cost.engine, f"{cost.gflops:.0f}", f"{cost.share:.0%}")
        table.add_row(name, f"{cost.side} px", f"{cost.gmac:.2f}", *times, *ending)
    return table


def _measured(one: Measured) -> str:
    if one.seconds is None:
        return "cannot"
    return f"{1000 * one.seconds:.1f} ({one.difference or 0:.2f})"


def _sum_up(report: Report, console: Console) -> None:
    lines = [f"one process: {report.photos_per_second:.2f} photos/s, {report.memory / 1e9:.2f} GB at most"]
    if report.batch is not None:
        done = report.batch
        size = f"{done.memory / 1e9:.2f} GB at most"
        lines.append(f"batch, {done.workers} workers: {done.photos_per_second:.2f} photos/s, {size} (all processes)")
    console.print("\n".join(lines), highlight=False)
