"""Key tables and fingerprints, taken from the folder of goldens: what the ORIGINAL networks returned.

    python tests/goldens/make.py FOLDER

FOLDER holds ``NAME.keys.json`` and ``NAME.npz`` (arrays: ``out_*`` whole, ``sub_*`` every third pixel, ``stat_*``).
A fingerprint keeps of each output its values at a few spread places, and mean, deviation and extremes of the whole.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from zlib import crc32

import numpy as np

HERE = Path(__file__).parent
PLACES = 48
STEPS = {"out": 1, "sub": 3}

NAMES = (
    "stargan_128",
    "stargan_256",
    "stargan_d_128",
    "stargan_nnabla",
    "beautygan_tf1",
    "beautygan_pytorch",
    "srgan",
    "stylegan2_256",
    "webtoon_swapae",
    "animegan2",
)
SAME_KEYS = ("stargan_256",)  # as stargan_128


def listed(items: Mapping[str, object]) -> str:
    """JSON of one line an item."""
    return "{\n" + ",\n".join(f"{json.dumps(key)}: {json.dumps(value)}" for key, value in items.items()) + "\n}\n"


def rounded(values: np.ndarray) -> list[float]:
    """To nine digits, which hold a float32."""
    return [float(f"{value:.9g}") for value in values]


def fingerprint(golden: Mapping[str, np.ndarray], array: str) -> dict[str, object]:
    kind, _, output = array.partition("_")
    values, statistics = golden[array], golden.get(f"stat_{output}")
    # random places rather than a stride, which could keep to one column
    draws = np.random.PCG64(crc32(output.encode())).random_raw(PLACES) % values.size
    places = sorted({*draws.tolist()}) if values.size > PLACES else [*range(values.size)]
    return {
        "step": STEPS[kind],
        "statistics": None if statistics is None else rounded(statistics),
        "places": places,
        "values": rounded(values.flat[places]),
    }


def main(folder: Path) -> None:
    digests: dict[str, str] = {}
    outputs: dict[str, dict[str, object]] = {}
    for name in NAMES:
        with np.load(folder / f"{name}.npz") as arrays:
            golden = dict(arrays)
        digests[name] = str(golden["weights_crc32"])
        for array in golden:
            if array[:3] in STEPS:
                outputs[f"{name} {array[4:]}"] = fingerprint(golden, array)
        if name not in SAME_KEYS:
            shapes = json.loads((folder / f"{name}.keys.json").read_text())
            (HERE / "shapes" / f"{name}.json").write_text(listed(shapes))
    (HERE / "digests.json").write_text(listed(digests))
    about = {"source": "the original networks' own outputs, not ours", "outputs": "BELOW"}
    (HERE / "fingerprints.json").write_text(listed(about).replace('"BELOW"', listed(outputs).rstrip()))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
