"""Flats: the few colours that a picture is drawn in, and their areas."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

SAME = 5.0  # difference in Lab below which two colours are one


def without_islands(label: NDArray[np.intp], count: int, least: int) -> NDArray[np.intp]:
    """Give small islands the number that most places near them have.

    Args:
        label: (S, S) numbers below ``count``.
        least: px below which an island is small.
    """
    sure = np.zeros(label.shape, bool)
    for k in range(count):
        _, islands, stats, _ = cv2.connectedComponentsWithStats((label == k).astype(np.uint8), connectivity=4)
        large = stats[:, cv2.CC_STAT_AREA] >= least
        large[0] = False
        sure |= large[islands]
    near = [cv2.blur(((label == k) & sure).astype(np.float32), (9, 9)) for k in range(count)]
    return np.where(sure, label, np.argmax(near, axis=0))


def main_colours(colours: NDArray[np.float32], count: int) -> list[NDArray[np.float32]]:
    """Find the colours that a picture is best drawn in, by k-means; those hardly different from another are left out.

    Args:
        colours: (N, 3) Lab.
        count: how many at most.
    """
    cv2.setRNGSeed(7)
    labels = np.zeros((len(colours), 1), np.int32)
    stop = (cv2.TERM_CRITERIA_EPS + cv2.TERM_CRITERIA_MAX_ITER, 10, 0.3)
    data = np.ascontiguousarray(colours, np.float32)
    _, _, means = cv2.kmeans(data, min(count, len(colours)), labels, stop, 1, cv2.KMEANS_PP_CENTERS)
    kept: list[NDArray[np.float32]] = []
    for mean in np.asarray(means, np.float32):
        if all(float(((mean - other) ** 2).sum()) > SAME**2 for other in kept):
            kept.append(mean)
    return kept
