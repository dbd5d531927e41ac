"""Read foreign weight files as tensors, without running code that they contain.

Known kinds, recognised by their content: torch pickles (zip and legacy), zip archives of them, safetensors, HDF5
files, and TensorFlow bundles (by name, since a bundle is several files). Everything else in a file (options,
optimizers, classes of the code that wrote it) is left out.
"""

from __future__ import annotations

import os
import re
import zipfile
from collections.abc import Mapping
from io import BytesIO
from math import prod
from pathlib import Path
from typing import Any, BinaryIO

import h5py
import numpy as np
import torch
from h5py import h5o  # pyright: ignore[reportAttributeAccessIssue]  # compiled, without stubs
from safetensors.torch import load
from torch import Tensor
from torch.serialization import safe_globals

from ganchain import files
from ganchain.checkpoints import tensorflow
from ganchain.errors import WeightsError

LARGEST = 2 << 30  # bytes that one file may unpack to
CHUNK = 1 << 20  # bytes that are searched at once
TOO_LARGE = f"refused, the file says to unpack to more than {LARGEST >> 30} GiB"
SUFFIXES = (".ckpt", ".pth", ".pt", ".h5", ".safetensors")  # of weight files in archives
TORCH_ZIP = "data.pkl"
Flat = dict[str, Tensor]


class Inert:
    """Stand-in for a class of the code that wrote a file: it holds attributes and does nothing."""


# classes that published files name beside their tensors, and which need no code of theirs
FOREIGN = ["argparse.Namespace", "utils.config.Configuration"]


def read(path: Path) -> dict[str, Flat]:
    """Read the tensors of a foreign file, by the name of the file or archive member that they stand in.

    Nested dicts are flattened ("g_ema.conv1.noise.weight"); HDF5 datasets and TensorFlow variables keep their "/".

    Raises:
        WeightsError: the file cannot be read, is of no known kind, is broken, or asks for code to be run.
    """
    try:
        prefix = tensorflow.prefix(path)
        if prefix is not None:
            return {str(path): tensorflow.read(prefix, _is_generator_weight)}
        if path.is_dir():
            raise WeightsError("a folder without a TensorFlow checkpoint (*.index); name a weight file", ref=path)
        with files.open_regular(path) as file:
            content = _read(str(path), file)
    except OSError as error:
        raise WeightsError(f"cannot read it: {error.strerror or error}", ref=path) from error
    _check_size(str(path), sum(_unpacked(tensor) for flat in content.values() for tensor in flat.values()))
    return content


def _unpacked(tensor: Tensor) -> int:
    """Compute the bytes that a tensor takes once it is float32 and lies apart from others of its storage."""
    return tensor.numel() * max(4, tensor.element_size())


def _check_size(name: str, size: int) -> None:
    """Refuse a file that would take more than ``LARGEST`` bytes of memory."""
    if size > LARGEST:
        raise WeightsError(TOO_LARGE, ref=name)


def _is_generator_weight(variable: str) -> bool:
    """Say whether a variable is a generator's weight: in the one known TensorFlow checkpoint that is a tenth."""
    return variable.startswith("generator/") and not variable.endswith(("/Adam", "/Adam_1"))


def _read(name: str, file: BinaryIO, archived: bool = False) -> dict[str, Flat]:
    """Read an open file by the kind that its first bytes show."""
    start = file.read(64)
    file.seek(0)
    if start.startswith(b"\x89HDF\r\n\x1a\n"):
        return {name: _hdf5(name, file)}
    if start.startswith(b"PK\x03\x04"):
        return _zip(name, file, archived)
    _check_size(name, file.seek(0, os.SEEK_END))  # a sparse one takes little of the disk
    file.seek(0)
    if len(start) > 9 and start[8:9] == b"{":
        return {name: _safetensors(name, file)}
    if start.startswith(b"\x80"):
        return {name: _pickle(name, file)}
    if start.startswith(b"version https://git-lfs"):
        raise WeightsError("this is Git LFS's note of a file, not the file itself; run git lfs pull there", ref=name)
    if not start:
        raise WeightsError("an empty file", ref=name)
    if start.lstrip()[:1] == b"<":
        raise WeightsError("this is a web page, not a weight file; the download link may want a browser", ref=name)
    raise WeightsError("neither a torch pickle, safetensors, HDF5 nor TensorFlow file", ref=name)


def _pickle(name: str, file: BinaryIO) -> Flat:
    """Read a zip or legacy pickle by torch's unpickler of weights, which builds tensors and containers only."""
    if _contains(file, b"\nbytearray\n"):  # torch would make one of any size that the pickle asks for
        raise WeightsError("refused, it asks for bytearray; only tensors are read from foreign files", ref=name)
    try:
        with safe_globals([(Inert, class_name) for class_name in FOREIGN]):
            tree = torch.load(file, map_location="cpu", weights_only=True)
    except Exception as error:  # a broken or hostile file may fail in any way
        code = re.search(r"GLOBAL (\S+)", str(error))
        if code:
            reason = f"refused, it asks for {code[1]}; only tensors are read from foreign files"
            raise WeightsError(reason, ref=name) from error
        raise WeightsError("no readable torch file: cut, changed, or more than tensors in it", ref=name) from error
    try:
        return _flatten(tree, "", {}, set())
    except (ValueError, RecursionError) as error:
        raise WeightsError(f"refused: {error}", ref=name) from error


def _contains(file: BinaryIO, text: bytes) -> bool:
    """Search a file for ``text``, and go back to its start."""
    last = b""
    while chunk := file.read(CHUNK):
        if text in last + chunk:
            break
        last = chunk[-len(text) :]
    file.seek(0)
    return bool(chunk)


def _flatten(tree: Any, path: str, tensors: Flat, seen: set[int]) -> Flat:
    """Add every tensor of ``tree`` to ``tensors`` by its path; a dict that stands in several places counts once."""
    if isinstance(tree, Tensor):
        size = tree.numel() * tree.element_size()
        plain = (
            tree.layout == torch.strided and tree.device.type == "cpu" and not (tree.is_quantized or tree.is_complex())
        )
        if not plain or size > tree.untyped_storage().nbytes():
            raise ValueError(f"{path} is no plain tensor of the size it says")
        tensors[path] = tree.detach()
    elif isinstance(tree, Mapping) and id(tree) not in seen:
        seen.add(id(tree))
        for key, value in tree.items():
            _flatten(value, f"{path}.{key}" if path else str(key), tensors, seen)
    return tensors


def _zip(name: str, file: BinaryIO, archived: bool) -> dict[str, Flat]:
    """Read a zip pickle of torch, or an archive of weight files (one level deep)."""
    try:
        with zipfile.ZipFile(file) as archive:
            members = [member for member in archive.infolist() if not member.is_dir()]
            if any(member.filename.rpartition("/")[2] == TORCH_ZIP for member in members):
                if any(member.compress_type != zipfile.ZIP_STORED for member in members):
                    raise WeightsError("refused: packed, as torch never writes its files", ref=name)
                _check_size(name, sum(member.file_size for member in members))
                if damaged := archive.testzip():
                    raise WeightsError(f"cut or changed: the checksum of {damaged!r} differs", ref=name)
                file.seek(0)
                return {name: _pickle(name, file)}
            if archived:
                raise WeightsError("an archive inside an archive; unpack it and import the weight files", ref=name)
            content: dict[str, Flat] = {}
            members = [member for member in members if member.filename.endswith(SUFFIXES)]
            _check_size(name, sum(member.file_size for member in members))
            for member in members:
                inner = BytesIO(archive.read(member))
                content |= _read(f"{name}: {member.filename}", inner, archived=True)
    except WeightsError:
        raise
    except Exception as error:  # the names and numbers in a broken archive may be anything
        detail = f": {error}" if isinstance(error, zipfile.BadZipFile | RuntimeError) else ""
        raise WeightsError(f"a broken or encrypted zip archive{detail}", ref=name) from error
    if not content:
        raise WeightsError(f"an archive without a weight file ({', '.join(SUFFIXES)})", ref=name)
    return content


def _safetensors(name: str, file: BinaryIO) -> Flat:
    """Read a safetensors file."""
    try:
        return load(file.read())
    except Exception as error:  # its header may say anything
        raise WeightsError(f"no readable safetensors file: {error}", ref=name) from error


def _hdf5(name: str, file: BinaryIO) -> Flat:
    """Read the float datasets that lie in the file itself; refuse links and datasets that lead to other files."""
    tensors: Flat = {}
    try:
        with h5py.File(file, "r") as source:
            _walk(source, "", tensors, set())
    except WeightsError as error:
        error.at(ref=name)
        raise
    except Exception as error:  # a broken or hostile file may fail in any way
        raise WeightsError(f"no readable HDF5 file: {error}", ref=name) from error
    return tensors


def _walk(group: Any, path: str, tensors: Flat, seen: set[int]) -> None:
    """Add the datasets below ``group`` to ``tensors`` by their paths."""
    place = h5o.get_info(group.id).addr
    if place in seen:
        raise ValueError(f"{path} stands in itself or in several places")
    seen.add(place)
    for key in group:
        where = f"{path}/{key}" if path else key
        if not isinstance(group.get(key, getlink=True), h5py.HardLink):
            raise WeightsError(f"{where}: refused, it leads to another place or file")
        item = group[key]
        if isinstance(item, h5py.Group):
            _walk(item, where, tensors, seen)
        elif item.is_virtual or item.external:
            raise WeightsError(f"{where}: refused, its values lie in another file")
        elif item.dtype.kind == "f":
            number = item.size + prod(item.chunks or (0,))  # a chunk may be larger than all that is in it
            if number * max(4, item.dtype.itemsize) + sum(map(_unpacked, tensors.values())) > LARGEST:
                raise WeightsError(f"{where}: {TOO_LARGE}")
            tensors[where] = torch.from_numpy(np.array(item[()], dtype=np.float32))
