"""Flats: the few colours that a picture is drawn in, and their areas."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

SAME = 5.0  # difference in Lab below which two colours are one


def nearest(picture: NDArray[np.float32], colours: Sequence[NDArray[np.float32]]) -> NDArray[np.uint8]:
    """Find the number of the colour that is nearest to each place of a picture (..., 3)."""
    means = np.stack(colours)
    apart = (means**2).sum(axis=1) - 2 * (picture.reshape(-1, 3) @ means.T)  # but for the place's own square
    return apart.argmin(axis=1).astype(np.uint8).reshape(picture.shape[:-1])


def two_largest(planes: Sequence[NDArray[np.float32]]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Find the largest value at each place, and the second largest."""
    first = second = np.zeros_like(planes[0])
    for plane in planes:
        second = np.maximum(second, np.minimum(first, plane))
        first = np.maximum(first, plane)
    return first, second


def without_islands(label: NDArray[np.uint8], count: int, least: int) -> NDArray[np.uint8]:
    """Give small islands the number that most places near them have.

    Args:
        label: (H, W) numbers below ``count``.
        least: px below which an island is small.
    """
    height, width = label.shape
    links = np.zeros((2 * height - 1, 2 * width - 1), np.uint8)  # of places, and between them where they are alike
    links[::2, ::2] = 1
    links[1::2, ::2], links[::2, 1::2] = label[1:] == label[:-1], label[:, 1:] == label[:, :-1]
    islands = np.asarray(cv2.connectedComponents(links, connectivity=4)[1], np.int32)[::2, ::2]
    sure = np.bincount(islands.ravel())[islands] >= least
    most, answer = np.zeros(label.shape, np.float32), label.copy()
    for k in range(count):
        near = cv2.blur(((label == k) & sure).astype(np.float32), (9, 9))
        answer[~sure & (near > most)] = k
        most = np.maximum(most, near)
    return answer


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
