"""Content Credentials as C2PA specifies them: a signed record of the edits of a picture.

They are written and checked by ``c2pa-python`` (extra ``c2pa``). It opens no connection, except to the time stamp
server that the user names.
"""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import dataclass
from importlib import import_module
from io import BytesIO
from mmap import ACCESS_READ, mmap
from pathlib import Path
from typing import Any, Literal

from ganchain import files
from ganchain._version import VERSION
from ganchain.errors import GanchainError, PhotoError, plain
from ganchain.photos import images
from ganchain.photos.marks import SOURCE_TYPES, Provenance
from ganchain.photos.protect import Protection

Algorithm = Literal["es256", "es384", "es512", "ps256", "ps384", "ps512", "ed25519"]
EXTRA = "pip install 'ganchain[c2pa]'"
_STORE = b"jumdc2pa\0\x11\0\x10\x80\0\0\xaa\x008\x9bq"  # the first bytes of a manifest store, in every file format
_SETTINGS = {
    "builder": {"thumbnail": {"enabled": False}},  # a thumbnail of the original would show what was edited away
    "verify": {"remote_manifest_fetch": False, "ocsp_fetch": False},
}


@dataclass(frozen=True)
class Credentials:
    """The content of a picture's manifest, as far as it can be checked.

    Attributes:
        state: "Trusted"; "Valid": neither picture nor manifest was changed, but the signer is on no trust list here;
            "Invalid"; "unchecked": the extra is not installed.
        signer: the name in the certificate.
        actions: the edits, by C2PA's names.
        reasons: why the manifest is invalid, as C2PA's codes.
    """

    state: str
    signer: str = ""
    actions: tuple[str, ...] = ()
    reasons: tuple[str, ...] = ()


def read(path: Path) -> Credentials | None:
    """Read and check the credentials of a picture file; return None if it has none."""
    with path.open("rb") as file, suppress(ValueError), mmap(file.fileno(), 0, access=ACCESS_READ) as content:
        if content.find(_STORE) < 0:
            return None
    try:
        c2pa = _library()
    except GanchainError:
        return Credentials("unchecked")
    try:
        with c2pa.Context(settings=c2pa.Settings.from_dict(_SETTINGS)) as context, path.open("rb") as file:
            reader = c2pa.Reader(_mime(path), file, context=context)
            manifest, state = reader.get_active_manifest() or {}, reader.get_validation_state() or "Invalid"
            results = (reader.get_validation_results() or {}).get("activeManifest", {})
    except c2pa.C2paError as error:
        return Credentials("Invalid", reasons=(" ".join(str(error).split()),))
    actions = [
        plain(str(action.get("action", "")))
        for assertion in manifest.get("assertions", [])
        if assertion.get("label", "").startswith("c2pa.actions")
        for action in assertion.get("data", {}).get("actions", [])
    ]
    reasons = [plain(str(problem.get("code", ""))) for problem in results.get("failure", [])]
    reasons = [reason for reason in reasons if state == "Invalid" and reason != "signingCredential.untrusted"]
    info = manifest.get("signature_info", {})
    signer = plain(str(info.get("common_name") or info.get("issuer") or ""))
    return Credentials(state, signer, tuple(actions), tuple(reasons))


def sign(
    path: Path,
    original: Path,
    out: Path,
    *,
    certificate: Path,
    key: Path,
    algorithm: Algorithm = "es256",
    timestamp: str | None = None,
    overwrite: bool = False,
) -> None:
    """Write the marked picture ``path`` with a signed manifest to ``out``, in the same format.

    The manifest says that ``original`` was opened and edited, by which software, chain and stages. It holds the hash
    of the original, and the original's own manifest if there is one, but no thumbnail.

    Args:
        certificate: the signer's certificate and those above it, without the root, as PEM.
        key: the private key of the certificate as PEM (PKCS #8), not encrypted.
        timestamp: address of a server (RFC 3161) that attests the time; None opens no connection.
        overwrite: replace another file that lies at ``out``.

    Raises:
        GanchainError: the picture has no mark from ganchain, a file cannot be used, or the extra is not installed.
    """
    c2pa = _library()
    mark = Provenance.of(images.header(path).xmp)
    if not mark.own:
        raise PhotoError("has no mark of ganchain's that could be signed", path=path)
    if images.format_of(out) != images.format_of(path):
        raise PhotoError(f"signing keeps the format; the name must end as that of {path.name}", path=out)
    protection = Protection([original, path, certificate, key], mark.chain, overwrite=overwrite)
    protection.refuse(out)
    signed = BytesIO()
    try:
        pem = certificate.read_bytes(), key.read_bytes()
        with c2pa.Context(settings=c2pa.Settings.from_dict(_SETTINGS)) as context:
            builder = c2pa.Builder(_manifest(mark), context)
            builder.set_intent(c2pa.C2paBuilderIntent.EDIT)  # else no manifest may begin with an edit
            with original.open("rb") as file:
                builder.add_ingredient({"relationship": "parentOf"}, _mime(original), file)
            info = c2pa.C2paSignerInfo(algorithm.encode(), *pem, timestamp and timestamp.encode())
            with path.open("rb") as file:
                builder.sign(c2pa.Signer.from_info(info), _mime(path), file, signed)
    except OSError as error:
        raise PhotoError(f"cannot be read: {error.strerror}", path=error.filename) from error
    except c2pa.C2paError as error:
        raise PhotoError(f"cannot be signed: {' '.join(str(error).split())}", path=path) from error
    try:
        files.write(out, signed.getvalue(), protection.permit)
    except OSError as error:
        raise PhotoError(f"cannot be written: {error.strerror or error}", path=out) from error


def _manifest(mark: Provenance) -> str:
    software = {"name": mark.software.partition(" ")[0], "version": mark.software.partition(" ")[2]}
    action = {
        "action": "c2pa.edited",
        "digitalSourceType": SOURCE_TYPES + mark.source_type,
        "softwareAgent": software,
        "parameters": {
            "ganchain.chain": mark.chain,
            "ganchain.chainHash": mark.chain_hash,
            "ganchain.stages": list(mark.stages),
        },
    }
    actions = {"label": "c2pa.actions.v2", "data": {"actions": [action]}}
    return json.dumps({"claim_generator_info": [{"name": "ganchain", "version": VERSION}], "assertions": [actions]})


def _mime(path: Path) -> str:
    """Find the media type of a picture from its content; its name does not count."""
    return f"image/{images.header(path).format.lower()}"


def _library() -> Any:
    try:
        return import_module("c2pa")
    except ImportError as error:
        raise GanchainError(f"Content Credentials need c2pa-python ({error}): {EXTRA}") from error
