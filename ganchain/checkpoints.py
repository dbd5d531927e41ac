"""Foreign weight files read as tensors; nothing that stands in them is ever run.

Known kinds, told by content: pickles of torch (zip and legacy), zip archives of such, safetensors, HDF5 files, and
TensorFlow bundles (by name, since a bundle is several files). What else a file holds (options, optimizers, classes
of the code that wrote it) is left out.
"""

from __future__ import annotations

import re
import zipfile
from collections.abc import Mapping
from io import BytesIO
from pathlib import Path
from typing import Any, BinaryIO

import h5py
import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load
from torch import Tensor
from torch.serialization import safe_globals

from ganchain import tf_bundle
from ganchain.errors import WeightsError

LARGEST = 4 << 30  # bytes of one archive member or dataset, unpacked
TORCH_ZIP = "data.pkl"
Flat = dict[str, Tensor]


class Inert:
    """Stands for a class of the code that wrote a file: holds what is put into it and does nothing."""


# classes that published files name beside their tensors, and which need no code of theirs
FOREIGN = ["argparse.Namespace", "utils.config.Configuration"]


def read(path: Path) -> dict[str, Flat]:
    """The tensors of a foreign file, by the name of the file or archive member they stand in.

    Nested dicts are flattened ("g_ema.conv1.noise.weight"); HDF5 datasets and TensorFlow variables keep their "/".

    Raises:
        WeightsError: the file cannot be read, is of no known kind, is broken, or asks for code to be run.
    """
    try:
        prefix = tf_bundle.prefix(path)
        if prefix is not None:
            return {path.name: tf_bundle.read(prefix, _of_generator)}
        if path.is_dir():
            raise WeightsError(f"{path} is a folder without a TensorFlow checkpoint (*.index); name a weight file")
        with path.open("rb") as file:
            return _read(path.name, file)
    except OSError as error:
        raise WeightsError(f"cannot read {path}: {error.strerror or error}") from error


def _of_generator(variable: str) -> bool:
    """Of the one TensorFlow checkpoint there is a network for, a tenth is of use."""
    return variable.startswith("generator/") and not variable.endswith(("/Adam", "/Adam_1"))


def _read(name: str, file: BinaryIO, archived: bool = False) -> dict[str, Flat]:
    start = file.read(64)
    file.seek(0)
    if start.startswith(b"\x89HDF\r\n\x1a\n"):
        return {name: _hdf5(name, file)}
    if start.startswith(b"PK\x03\x04"):
        return _zip(name, file, archived)
    if len(start) > 9 and start[8:9] == b"{":
        return {name: _safetensors(name, file)}
    if start.startswith(b"\x80"):
        return {name: _pickle(name, file)}
    if start.startswith(b"version https://git-lfs"):
        raise WeightsError(f"{name}: this is Git LFS's note of a file, not the file itself; run git lfs pull there")
    if start.lstrip()[:1] == b"<":
        raise WeightsError(f"{name}: this is a web page, not a weight file; the download link may want a browser")
    raise WeightsError(f"{name}: neither a torch pickle, safetensors, HDF5 nor TensorFlow file")


def _pickle(name: str, file: BinaryIO) -> Flat:
    """A zip or legacy pickle through torch's unpickler of weights, which builds tensors and containers only."""
    try:
        with safe_globals([(Inert, known) for known in FOREIGN]):
            tree = torch.load(file, map_location="cpu", weights_only=True)
    except Exception as error:  # a broken or hostile file may fail in any way
        asked = re.search(r"GLOBAL (\S+)", str(error))
        if asked:
            reason = f"refused, it asks for {asked[1]}; only tensors are read from foreign files"
            raise WeightsError(f"{name}: {reason}") from error
        reason = (str(error) or type(error).__name__).partition("\n")[0]
        raise WeightsError(f"{name}: no readable torch file: {reason}") from error
    return dict(_flattened(tree, ""))


def _flattened(tree: Any, path: str) -> list[tuple[str, Tensor]]:
    if isinstance(tree, Tensor):
        return [(path, tree.detach())]
    if not isinstance(tree, Mapping):
        return []
    return [pair for key, value in tree.items() for pair in _flattened(value, f"{path}.{key}" if path else str(key))]


def _zip(name: str, file: BinaryIO, archived: bool) -> dict[str, Flat]:
    """A zip pickle of torch, or an archive of weight files (one level deep)."""
    try:
        with zipfile.ZipFile(file) as archive:
            members = [member for member in archive.infolist() if not member.is_dir()]
            if any(member.filename.rpartition("/")[2] == TORCH_ZIP for member in members):
                file.seek(0)
                return {name: _pickle(name, file)}
            if archived:
                raise WeightsError(f"{name}: an archive inside an archive; unpack it and import the weight files")
            found: dict[str, Flat] = {}
            for member in members:
                short = member.filename.rpartition("/")[2]
                if member.file_size > LARGEST or not short.endswith((".ckpt", ".pth", ".pt", ".h5", ".safetensors")):
                    continue
                found |= _read(short, BytesIO(archive.read(member)), archived=True)
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError) as error:
        raise WeightsError(f"{name}: a broken or encrypted zip archive: {error}") from error
    if not found:
        raise WeightsError(f"{name}: an archive without a weight file (.ckpt, .pth, .pt, .h5, .safetensors)")
    return found


def _safetensors(name: str, file: BinaryIO) -> Flat:
    try:
        return load(file.read())
    except SafetensorError as error:
        raise WeightsError(f"{name}: no readable safetensors file: {error}") from error


def _hdf5(name: str, file: BinaryIO) -> Flat:
    """The float datasets that lie in the file itself; links and datasets that lead to other files are refused."""
    found: Flat = {}
    try:
        with h5py.File(file, "r") as source:
            _walk(source, "", found)
    except (OSError, RuntimeError, ValueError, KeyError, TypeError) as error:
        raise WeightsError(f"{name}: no readable HDF5 file: {error}") from error
    return found


def _walk(group: Any, path: str, found: Flat) -> None:
    for key in group:
        where = f"{path}/{key}" if path else key
        if not isinstance(group.get(key, getlink=True), h5py.HardLink):
            raise WeightsError(f"{where}: refused, it leads to another place or file")
        item = group[key]
        if isinstance(item, h5py.Group):
            _walk(item, where, found)
        elif item.is_virtual or item.external:
            raise WeightsError(f"{where}: refused, its values lie in another file")
        elif item.nbytes > LARGEST:
            raise WeightsError(f"{where}: refused, it says to unpack to {item.nbytes >> 30} GiB")
        elif item.dtype.kind == "f":
            found[where] = torch.from_numpy(np.asarray(item[()], dtype=np.float32).copy())
