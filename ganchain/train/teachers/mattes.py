"""Teacher of the parts: labels heads with mattes of hair and person, in the environment of ``mesh.py``.

    .venv-mesh/bin/python ganchain/train/teachers/mattes.py DATA/wide256 -o DATA/mattes-wide256.npz \\
        --hair hair_segmentation.tflite

Two of MediaPipe's segmenters (Apache-2.0). The one of hair is a file of its own (``hair_segmentation.tflite`` in the
history of google-ai-edge/mediapipe) and is run by OpenCV. Nothing of ganchain is imported here.
"""

from __future__ import annotations

import argparse
from importlib import import_module
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

SIDE = 512  # px that the teachers see
RIM = 43  # px of mirrored border of a second look, so that hair is also seen away from the picture's edge
SUFFIXES = {".jpg", ".jpeg", ".png", ".webp"}
Matte = NDArray[np.float64]  # (S, S) 0..1


def hair(network: Any, pixels: NDArray[np.uint8]) -> Matte:
    """Find the hair of a picture (S, S, 3) uint8 RGB: the mean of two looks, one with a mirrored rim."""
    side = len(pixels)
    rimmed = cv2.copyMakeBorder(pixels, RIM, RIM, RIM, RIM, cv2.BORDER_REFLECT_101)
    wide = cv2.resize(_hair(network, rimmed), (side + 2 * RIM,) * 2, interpolation=cv2.INTER_AREA)
    plain = cv2.resize(_hair(network, pixels), (side, side), interpolation=cv2.INTER_AREA)
    return np.asarray((plain + wide[RIM:-RIM, RIM:-RIM]) / 2)


def _hair(network: Any, pixels: NDArray[Any]) -> Matte:
    """Run the network on a picture that is enlarged to ``SIDE``; its fourth channel, the last mask, is empty."""
    given = np.zeros((1, 4, SIDE, SIDE), np.float32)
    given[0, :3] = cv2.resize(pixels, (SIDE, SIDE), interpolation=cv2.INTER_CUBIC).transpose(2, 0, 1) / 255
    network.setInput(given)
    logits = network.forward()
    logits = logits.transpose(0, 3, 1, 2) if logits.shape[-1] == 2 else logits
    return np.asarray(1 / (1 + np.exp(logits[0, 0] - logits[0, 1])))


def person(networks: list[Any], pixels: NDArray[np.uint8]) -> Matte:
    """Find the person of a picture (S, S, 3) uint8 RGB: the mean of the networks."""
    large = cv2.resize(pixels, (SIDE, SIDE), interpolation=cv2.INTER_CUBIC)
    mean = np.mean([network.process(large).segmentation_mask for network in networks], axis=0)
    return np.asarray(cv2.resize(mean, pixels.shape[:2], interpolation=cv2.INTER_AREA))


def main() -> None:
    """Label a folder from the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="square pictures of aligned heads, all of one size")
    parser.add_argument("-o", "--output", type=Path, required=True, help="the file to write, .npz")
    parser.add_argument("--hair", type=Path, required=True, help="hair_segmentation.tflite")
    options = parser.parse_args()
    try:
        mediapipe = import_module("mediapipe")
    except ImportError as error:
        raise SystemExit(f"{error}\nthe teacher is installed by: pip install mediapipe==0.10.21") from error
    segmenters = mediapipe.solutions.selfie_segmentation.SelfieSegmentation
    people, network = [segmenters(model_selection=k) for k in (0, 1)], cv2.dnn.readNetFromTFLite(str(options.hair))
    names, mattes = [], []
    for path in sorted(path for path in options.folder.rglob("*") if path.suffix.lower() in SUFFIXES):
        read = cv2.imread(str(path), cv2.IMREAD_COLOR)
        if read is None:
            raise SystemExit(f"{path} cannot be read")
        looks = [np.ascontiguousarray(read[..., ::-1], np.uint8), np.ascontiguousarray(read[:, ::-1, ::-1], np.uint8)]
        pairs = [np.stack([hair(network, pixels), person(people, pixels)]) for pixels in looks]
        names.append(path.relative_to(options.folder).as_posix())
        mattes.append(np.round((pairs[0] + pairs[1][..., ::-1]) / 2 * 255).clip(0, 255).astype(np.uint8))
    options.output.parent.mkdir(parents=True, exist_ok=True)
    both = np.stack(mattes)
    np.savez_compressed(options.output, names=np.array(names), hair=both[:, 0], person=both[:, 1])
    print(f"{len(names)} heads")


if __name__ == "__main__":
    main()
