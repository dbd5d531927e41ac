"""Report of ``ganchain evaluate``: tables to read, one JSON line, and a contact sheet to look at."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from PIL import Image
from rich.console import Console
from rich.table import Table
from torch.utils.data import DataLoader, Subset

from ganchain.chains.document import Place
from ganchain.checkpoints import manifest
from ganchain.errors import ChainError, PhotoError, available
from ganchain.evaluate import drawn, edits, painted, parts, points, restore, standard, years
from ganchain.evaluate.cost import cost
from ganchain.evaluate.edits import EDITS, Edit, People
from ganchain.evaluate.spoilt import RECIPES
from ganchain.sheets import sheet
from ganchain.tensors import resize, to_faces, to_pixels
from ganchain.train import recipes, runs
from ganchain.train.datasets.labels import table as labels

BATCH = 32
FACTOR = 4
HEADS, FACES = "wide256", "faces256"
BUDGET = {"GMAC": ("<=", 0.5)}
READINGS = {  # measured on all pictures at once
    "points": points.figures,
    "parts": parts.figures,
    "restore": restore.figures,
    "restore-face": restore.figures,
}
SPOILT = {f"{name}: gain over bicubic, dB": (">=", 1.0) for name in RECIPES}

# bounds that the weights and edits shall keep: (at least or at most, the bound)
WANTED: dict[str, dict[str, tuple[str, float]]] = {
    "makeup": {f"removed in {region}": (">=", 0.75) for region in ("lips", "lids", "cheeks")}
    | {"change outside, dE": ("<=", 1.0), "evening: share below 0.4": (">=", 0.95)}
    | {
        f"{kind}: removed in {region}": (">=", bound)
        for kind, bound in (("transfer", 0.7), ("other skin", 0.6), ("turned", 0.6))
        for region in ("lips", "lids", "cheeks")
    }
    | {"transfer: error outside, dE": ("<=", 0.5)}
    | dict.fromkeys(("change in an open mouth, dE", "transfer: change in an open mouth, dE"), ("<=", 1.5))
    | {f"{name} at 256 px, ms": ("<=", 25.0) for name in ("a look", "a transfer")}
    | {f"{name} at 1,350 px, ms": ("<=", 80.0) for name in ("a look", "a transfer")},
    "hair": {"chroma of the way": (">=", 0.8), "change in a band around the hair, dE": ("<=", 1.0)}
    | {f"{hair}: share below 0.6": (">=", 0.95) for hair in ("black", "brown", "blond")},
    "attributes-portrait": BUDGET
    | {f"{name}: taken for it, of the opposite": (">=", 0.85) for name in ("young", "old", "female", "male")}
    | {f"{name}: share below 0.6": (">=", 0.95) for name in ("young", "old", "female", "male")}
    | {f"{name}: change in an open mouth, dE": ("<=", 1.5) for name in ("young", "old", "female", "male")}
    | {"age: judged in the order of years": (">=", 0.95)},
    "webtoon": BUDGET
    | {"psnr": (">=", 32.0)}
    | {"filter: share below 0.55": (">=", 0.9), "drawn: share below 0.6": (">=", 0.8)}
    | {"drawn: median distance": ("<=", 0.55), "iris hue within 25": (">=", 0.9), "skin order": (">=", 0.95)}
    | {"short strokes": ("<=", 0.0), "drawn: ms": ("<=", 60.0)},
    "upscale": {"GMAC": ("<=", 2.5), "gain over bicubic, dB": (">=", 2.0), "Set5 x4, luma dB": (">=", 31.2)},
    "upscale-detail": {"GMAC": ("<=", 2.5)},
    "upscale-fast": {"Set5 x4, luma dB": (">=", 30.9), "Set14 x4, luma dB": (">=", 27.8)},
    "upscale-standard": {"Set5 x4, luma dB": (">=", 31.4), "Set14 x4, luma dB": (">=", 28.15)},
    "upscale-best": {"Set5 x4, luma dB": (">=", 31.95), "Set14 x4, luma dB": (">=", 28.5)},
    "restore": {"GMAC": ("<=", 3.95)},
    "restore-face": {"GMAC": ("<=", 3.95)} | SPOILT,
    "points": {"GMAC": ("<=", 0.15), "mean": ("<=", 1.5), "turned: mean": ("<=", 2.0), "worst": ("<=", 8.0)}
    | dict.fromkeys(("eyes", "irises", "lips"), ("<=", 1.2))
    | {f"{part} correlation": (">=", 0.95) for part in ("blink", "mouth")}
    | {"worst group above the mean": ("<=", 0.3)},
    "parts": {
        "GMAC": ("<=", 0.35),
        "hair: overlap with the teacher": (">=", 0.92),
        "hair: overlap with the teacher, updos and long hair": (">=", 0.88),
        "hair: share called hair on bald heads, %": ("<=", 1.0),
        "cover: share on clean faces, %": ("<=", 0.5),
        "cover: mean of kinds never trained on": (">=", 0.8),
    },
}


def run(
    data: Path,
    keys: Sequence[str] = (),
    *,
    against: Mapping[str, str] | None = None,
    limit: int | None = None,
) -> dict[str, dict[str, dict[str, float]]]:
    """Measure ``keys`` (all by default) on the test split of ``data``, and print tables.

    Keys are the bundled weights that have a recipe, and the edits without weights of their own, "makeup" and "hair".

    Args:
        against: other weights (a key or a file) to compare with the bundled ones, by the bundled one's key.
        limit: at most so many pictures.

    Returns:
        key -> "bundled", and the weights compared with it -> figure -> value.

    Raises:
        ChainError: a key is none of these.
    """
    against = dict(against or {})
    bundled = [key for key in manifest.bundled() if key in recipes.BUNDLED]
    for given, known in ((keys, [*bundled, *painted.FIGURES]), (against, bundled)):
        for key in given:
            if key not in known:
                raise ChainError(f"evaluate {key}: {available(key, known)}")
    refs_by_key = {key: _resolve(ref) for key, ref in against.items()}
    people = {folder: People(data, folder, limit) for folder in (HEADS, FACES)}
    figures: dict[str, dict[str, dict[str, float]]] = {}
    console = Console(width=None if Console().is_terminal else 120)
    for key in keys or against or [*bundled, *painted.FIGURES]:
        if not (keys or against) and (reason := _reason_unfit(key, data)):
            console.print(f"{key}: left out: {reason}")
            continue
        columns: dict[str, str | None] = {"bundled": None} | (
            {against[key]: refs_by_key[key]} if key in against else {}
        )
        figures[key] = {name: measured(key, ref, data, people, limit) for name, ref in columns.items()}
        console.print(_table(key, figures[key]))
    return figures


def _reason_unfit(key: str, data: Path) -> str:
    """Say why the pictures in ``data`` cannot measure ``key``; "" if they can."""
    try:
        if key not in painted.FIGURES:
            recipes.check(key, data)
        for kind, folder in painted.LABELS.get(key, {}).items():
            labels(data, kind, folder)
    except (ChainError, PhotoError) as error:
        return str(error)
    return ""


def _resolve(ref: str) -> str:
    """Check the key or path that ``--against`` names."""
    return runs.weights_ref(ref, Place(f"--against {ref}"))


def measured(
    key: str, weights: str | None, data: Path, people: Mapping[str, People], limit: int | None
) -> dict[str, float]:
    """Measure all figures of one file of weights, or of an edit."""
    if key in painted.FIGURES:
        with torch.inference_mode():
            return painted.FIGURES[key](data, limit) | edits.identity(key, weights, people[HEADS])
    figures = by_recipe(key, weights, data, limit)
    if key in EDITS:
        figures |= edits.identity(key, weights, people[HEADS])
    if key == "webtoon" and weights is None:
        figures |= drawn.figures(people[HEADS])
    if key == "attributes-portrait":
        figures |= edits.success_rates(weights, people[FACES]) | years.figures(weights, people[FACES])
    if key.startswith("upscale") and (data / "sr_eval").is_dir():
        figures |= standard.figures(EDITS[key][0].build_stage(weights), FACTOR, data / "sr_eval")
    return figures | cost(key, weights)


def by_recipe(key: str, weights: str | None, data: Path, limit: int | None) -> dict[str, float]:
    """Measure the figures that the recipe of ``key`` defines, averaged over the test split."""
    recipe = recipes.build(key, data)
    recipe.load(manifest.load(weights or key).tensors)
    for net in recipe.networks.values():
        net.eval()
    if key in READINGS:
        with torch.inference_mode():
            return READINGS[key](next(iter(recipe.networks.values())), data, limit)
    test = recipe.dataset("test")
    size: int = len(test)  # type: ignore[arg-type]
    loader = DataLoader(Subset(test, range(min(limit or size, size))), BATCH)
    with torch.inference_mode():
        rows = [(_size(batch), recipe.figures(batch)) for batch in loader]
    total = sum(size for size, _ in rows)
    means = {name: sum(size * row[name] for size, row in rows) / total for name in rows[0][1] if name != "score"}
    return {"pictures": total, **means}


def _size(batch: object) -> int:
    """Return the number of items in a batch."""
    while not isinstance(batch, torch.Tensor):
        batch = batch[0]  # type: ignore[index]
    return len(batch)


def _table(key: str, columns: Mapping[str, Mapping[str, float]]) -> Table:
    """Lay out the figures of one key; those that miss what is wanted are red."""
    table = Table(key, *columns, "wanted")
    bounds = WANTED.get(key, {})
    for name in next(iter(columns.values())):
        sense, bound = bounds.get(name, ("", 0.0))
        cells = []
        for values in columns.values():
            good = not sense or (values[name] >= bound if sense == ">=" else values[name] <= bound)
            cells.append(f"{values[name]:.4g}" if good else f"[red]{values[name]:.4g}[/red]")
        table.add_row(name, *cells, f"{sense} {bound:g}" if sense else "")
    return table


def line(figures: Mapping[str, Mapping[str, Mapping[str, float]]]) -> str:
    """Write all figures as one line of JSON."""
    rounded = {
        key: {name: {figure: round(value, 5) for figure, value in values.items()} for name, values in columns.items()}
        for key, columns in figures.items()
    }
    return json.dumps(rounded)


def contact(data: Path, keys: Sequence[str], against: Mapping[str, str], rows: int) -> Image.Image:
    """Draw several test heads, each through the edits of ``keys`` (all by default), the source first."""
    columns: list[tuple[str, Edit, str | None]] = []
    selected = keys or against or EDITS
    for key, edit in [(key, edit) for key, key_edits in EDITS.items() if key in selected for edit in key_edits]:
        columns.append((f"{key}: {edit.name}{' of a quarter' * (edit.stage == 'upscale')}", edit, None))
        if key in against:
            columns.append((f"{edit.name}, {against[key]}", edit, _resolve(against[key])))
    pipelines = [(edit.stage, edit.pipeline(weights)) for _, edit, weights in columns]
    people = People(data, HEADS, rows).all
    pictures = []
    for person in people:
        small = to_pixels(resize(to_faces(person.pixels), tuple(n // FACTOR for n in person.pixels.shape[:2])))[0]
        pictures.append([person.pixels])
        for stage, pipeline in pipelines:
            photo = pipeline(small if stage == "upscale" else person.pixels).photo
            assert photo is not None
            pictures[-1].append(photo.pixels)
    names = [[person.sample.path.stem] for person in people]
    return sheet.sheet(pictures, ["source", *(caption for caption, _, _ in columns)], names)
