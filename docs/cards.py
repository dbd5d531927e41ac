"""Write the figures of ``ganchain evaluate -o figures.json`` into the model cards and the manifest, or into a page.

python docs/cards.py figures.json
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Mapping
from io import StringIO
from pathlib import Path

from ruamel.yaml import YAML

from ganchain.evaluate.report import WANTED

DOCS = Path(__file__).resolve().parent
WEIGHTS = DOCS.parent / "weights"
PAGES = {"makeup": DOCS / "stages" / "makeup.md", "hair": DOCS / "stages" / "attributes.md"}  # of edits without weights
TABLE = re.compile(r"\| figure \| value \|.*?\n(?:\|.*\n)+")


def table(key: str, figures: Mapping[str, float]) -> str:
    """The figures as Markdown, with what is wanted."""
    wanted = {name: f"{sense} {bound:g}" for name, (sense, bound) in WANTED.get(key, {}).items()}
    rows = [f"| {name} | {value:.4g} | {wanted.get(name, '')} |" for name, value in figures.items()]
    return "\n".join(["| figure | value | wanted |", "|---|---|---|", *rows]) + "\n"


def main(file: Path) -> None:
    yaml, path = YAML(), WEIGHTS / "manifest.yaml"
    yaml.width, yaml.preserve_quotes = 4096, True
    manifest = yaml.load(path.read_text(encoding="utf-8"))
    for key, columns in json.loads(file.read_text(encoding="utf-8")).items():
        figures = columns["bundled"]
        if key in manifest:
            manifest[key]["figures"] = {name: round(value, 4) for name, value in figures.items() if name != "ms"}
        card = PAGES.get(key) or WEIGHTS / f"{key}.md"
        text, found = TABLE.subn(table(key, figures), card.read_text(encoding="utf-8"), count=1)
        if not found:
            raise SystemExit(f"{card}: no table that begins with | figure | value |")
        card.write_text(text, encoding="utf-8")
    written = StringIO()
    yaml.dump(manifest, written)
    path.write_text(written.getvalue(), encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
