"""Read TensorFlow V2 checkpoint bundles (`model.index` + `model.data-00000-of-00001`) without TensorFlow.

The index is a LevelDB table whose values are protocol buffers (BundleEntryProto of tensor_bundle.proto: type, shape,
place, CRC-32C); the data files hold raw little-endian numbers. A bundle holds no code, but its numbers are not
trusted: places are checked against the files, and blocks and tensors may not overlap, so work is bounded by file size.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from functools import cache
from math import prod
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ganchain.errors import WeightsError

MAGIC = 0xDB4775248B80FB57
FLOAT32 = 1
POLYNOMIAL = np.uint32(0x82F63B78)
ALL_ONES = bytes.fromhex("54641f64")  # takes a register of zeros to all ones, where CRC-32C starts
MOST_INDEX, MOST_ENTRIES, MOST_NAME, MOST_DATA = 2**20, 2**16, 2**10, 2**29  # the published: 10 kB, 274, 36, 359 MB

Words = NDArray[np.uint32]


class Entry(NamedTuple):
    """Type, shape and place of a tensor."""

    dtype: int
    shape: tuple[int, ...]
    shard: int
    offset: int
    size: int
    crc: int
    sliced: bool


def prefix(path: Path) -> Path | None:
    """Find the bundle (`models/model`) of a folder, one of its files or the bare prefix; None if there is none."""
    if path.is_dir() and not Path(f"{path}.index").is_file():
        indices = list(path.glob("*.index"))
        path = indices[0] if len(indices) == 1 else path / "model.index"
    bare = re.sub(r"\.(index|meta|data-\d{5}-of-\d{5})$", "", str(path))
    return Path(bare) if Path(f"{bare}.index").is_file() else None


def read(path: Path, wanted: Callable[[str], bool] | None = None) -> dict[str, Tensor]:
    """Read the tensors whose names are ``wanted`` (None: all of type float32) as stored: kernels stay (H, W, in, out).

    Raises:
        WeightsError: the bundle is missing, cut or changed, or a wanted tensor is no whole float32 one.
    """
    bundle = prefix(path)
    if bundle is None:
        raise WeightsError("no TensorFlow checkpoint (one `*.index` with its `.data-…` files)", ref=path)
    try:
        shards, entries = _index(Path(f"{bundle}.index"))
        chosen = {name: e for name, e in entries.items() if (wanted(name) if wanted else e.dtype == FLOAT32)}
        _check(chosen, shards)
        return {name: _tensor(Path(f"{bundle}.data-{e.shard:05d}-of-{shards:05d}"), e) for name, e in chosen.items()}
    except (ValueError, OSError) as error:
        raise WeightsError(f"not a whole TensorFlow checkpoint: {error}", ref=f"{bundle}.index") from error


def _check(entries: dict[str, Entry], shards: int) -> None:
    """Refuse tensors that are not whole float32 ones, overlap or are too many."""
    end = (0, 0)
    for name, e in sorted(entries.items(), key=lambda item: (item[1].shard, item[1].offset)):
        if e.dtype != FLOAT32 or e.sliced:
            raise ValueError(f"{name!r} is no whole float32 tensor (type {e.dtype})")
        if not all(0 < n < 2**31 for n in e.shape) or len(e.shape) > 8 or e.size != 4 * prod(e.shape):
            raise ValueError(f"{name!r} has {e.size} bytes for a shape of {list(e.shape[:8])}")
        if (e.shard, e.offset) < end or e.shard >= shards:
            raise ValueError(f"{name!r} lies over another tensor or outside the files")
        end = (e.shard, e.offset + e.size)
    if sum(e.size for e in entries.values()) > MOST_DATA:
        raise ValueError("too large for a generator")


def _tensor(file: Path, e: Entry) -> Tensor:
    """Read a tensor and compare its checksum."""
    if not file.is_file() or file.stat().st_size < e.offset + e.size:
        raise ValueError(f"{file.name} is missing or cut")
    with file.open("rb") as stream:
        stream.seek(e.offset)
        data = stream.read(e.size)
    if _masked_crc32c(data) != e.crc:
        raise ValueError(f"checksum of {e.size} bytes at {e.offset} in {file.name} differs")
    return torch.from_numpy(np.frombuffer(data, "<f4").astype(np.float32).reshape(e.shape))


def _index(file: Path) -> tuple[int, dict[str, Entry]]:
    """Read the number of data files, and the entries by name."""
    table = file.read_bytes() if file.stat().st_size <= MOST_INDEX else b""
    if len(table) < 48 or int.from_bytes(table[-8:], "little") != MAGIC:
        raise ValueError("no LevelDB table")
    *_, after = _handle(table[-48:])  # of the metaindex, which is empty
    place, size, _ = _handle(table[-48:], after)
    pairs: list[tuple[bytes, bytes]] = []
    end = 0
    for _, handle in _pairs(_block(table, place, size)):
        place, size, _ = _handle(handle)
        if place < end:
            raise ValueError("blocks overlap")
        end = place + size + 5
        for pair in _pairs(_block(table, place, size)):
            if len(pairs) >= MOST_ENTRIES or (pairs and pair[0] <= pairs[-1][0]):
                raise ValueError("names out of order")
            pairs.append(pair)
    # a BundleHeaderProto {1: number of data files, 2: 1 if big-endian} under the empty name
    header = dict(_fields(pairs[0][1])) if pairs and not pairs[0][0] else {}
    shards = header.get(1)
    if not isinstance(shards, int) or header.get(2, 0) != 0:
        raise ValueError("no header of a little-endian bundle")
    return shards, {key.decode(): _entry(value) for key, value in pairs[1:]}


def _entry(message: bytes) -> Entry:
    """Parse a BundleEntryProto: 1 type, 2 shape (2 dimensions (1 size)), 3 shard, 4 offset, 5 size, 6 CRC, 7 slices."""
    numbers: dict[int, int] = {}
    shape: list[int] = []
    sliced = False
    for field, value in _fields(message):
        if isinstance(value, int):
            numbers[field] = value
        elif field == 2:
            dimensions = [dict(_fields(d)) for n, d in _fields(value) if n == 2 and isinstance(d, bytes)]
            shape = [size if isinstance(size := d.get(1, 0), int) else 0 for d in dimensions]
        else:
            sliced = True
    dtype, shard, offset, size, crc = (numbers.get(n, 0) for n in (1, 3, 4, 5, 6))
    return Entry(dtype, tuple(shape), shard, offset, size, crc, sliced)


def _fields(message: bytes) -> Iterator[tuple[int, int | bytes]]:
    """Parse a protocol buffer: (number, value) of every field."""
    at = 0
    while at < len(message):
        tag, at = _varint(message, at)
        if tag & 7 == 0:
            value, at = _varint(message, at)
            yield tag >> 3, value
            continue
        size = {1: 8, 5: 4}.get(tag & 7)
        if tag & 7 == 2:
            size, at = _varint(message, at)
        if size is None or at + size > len(message):
            raise ValueError("no protocol buffer")
        chunk, at = message[at : at + size], at + size
        yield tag >> 3, chunk if tag & 7 == 2 else int.from_bytes(chunk, "little")


def _varint(data: bytes, at: int) -> tuple[int, int]:
    """Parse the number that begins at ``at``, seven bits a byte; also returns the place after it."""
    value = 0
    for count, byte in enumerate(data[at : at + 10]):
        value |= (byte & 127) << 7 * count
        if byte < 128:
            return value, at + count + 1
    raise ValueError("a number is cut")


def _handle(data: bytes, at: int = 0) -> tuple[int, int, int]:
    """Parse place and size of a block; also returns the place after them."""
    place, at = _varint(data, at)
    return place, *_varint(data, at)


def _block(table: bytes, place: int, size: int) -> bytes:
    """Cut out the content of a block; behind it come a byte for its compression and a CRC-32C of both."""
    block = table[place : place + size + 5]
    if len(block) != size + 5 or _masked_crc32c(block[:-4]) != int.from_bytes(block[-4:], "little"):
        raise ValueError("a block of the index is cut or changed")
    if block[size]:
        raise ValueError("its index is compressed (Snappy), which TensorFlow's own checkpoints never are")
    return block[:size]


def _pairs(block: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Parse keys and values; a key says how many bytes it shares with the one before. Restart points end the block."""
    end = len(block) - 4 - 4 * int.from_bytes(block[-4:], "little")
    key, at = b"", 0
    while at < end:
        shared, at = _varint(block, at)
        own, size, at = _handle(block, at)
        if shared > len(key) or shared + own > MOST_NAME or at + own + size > end:
            raise ValueError("an entry of the index leaves its block")
        key = key[:shared] + block[at : at + own]
        yield key, block[at + own : at + own + size]
        at += own + size
    if at != end:
        raise ValueError("a block of the index is cut")


def _masked_crc32c(data: bytes) -> int:
    """Compute CRC-32C (Castagnoli) as TensorFlow stores it: rotated by 15 bits, plus a constant.

    A CRC is linear: that of two pieces is the first one's, carried on over as many zeros as the second has bytes, xor
    the second one's. So all words are joined in pairs, then all pairs: log2(n) steps of two table look-ups a pair.
    """
    words = np.frombuffer(bytes(-len(data) % 4) + ALL_ONES + data, "<u4").astype(np.uint32)
    step = 0
    while len(words) > 1:
        if len(words) % 2:  # zeros in front change nothing
            words = np.concatenate((np.zeros(1, np.uint32), words))
        words = _advance(words[::2], step) ^ words[1::2]
        step += 1
    crc = int(_advance(words, 0)[0]) ^ 0xFFFFFFFF
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


def _advance(registers: Words, step: int) -> Words:
    """Carry the registers on over 4 * 2**step more bytes of zeros."""
    low, high = _zeros(step)
    return low[registers & 0xFFFF] ^ high[registers >> 16]


@cache
def _zeros(step: int) -> Words:
    """Tabulate every low and every high half of a register after 4 * 2**step bytes of zeros: (2, 65536)."""
    bits: Words = 2 ** np.arange(32, dtype=np.uint32)
    if step:
        bits = _advance(_advance(bits, step - 1), step - 1)
    else:
        for _ in range(32):
            bits = np.bitwise_xor(bits >> 1, (bits & 1) * POLYNOMIAL)
    table = np.zeros((2, 1 << 16), np.uint32)
    for bit in range(16):
        table[:, 1 << bit : 2 << bit] = table[:, : 1 << bit] ^ bits[[bit, 16 + bit], None]
    return table
