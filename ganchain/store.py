"""The user's cache of weights: foreign files converted into it, published ones fetched, all of them checked."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import date
from hashlib import sha256
from pathlib import Path
from typing import Any

from safetensors.torch import save

from ganchain import architectures, checkpoints, manifest
from ganchain.errors import WeightsError, available
from ganchain.manifest import Entry, Source
from ganchain.published import Published, digest, match, parts, published

TIMEOUT = 30  # seconds a server may be silent


def take(paths: Sequence[Path], key: str | None = None) -> tuple[str, Entry]:
    """Import foreign files that hold one network: recognised, converted to safetensors, written to the cache.

    Without ``key`` the entry gets the key of the published checkpoint that the files are by their digests, else a
    name made of the first file's.

    Raises:
        WeightsError: a file is refused, is of no known layout, or is not what ``key`` names.
    """
    content: dict[str, checkpoints.Flat] = {}
    for path in paths:
        content |= checkpoints.read(path)
    architecture, tensors = architectures.recognise(content)
    files = [file for path in paths for file in parts(path)]
    key = key or match(*paths) or _slug(paths[0])
    known = _known(key, architecture, files)
    side = getattr(architectures.build(architecture, tensors), "side", None)
    if known and known.side and side and side != known.side:
        raise WeightsError(f"this is not {key!r}: it was trained at {side} px, not {known.side}")
    side = side or (known.side if known else None)
    if architecture == "stargan" and side is None:
        raise WeightsError(
            f"{paths[0]}: StarGAN's generator does not tell the side it was trained at; import its discriminator "
            "along with it, or say which it is by --as stargan-celeba-128 or --as stargan-celeba-256"
        )
    source = Source(
        files={file.name: digest(file) for file in files}, page=known.page if known else None, date=date.today()
    )
    _free(key, source)
    binary = save(tensors)
    entry = Entry(
        architecture=architecture,
        file=f"{key}.safetensors",
        sha256=sha256(binary).hexdigest(),
        licence=known.licence if known else "unknown",
        commercial=known.commercial if known else "unknown",
        side=side,
        origin=source,
    )
    manifest.cache().mkdir(parents=True, exist_ok=True)
    _written(manifest.cache() / entry.file, binary)
    _written(manifest.cache() / f"{key}.json", entry.model_dump_json(indent=1).encode())
    return key, entry


def _slug(path: Path) -> str:
    return re.sub(r"[^a-z0-9.]+", "-", path.stem.lower()).strip("-.") or "weights"


def _known(key: str, architecture: str, files: list[Path]) -> Published | None:
    """The published checkpoint ``key`` names, if the files are that."""
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", key):
        raise WeightsError(f"--as {key}: a key is made of letters, digits, '.', '_' and '-'")
    if key in manifest.bundled():
        raise WeightsError(f"{key!r} is the key of bundled weights; choose another by --as KEY")
    known = published().get(key)
    if known is None:
        return None
    if known.architecture != architecture:
        raise WeightsError(f"{key!r} is a {known.architecture} network, not {architecture}; choose another --as KEY")
    for wanted in known.files:
        problems = [wanted.problem(file) for file in files]
        if wanted.pinned and None not in problems:
            reason = problems[0] if len(problems) == 1 else f"no file has the digest of {wanted.name}"
            raise WeightsError(f"this is not the published {key!r}: {reason}; choose another --as KEY")
    return known


def _free(key: str, source: Source) -> None:
    """Refuse to put other files under a key that is taken; the same ones, and more along with them, may come again."""
    taken = manifest.imported().get(key)
    if taken and isinstance(taken.origin, Source) and not taken.origin.files.items() <= source.files.items():
        there = ", ".join(taken.origin.files)
        raise WeightsError(
            f"{key!r} is taken by other weights, made of {there}; choose another by --as KEY, or delete "
            f"{manifest.cache() / key}.json"
        )


def _written(path: Path, binary: bytes) -> None:
    """Write a file that is either whole or not there."""
    half = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        half.write_bytes(binary)
        half.replace(path)
    except OSError as error:
        raise WeightsError(f"cannot write {path}: {error.strerror}") from error
    finally:
        half.unlink(missing_ok=True)


def fetch(key: str, *, offline: bool = False, progress: Callable[[str], Any] | None = None) -> Entry:
    """Download the published checkpoint ``key`` from its mirrors, check its digests and import it.

    Args:
        offline: open no connection; only say what would be needed.
        progress: gives pooch a progress bar for a file's name.

    Raises:
        WeightsError: unknown key, no connection allowed, or no mirror gave the right file.
    """
    with suppress(WeightsError):  # it is here and whole
        manifest.tensors(key)
        return manifest.entry(key)
    if key not in published():
        raise WeightsError(f"no published weights {key!r}; {available(key, published())}")
    checkpoint = published()[key]
    if offline:
        wanted = ", ".join(file.name for file in checkpoint.files)
        raise WeightsError(
            f"offline: {key!r} was not fetched. Get {wanted} from {checkpoint.page} elsewhere, then run: "
            f"ganchain weights import FILE... --as {key}"
        )
    folder = manifest.cache() / f".fetch-{key}"  # what an interrupted run left there is thrown away
    shutil.rmtree(folder, ignore_errors=True)
    try:
        paths = [_downloaded(key, checkpoint, index, folder, progress) for index in range(len(checkpoint.files))]
        bundle = [path for path in paths if path.suffix == ".index"]
        return take(bundle or paths, key)[1]
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _downloaded(
    key: str, checkpoint: Published, index: int, folder: Path, progress: Callable[[str], Any] | None
) -> Path:
    """The first mirror's file that is right."""
    import pooch
    import requests

    pooch.get_logger().setLevel("ERROR")
    file = checkpoint.files[index]
    failures = []
    for url in file.urls:
        bar = progress(file.name) if progress else False
        downloader: Any = pooch.HTTPDownloader(progressbar=bar, timeout=TIMEOUT)
        try:
            pooch.retrieve(url, known_hash=None, fname=file.name, path=folder, downloader=downloader)
            problem = file.problem(folder / file.name)
        except (requests.RequestException, OSError, ValueError) as error:
            problem = " ".join(str(error).split())
        if problem is None:
            return folder / file.name
        (folder / file.name).unlink(missing_ok=True)
        failures.append(f"  {url}: {problem}")
    raise WeightsError(
        f"{key!r}: {file.name} could not be had:\n" + "\n".join(failures) + f"\nIf {checkpoint.page} still offers it, "
        f"download it there and run: ganchain weights import FILE... --as {key}"
    )


def keys() -> list[str]:
    """The keys of all weights that should be here, those with a broken entry included."""
    return [*manifest.bundled(), *sorted(path.stem for path in manifest.cache().glob("*.json"))]


def problem(key: str) -> str | None:
    """What is wrong with the weights ``key``; None when the file is the one of its entry."""
    if key in keys() and key not in manifest.entries():
        return f"{manifest.cache() / key}.json is broken; import the weights again"
    try:
        manifest.tensors(key)
    except WeightsError as error:
        return str(error)
    return None
