"""The user's cache of weights: foreign files converted into it, and checked."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import date
from pathlib import Path

from safetensors.torch import save

from ganchain import files
from ganchain.checkpoints import architectures, foreign, manifest, tensorflow
from ganchain.checkpoints.catalogue import Published, match, parts, published
from ganchain.checkpoints.manifest import Entry, Source
from ganchain.errors import WeightsError, available

KEY = re.compile(r"[A-Za-z][A-Za-z0-9._-]*")  # begins with a letter, so that YAML reads no number


def take(paths: Sequence[Path], key: str | None = None, side: int | None = None) -> tuple[str, Entry]:
    """Import foreign files that hold one network: recognised, converted to safetensors, written to the cache.

    Without ``key`` the entry gets the key of the published checkpoint that the files are by their digests, else a
    name made of the first file's. ``side`` is the side in px of the training faces, where the tensors cannot tell.

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
        raise WeightsError(f"{', '.join(map(str, paths))}: {error}") from error
    given = [file for path in paths for file in parts(path)]
    same = match(*paths)
    key = key or same or _name(paths[0], architecture)
    known = _known(key, architecture, given) or (published()[same] if same else None)
    page = known.page if known else None
    named = {file.name: file for file in given}
    if len(named) < len(given):
        named = {f"{file.parent.name}/{file.name}": file for file in given}
    source = Source(files={name: files.sha256(file) for name, file in named.items()}, page=page, date=date.today())
    _check_free(key, source)
    binary = save(tensors)
    entry = Entry(
        architecture=architecture,
        file=f"{key}.{hashlib.sha256(binary).hexdigest()[:12]}.safetensors",
        sha256=hashlib.sha256(binary).hexdigest(),
        licence=known.licence if known else "unknown",
        note=known.note if known else "",
        commercial=known.commercial if known else "unknown",
        side=_side(key, architecture, getattr(network, "side", None), side or (known.side if known else None)),
        origin=source,
    )
    with writing():
        manifest.cache().mkdir(parents=True, exist_ok=True)
        files.write(manifest.cache() / entry.file, binary)
        before = manifest.imported().get(key)
        files.write(manifest.cache() / f"{key}.json", entry.model_dump_json(indent=1))
        if before and before.file != entry.file:
            (manifest.cache() / before.file).unlink(missing_ok=True)
    return key, entry


def _distinct(paths: Sequence[Path]) -> list[Path]:
    """Without what stands for the same TensorFlow bundle again (``models/*``)."""
    bundles = {bundle: path for path in paths if (bundle := tensorflow.prefix(path))}
    folders = {bundle.parent for bundle in bundles}
    rest = [path for path in paths if not tensorflow.prefix(path)]
    return [*bundles.values(), *(path for path in rest if not (path.name == "checkpoint" and path.parent in folders))]


def _name(path: Path, architecture: str) -> str:
    """A key made of a file's name that does not claim to be another's."""
    name = re.sub(r"[^a-z0-9.]+", "-", path.stem.lower()).strip("-.")
    if KEY.fullmatch(name) and name not in {**published(), **manifest.entries()}:
        return name
    return f"{architecture}-{name}".strip("-")


def _known(key: str, architecture: str, given: list[Path]) -> Published | None:
    """The published checkpoint ``key`` names, if the files are that."""
    if not KEY.fullmatch(key):
        raise WeightsError(f"--as {key}: a key begins with a letter and has letters, digits, '.', '_' and '-'")
    if key in manifest.bundled():
        raise WeightsError(f"{key!r} is the key of bundled weights; choose another by --as KEY")
    known = published().get(key)
    if known is None:
        return None
    if known.architecture != architecture:
        raise WeightsError(f"{key!r} is a {known.architecture} network, not {architecture}; choose another --as KEY")
    if known.pinned:
        for file in given:
            problems = [wanted.problem(file) for wanted in known.files]
            if None not in problems:
                reason = problems[0] if len(problems) == 1 else f"{file.name} has the digest of none of its files"
                raise WeightsError(f"this is not the published {key!r}: {reason}; choose another --as KEY")
    return known


def _side(key: str, architecture: str, told: int | None, said: int | None) -> int | None:
    """The side of the training faces, by the tensors or by who imports them."""
    if told and said and told != said:
        raise WeightsError(f"{key!r}: these weights were trained at {told} px, not {said}")
    if architecture == "stargan" and not (told or said):
        raise WeightsError(
            f"{key!r}: StarGAN's generator does not tell the side it was trained at; import its discriminator along "
            "with it, or say --side 128 or --side 256"
        )
    return told or said


def _check_free(key: str, source: Source) -> None:
    """Refuse to put other files under a key that is taken; the same ones, and more along with them, may come again."""
    taken = manifest.imported().get(key)
    if taken and isinstance(taken.origin, Source) and not taken.origin.files.items() <= source.files.items():
        there = ", ".join(taken.origin.files)
        raise WeightsError(
            f"{key!r} is taken by other weights, made of {there}; choose another by --as KEY, or run: "
            f"ganchain weights remove {key}"
        )


@contextmanager
def writing() -> Iterator[None]:
    """What the cache's file system refuses becomes a WeightsError."""
    try:
        yield
    except OSError as error:
        where, reason = error.filename or manifest.cache(), error.strerror or error
        raise WeightsError(f"cannot write {where}: {reason}; GANCHAIN_CACHE names another folder") from error


def remove(key: str) -> None:
    """Delete the imported weights ``key``."""
    if key in manifest.bundled():
        raise WeightsError(f"{key!r} is bundled; only imported weights can be removed")
    if key not in keys():
        raise WeightsError(f"no imported weights {key!r}; {available(key, manifest.imported())}")
    with writing():
        (manifest.cache() / f"{key}.json").unlink(missing_ok=True)
        for file in manifest.cache().glob(f"{key}.*.safetensors"):
            file.unlink(missing_ok=True)


def keys() -> list[str]:
    """The keys of all weights that should be here, those with a broken entry included."""
    return [*manifest.bundled(), *sorted(path.stem for path in manifest.cache().glob("*.json"))]


def problem(key: str) -> str | None:
    """What is wrong with the weights ``key``; None when the file is the one of its entry."""
    try:
        manifest.tensors(key)
    except WeightsError as error:
        return str(error)
    return None
