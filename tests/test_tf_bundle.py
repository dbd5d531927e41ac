"""The reader of TensorFlow checkpoints: against a writer of our own, and against files made to do harm."""

from __future__ import annotations

import json
import os
import pickle
import random
import sys
import tracemalloc
from collections.abc import Callable, Mapping
from math import prod
from pathlib import Path

import numpy as np
import pytest
import torch

from ganchain.checkpoints import tensorflow
from ganchain.errors import WeightsError
from ganchain.published.tensorflow_graph import TensorFlowGraph
from tests.bundles import crc32c, entry, field, header, masked, table, varint, with_training, write_bundle
from tests.effort import at_most
from tests.formula import SHAPES, published

BITS = np.random.default_rng(0)
SMALL = {
    f"generator/{name}": BITS.standard_normal(shape, np.float32)
    for name, shape in {"scalar": (), "bias": (7,), "kernel": (3, 3, 5, 4), "kernel/Adam": (3, 3, 5, 4)}.items()
}
TWO = np.array([1, 2], np.float32)
TWO_CRC = masked(crc32c(TWO.tobytes()))


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    write_bundle(tmp_path / "models" / "model", SMALL)
    return tmp_path / "models" / "model"


def of_generator(name: str) -> bool:
    return name.startswith("generator/") and "/Adam" not in name


def test_checksum() -> None:
    assert tensorflow._masked_crc32c(b"123456789") == masked(0xE3069283) == masked(crc32c(b"123456789"))
    for size in (*range(20), 1023, 65535, 65537, 300_001):
        data = BITS.bytes(size)
        assert tensorflow._masked_crc32c(data) == masked(crc32c(data)), size


def test_writer_makes_the_published_layout() -> None:
    shapes = {key: tuple(shape) for key, shape in json.loads((SHAPES / "beautygan_tf1.json").read_text()).items()}
    for side in "XY":
        for i, (inputs, outputs) in enumerate([(3, 64), (64, 128), (128, 256), (256, 512), (512, 1024), (1024, 1)]):
            name = f"discriminator_{side}/conv2d{f'_{i}' * (i > 0)}"
            shapes[f"{name}/kernel"] = (4 - i // 5, 4 - i // 5, inputs, outputs)
            if i < 5:
                shapes[f"{name}/bias"] = (outputs,)
    shapes |= {f"{key}/{slot}": shape for key, shape in shapes.items() for slot in ("Adam", "Adam_1")}
    shapes |= {f"beta{i}_power{end}": () for i in (1, 2) for end in ("", "_1")}
    entries, offset = {"": header()}, 0
    for name in sorted(shapes):
        size = 4 * prod(shapes[name])
        entries[name] = entry(shapes[name], offset, size, 1)
        offset += size
    assert len(shapes) == 274 and offset == 359_172_112
    assert len(table(entries)) == 10_210  # as published


@pytest.mark.parametrize("block", [1, 150, 1 << 18])
def test_what_was_written_is_read(tmp_path: Path, block: int) -> None:
    many = SMALL | {f"generator/layer_{i}/gamma": np.full(3, i, np.float32) for i in range(100)}
    write_bundle(tmp_path / "model", many, block=block)
    read = tensorflow.read(tmp_path)
    assert list(read) == sorted(many)
    assert all(torch.equal(read[name], torch.from_numpy(np.asarray(many[name]))) for name in many)
    assert {tensor.dtype for tensor in read.values()} == {torch.float32}
    assert read["generator/scalar"].shape == ()


def test_only_wanted_tensors_are_read(bundle: Path) -> None:
    data = Path(f"{bundle}.data-00000-of-00001")
    raw = bytearray(data.read_bytes())
    raw[raw.index(SMALL["generator/kernel/Adam"].tobytes()) + 9] ^= 1
    data.write_bytes(raw)
    assert tensorflow.read(bundle, of_generator).keys() == {f"generator/{n}" for n in ("scalar", "bias", "kernel")}
    with pytest.raises(WeightsError, match=r"model\.index: .*checksum"):
        tensorflow.read(bundle)


def test_a_bundle_goes_by_many_names(bundle: Path) -> None:
    Path(f"{bundle}.meta").touch()
    for path in (bundle, bundle.parent, *(Path(f"{bundle}.{end}") for end in ("index", "meta", "data-00000-of-00001"))):
        assert tensorflow.prefix(path) == bundle, path
    for other in (bundle.parent / "checkpoint", bundle.parent / "other.index", bundle.parent.parent, Path("nowhere")):
        assert tensorflow.prefix(other) is None
    (bundle.parent / "later.index").touch()
    assert tensorflow.prefix(bundle.parent) == bundle  # of several, the published name
    bundle.mkdir()
    assert tensorflow.prefix(bundle) == bundle
    with pytest.raises(WeightsError, match="no TensorFlow checkpoint"):
        tensorflow.read(bundle.parent.parent)


def test_the_real_generator_is_read_in_few_steps(tmp_path: Path) -> None:
    generator = published("beautygan_tf1")
    write_bundle(tmp_path / "model", with_training(generator, slots=False))
    with at_most(100_000):  # 30 MB
        read = tensorflow.read(tmp_path, of_generator)
    assert read.keys() == generator.keys()
    assert all(np.array_equal(read[name].numpy(), generator[name]) for name in generator)


def refused(path: Path, match: str, wanted: Callable[[str], bool] | None = None) -> None:
    tracemalloc.start()
    try:
        with at_most(600_000), pytest.raises(WeightsError, match=match):
            tensorflow.read(path, wanted)
        assert tracemalloc.get_traced_memory()[1] < 50e6
    finally:
        tracemalloc.stop()


def two(**changes: int) -> bytes:
    """The entry of TWO at the begin of the data."""
    return entry(**{"shape": (2,), "offset": 0, "size": 8, "crc": TWO_CRC, **changes})  # type: ignore[arg-type]


HOSTILE: dict[str, tuple[str, Mapping[str, bytes]]] = {
    "no header": ("header", {"a": two()}),
    "big-endian": ("header", {"": header() + field(2, 1), "a": two()}),
    "header of text": ("header", {"": field(1, b"1"), "a": two()}),
    "no shards": ("outside", {"": b"\x08\x00", "a": two()}),
    "missing shard": ("missing", {"": header(2), "a": two(shard=1)}),
    "a trillion shards": ("missing", {"": header(10**12), "a": two(shard=10**11)}),
    "shard of none": ("outside", {"": header(), "a": two(shard=1)}),
    "beyond the file": ("cut", {"": header(), "a": two(offset=8)}),
    "far beyond the file": ("cut", {"": header(), "a": two(offset=2**63)}),
    "huge": ("too large", {"": header(), "a": entry((2**20, 2**20), 0, 2**42, TWO_CRC)}),
    "large": ("cut", {"": header(), "a": entry((2**26,), 0, 2**28, TWO_CRC)}),
    "more than its size": ("shape", {"": header(), "a": entry((2**30,), 0, 8, TWO_CRC)}),
    "less than its size": ("shape", {"": header(), "a": entry((1,), 0, 8, TWO_CRC)}),
    "negative": ("shape", {"": header(), "a": entry((2**64 - 2,), 0, 8, TWO_CRC)}),
    "nothing": ("shape", {"": header(), "a": entry((0, 2**30), 0, 0, TWO_CRC)}),
    "many dimensions": ("shape", {"": header(), "a": entry((2, *[1] * 5000), 0, 8, TWO_CRC)}),
    "overlapping": ("over another", {"": header(), "a": two(), "b": entry((1,), 4, 4, TWO_CRC)}),
    "all in one place": ("over another", {"": header(), **{f"a{i:05d}": two() for i in range(2000)}}),
    "in slices": ("whole float32", {"": header(), "a": two() + field(7, b"")}),
    "wrong checksum": ("checksum", {"": header(), "a": two(crc=1)}),
    "names out of order": ("order", {"": header(), "b": two(), "a": two()}),
    "a name twice": ("blocks?|order", {"": header(), "aa": two(), "a": two()}),
    "a long name": ("leaves", {"": header(), "a" * 5000: two()}),
    "no text": ("cut", {"": header(), "a": b"\x80" * 20}),
    "proto within proto": ("protocol", {"": header(), "a": field(2, field(2, b"\x0a\xff\xff\x7f"))}),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_hostile_entries(tmp_path: Path, case: str) -> None:
    match, entries = HOSTILE[case]
    (tmp_path / "model.index").write_bytes(table(entries))
    (tmp_path / "model.data-00000-of-00001").write_bytes(TWO.tobytes())
    refused(tmp_path, match, lambda name: True)


def sealed(content: bytes) -> bytes:
    return content + b"\0" + masked(crc32c(content + b"\0")).to_bytes(4, "little")


def footer(place: int, size: int) -> bytes:
    handle = varint(0) + varint(8) + varint(place) + varint(size)
    return handle.ljust(40, b"\0") + (0xDB4775248B80FB57).to_bytes(8, "little")


LOOP = varint(0) + varint(1) + varint(2) + b"a" + varint(0) + varint(14)  # an index block that lists itself
ONE = (1).to_bytes(4, "little")  # the number of restart points


def repeated() -> bytes:
    """An index block that lists the same data block 20,000 times."""
    data = sealed(bytes(4) + ONE)
    rows = b"".join(varint(0) + varint(3) + varint(2) + i.to_bytes(3, "big") + b"\x00\x08" for i in range(20_000))
    index = sealed(rows + bytes(4) + ONE)
    return data + index + footer(len(data), len(index) - 5)


TABLES: dict[str, tuple[str, bytes]] = {
    "empty": ("LevelDB", b""),
    "random": ("LevelDB", BITS.bytes(5000)),
    "pickle": ("LevelDB", pickle.dumps({"generator/conv2d/kernel": TWO})),
    "only a footer": ("cut or changed", footer(0, 8)),
    "far footer": ("cut or changed", footer(2**62, 2**62)),
    "unending numbers": ("a number is cut", b"\xff" * 40 + footer(0, 0)[-8:]),
    "too large": ("LevelDB", bytes(2**20) + footer(0, 8)),
    "compressed": ("Snappy", table({"": header(), "a": two()}, compression=1)),
    "a block that lists itself": ("header", sealed(LOOP + bytes(4) + ONE) + footer(0, 14)),
    "one block many times": ("overlap", repeated()),
    "restarts beyond the block": ("cut", sealed(b"\xff" * 8) + footer(0, 8)),
}


@pytest.mark.parametrize("case", TABLES)
def test_hostile_tables(tmp_path: Path, case: str) -> None:
    match, index = TABLES[case]
    (tmp_path / "model.index").write_bytes(index)
    (tmp_path / "model.data-00000-of-00001").write_bytes(TWO.tobytes())
    refused(tmp_path, match)


class Harm:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.system, ("touch harmed",)


def test_a_pickle_in_disguise_is_not_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("model.index").write_bytes(pickle.dumps(Harm()))
    refused(tmp_path, "LevelDB")
    assert not Path("harmed").exists()


def test_other_types_are_left_out_unless_wanted(tmp_path: Path) -> None:
    (tmp_path / "model.index").write_bytes(table({"": header(), "a": two(), "global_step": two(offset=8, dtype=9)}))
    (tmp_path / "model.data-00000-of-00001").write_bytes(TWO.tobytes() * 2)
    assert tensorflow.read(tmp_path).keys() == {"a"}
    refused(tmp_path, r"'global_step'.*type 9", lambda name: True)


def test_missing_and_cut_data(bundle: Path) -> None:
    data = Path(f"{bundle}.data-00000-of-00001")
    raw = data.read_bytes()
    data.write_bytes(raw[:-1])
    refused(bundle, "missing or cut")
    data.unlink()
    refused(bundle, "missing or cut")
    data.mkdir()
    refused(bundle, "missing or cut")


def test_without_tensorflow_the_cure_is_named(bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(WeightsError, match="no TensorFlow meta graph"):
        TensorFlowGraph(bundle)
    Path(f"{bundle}.meta").touch()
    monkeypatch.setitem(sys.modules, "tensorflow", None)
    with pytest.raises(WeightsError, match=r"pip install 'ganchain\[tensorflow\]'"):
        TensorFlowGraph(bundle)


def unharmed(bundle: Path) -> bool:
    """Whether what is read is what was written; a refusal is as good, anything else fails the test."""
    try:
        read = tensorflow.read(bundle)
    except WeightsError:
        return False
    return all(torch.equal(tensor, torch.from_numpy(np.asarray(SMALL[name]))) for name, tensor in read.items())


def test_flipped_and_cut_bytes(bundle: Path) -> None:
    dice = random.Random(0)
    index = Path(f"{bundle}.index")
    whole = index.read_bytes()
    end = whole.index(bytes(4) + ONE) + 13  # of the data; then come a block of metadata, which is not read, and so on
    for _ in range(400):
        raw = bytearray(whole)
        at = dice.randrange(len(raw))
        raw[at] ^= 1 << dice.randrange(8)
        index.write_bytes(raw)
        if unharmed(bundle):
            assert at >= end, at
    for size in range(0, len(whole), 3):
        index.write_bytes(whole[:size])
        assert not unharmed(bundle), size
    data = Path(f"{bundle}.data-00000-of-00001")
    index.write_bytes(whole)
    raw = bytearray(data.read_bytes())
    for _ in range(50):
        at = dice.randrange(len(raw))
        raw[at] ^= 1
        data.write_bytes(raw)
        assert not unharmed(bundle), at
        raw[at] ^= 1


def test_flipped_bytes_behind_right_checksums(tmp_path: Path) -> None:
    dice = random.Random(1)
    (tmp_path / "model.data-00000-of-00001").write_bytes(TWO.tobytes() * 9)
    rows = {"": header()} | {f"generator/conv2d_{i}/kernel": two(offset=8 * i) for i in range(9)}
    for _ in range(300):
        changed = {key: bytearray(value) for key, value in rows.items()}
        for value in dice.sample(sorted(changed), 2):
            changed[value][dice.randrange(len(changed[value]))] = dice.randrange(256)
        (tmp_path / "model.index").write_bytes(table({key: bytes(value) for key, value in changed.items()}))
        try:
            read = tensorflow.read(tmp_path)
        except WeightsError:
            continue
        assert all(tensor.numel() == 2 for tensor in read.values())
