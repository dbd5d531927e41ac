"""Import foreign files into the user's cache of weights, and remove them from it."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from datetime import date
from pathlib import Path

from safetensors.torch import save

from ganchain import files
from ganchain.checkpoints import architectures, cache, foreign, manifest, tensorflow
from ganchain.checkpoints.catalogue import Published, match, parts, published
from ganchain.checkpoints.entries import Entry, Source
from ganchain.errors import WeightsError, available


def import_files(paths: Sequence[Path], key: str | None = None, side: int | None = None) -> tuple[str, Entry]:
    """Import foreign files that hold one network: recognise it, convert it to safetensors, write it to the cache.

    Args:
        key: by default the key of the published checkpoint with the files' digests, else one made from the first
            file's name.
        side: the side in px of the training faces, where the tensors cannot tell.

    Returns:
        The key and its entry.

    Raises:
        WeightsError: a file is refused, is of no known layout, or is not what ``key`` names.
    """
    paths = _distinct(paths)
    content: dict[str, foreign.Flat] = {}
    for path in paths:
        content |= foreign.read(path)
    architecture, tensors = architectures.recognise(content)
    try:
        network = architectures.build(architecture, tensors)
    except WeightsError as error:
        error.at(ref=", ".join(map(str, paths)))
        raise
    originals = [file for path in paths for file in parts(path)]
    matching = match(*paths)
    key = key or matching or _key(paths[0], architecture)
    checkpoint = _published(key, architecture, originals) or (published()[matching] if matching else None)
    source = Source(files=_digests(originals), page=checkpoint.page if checkpoint else None, date=date.today())
    _check_free(key, source)
    side = _side(key, architecture, getattr(network, "side", None), side or (checkpoint.side if checkpoint else None))
    binary = save(tensors)
    digest = hashlib.sha256(binary).hexdigest()
    entry = Entry(
        architecture=architecture,
        file=cache.file_name(key, digest),
        sha256=digest,
        licence=checkpoint.licence if checkpoint else "unknown",
        note=checkpoint.note if checkpoint else "",
        commercial=checkpoint.commercial if checkpoint else "unknown",
        side=side,
        origin=source,
    )
    cache.write(key, entry, binary)
    return key, entry


def remove(key: str) -> None:
    """Delete the imported weights ``key``.

    Raises:
        WeightsError: there are none, they are bundled, or the cache cannot be written to.
    """
    if key in manifest.bundled():
        raise WeightsError(f"{key!r} is bundled; only imported weights can be removed")
    if key not in cache.all_keys():
        raise WeightsError(f"no imported weights {key!r}; {available(key, cache.entries())}")
    cache.delete(key)


def _distinct(paths: Sequence[Path]) -> list[Path]:
    """Keep one path of each TensorFlow bundle, of which ``models/*`` lists several."""
    bundles = {bundle: path for path in paths if (bundle := tensorflow.prefix(path))}
    folders = {bundle.parent for bundle in bundles}
    rest = [path for path in paths if not tensorflow.prefix(path)]
    return [*bundles.values(), *(path for path in rest if not (path.name == "checkpoint" and path.parent in folders))]


def _key(path: Path, architecture: str) -> str:
    """Make a key from a file's name; it is never the key of other weights."""
    name = re.sub(r"[^a-z0-9.]+", "-", path.stem.lower()).strip("-.")
    if cache.KEY.fullmatch(name) and name not in published() and manifest.get(name) is None:
        return name
    return f"{architecture}-{name}".strip("-")


def _digests(originals: Sequence[Path]) -> dict[str, str]:
    """Compute the SHA-256 of each file, by its name; by folder and name where two have the same name."""
    named = {file.name: file for file in originals}
    if len(named) < len(originals):
        named = {f"{file.parent.name}/{file.name}": file for file in originals}
    return {name: files.sha256(file) for name, file in named.items()}


def _published(key: str, architecture: str, originals: Sequence[Path]) -> Published | None:
    """Look up the published checkpoint ``key``; refuse a key that is not free for these files."""
    if not cache.KEY.fullmatch(key):
        raise WeightsError(f"--as {key}: a key begins with a letter and has letters, digits, '.', '_' and '-'")
    if key in manifest.bundled():
        raise WeightsError(f"{key!r} is the key of bundled weights; choose another by --as KEY")
    checkpoint = published().get(key)
    if checkpoint is None:
        return None
    if checkpoint.architecture != architecture:
        raise WeightsError(
            f"{key!r} is a {checkpoint.architecture} network, not {architecture}; choose another --as KEY"
        )
    if checkpoint.pinned:
        for original in originals:
            problems = [file.problem(original) for file in checkpoint.files]
            if None not in problems:
                reason = problems[0] if len(problems) == 1 else f"{original.name} has the digest of none of its files"
                raise WeightsError(f"this is not the published {key!r}: {reason}; choose another --as KEY")
    return checkpoint


def _side(key: str, architecture: str, by_tensors: int | None, by_user: int | None) -> int | None:
    """Decide on the side in px of the training faces; None where the tensors or the stage tell it.

    Raises:
        WeightsError: tensors and user contradict each other, or nobody says it and it is needed.
    """
    if by_tensors and by_user and by_tensors != by_user:
        raise WeightsError(f"these weights were trained at {by_tensors} px, not {by_user}", ref=key)
    if architecture == "stargan" and not (by_tensors or by_user):
        raise WeightsError(
            "StarGAN's generator does not tell the side it was trained at; import its discriminator along with it, or "
            "say --side 128 or --side 256",
            ref=key,
        )
    return by_tensors or by_user


def _check_free(key: str, source: Source) -> None:
    """Refuse a key of other imported files; the same files may be imported again, also with further ones."""
    former = cache.get(key)
    if former and isinstance(former.origin, Source) and not former.origin.files.items() <= source.files.items():
        raise WeightsError(
            f"{key!r} is taken by other weights, made of {', '.join(former.origin.files)}; choose another by --as KEY, "
            f"or run: ganchain weights remove {key}"
        )
