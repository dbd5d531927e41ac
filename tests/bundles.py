"""TensorFlow V2 checkpoint bundles as `tf.train.Saver` writes them, without TensorFlow and apart from the reader."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

RESTART = 16  # entries from one whole key to the next
BLOCK = 1 << 18  # bytes of a data block
LANES = 4096

Array = NDArray[np.float32]


def write_bundle(prefix: Path, tensors: Mapping[str, Array], *, block: int = BLOCK) -> None:
    """Write `prefix.index`, `prefix.data-00000-of-00001` and the text file `checkpoint` beside them."""
    prefix.parent.mkdir(parents=True, exist_ok=True)
    entries: dict[str, bytes] = {}
    offset = 0
    with Path(f"{prefix}.data-00000-of-00001").open("wb") as data:
        for name in sorted(tensors, key=str.encode):
            raw = np.ascontiguousarray(tensors[name], "<f4").tobytes()
            entries[name] = entry(np.shape(tensors[name]), offset, len(raw), masked(crc32c(raw)))
            offset += data.write(raw)
    Path(f"{prefix}.index").write_bytes(table({"": header(), **entries}, block=block))
    lines = (f'{key}: "{prefix.name}"\n' for key in ("model_checkpoint_path", "all_model_checkpoint_paths"))
    (prefix.parent / "checkpoint").write_text("".join(lines))


def with_training(generator: Mapping[str, Array], slots: bool = True) -> dict[str, Array]:
    """``generator`` with all that training leaves in a published file: discriminators, Adam's moments and powers.

    The discriminators have the published names, but few channels; the moments are zeros.
    """
    variables = dict(generator)
    for side in "XY":
        for layer in range(6):
            name = f"discriminator_{side}/conv2d{f'_{layer}' * (layer > 0)}"
            variables[f"{name}/kernel"] = np.full((4, 4, 3, 2), layer, np.float32)
            if layer < 5:
                variables[f"{name}/bias"] = np.full(2, layer, np.float32)
    moments = {f"{k}/{slot}": np.zeros_like(v) for k, v in variables.items() for slot in ("Adam", "Adam_1") if slots}
    powers = {f"beta{i}_power{end}": np.full((), 0.5, np.float32) for i in (1, 2) for end in ("", "_1")}
    return variables | moments | powers


def header(shards: int = 1) -> bytes:
    """BundleHeaderProto: number of data files, little-endian (left out, as it is 0), version of the producer."""
    return field(1, shards) + field(3, field(1, 1))


def entry(shape: tuple[int, ...], offset: int, size: int, crc: int, *, dtype: int = 1, shard: int = 0) -> bytes:
    """BundleEntryProto; as always in proto3, zeros are left out."""
    dimensions = b"".join(field(2, field(1, n)) for n in shape)
    numbers = b"".join(field(n, value) for n, value in ((3, shard), (4, offset), (5, size)) if value)
    return field(1, dtype) + field(2, dimensions) + numbers + varint(6 << 3 | 5) + crc.to_bytes(4, "little")


def table(entries: Mapping[str, bytes], *, block: int = BLOCK, compression: int = 0) -> bytes:
    """A LevelDB table; ``entries`` in the order of their keys."""
    out = bytearray()

    def add(pairs: list[tuple[bytes, bytes]]) -> bytes:
        content = _block(pairs) + bytes([compression])
        handle = varint(len(out)) + varint(len(content) - 1)
        out.extend(content + masked(crc32c(content)).to_bytes(4, "little"))
        return handle

    handles: list[tuple[bytes, bytes]] = []
    pairs: list[tuple[bytes, bytes]] = []
    size = 0
    for key, value in entries.items():
        pairs.append((key.encode(), value))
        size += len(pairs[-1][0]) + len(value)
        if size >= block:
            handles.append((pairs[-1][0], add(pairs)))
            pairs, size = [], 0
    if pairs:
        handles.append((successor(pairs[-1][0]), add(pairs)))
    footer = add([]) + add(handles)
    return bytes(out) + footer.ljust(40, b"\0") + (0xDB4775248B80FB57).to_bytes(8, "little")


def successor(key: bytes) -> bytes:
    """The shortest key not before ``key``: its first byte, raised by one."""
    return bytes([key[0] + 1]) if key else key


def _block(pairs: list[tuple[bytes, bytes]]) -> bytes:
    out, restarts, last = bytearray(), [0], b""
    for count, (key, value) in enumerate(pairs):
        shared = 0
        if count and count % RESTART == 0:
            restarts.append(len(out))
        elif count:
            while shared < min(len(key), len(last)) and key[shared] == last[shared]:
                shared += 1
        out += varint(shared) + varint(len(key) - shared) + varint(len(value)) + key[shared:] + value
        last = key
    return bytes(out) + b"".join(n.to_bytes(4, "little") for n in (*restarts, len(restarts)))


def field(number: int, value: int | bytes) -> bytes:
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    return varint(number << 3 | 2) + varint(len(value)) + value


def varint(value: int) -> bytes:
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    return bytes([*out, value])


def masked(crc: int) -> int:
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) % 2**32


def _byte_table() -> NDArray[np.uint32]:
    out = np.arange(256, dtype=np.uint32)
    for _ in range(8):
        out = np.where(out & 1, (out >> np.uint32(1)) ^ np.uint32(0x82F63B78), out >> np.uint32(1))
    return out


BYTES = _byte_table()


def crc32c(data: bytes) -> int:
    """CRC-32C; that of short data, which tests write again and again, is kept."""
    return _short(data) if len(data) < 1 << 16 else _computed(data)


@lru_cache(maxsize=1024)
def _short(data: bytes) -> int:
    return _computed(data)


def _computed(data: bytes) -> int:
    """CRC-32C, byte by byte; long data in lanes side by side, with 32 lanes of zeros that tell how to join them."""
    steps = len(data) // LANES if len(data) >= 1 << 16 else 0
    lanes = np.frombuffer(data[: steps * LANES], np.uint8).reshape(LANES, steps)
    state = np.concatenate((np.zeros(LANES, np.uint32), np.uint32(1) << np.arange(32, dtype=np.uint32)))
    for step in range(steps):
        index = state & np.uint32(255)
        index[:LANES] ^= lanes[:, step]
        state = BYTES[index] ^ (state >> np.uint32(8))
    moved = [int(n) for n in state[LANES:]]
    crc = 0xFFFFFFFF
    for lane in state[:LANES] if steps else ():
        crc, rest = int(lane), crc
        while rest:
            low = rest & -rest
            crc ^= moved[low.bit_length() - 1]
            rest ^= low
    for byte in data[steps * LANES :]:
        crc = int(BYTES[(crc ^ byte) & 255]) ^ crc >> 8
    return crc ^ 0xFFFFFFFF
