"""HTTP responses that hold files."""

from __future__ import annotations

import io
import json
import os
import re
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from fastapi.exceptions import HTTPException
from fastapi.responses import FileResponse, JSONResponse, Response
from starlette.types import Receive, Scope, Send

from ganchain.photos.images import Format
from ganchain.web.jobs import Job
from ganchain.web.redraw import Drawn

TYPES = {
    ".png": "image/png",
    ".jpg": "image/jpeg",
    ".webp": "image/webp",
    ".tiff": "image/tiff",
    ".svg": "image/svg+xml",
}
VIDEOS = {
    ".mp4": "video/mp4",
    ".m4v": "video/mp4",
    ".mov": "video/quicktime",
    ".mkv": "video/x-matroska",
    ".webm": "video/webm",
    ".gif": "image/gif",
    ".webp": "image/webp",
}
FORMATS: dict[str, Format] = {
    "image/png": "png",
    "image/jpeg": "jpeg",
    "image/jpg": "jpeg",
    "image/webp": "webp",
    "image/tiff": "tiff",
    "image/svg+xml": "svg",
}
SCREEN = ("image/jpeg", "image/webp")  # of pictures for the screen
GONE = "no such picture any more"
LONGEST_HEADER = 6000  # characters; proxies take about 8 KB


@dataclass(frozen=True)
class Accept:
    """The first wish of a visitor's header ``Accept``.

    Attributes:
        kind: "application/json", "application/zip", or "" for a picture.
        format: of the picture; None for the chain's.
    """

    kind: str = ""
    format: Format | None = None

    @classmethod
    def of(cls, header: str) -> Accept:
        """Read the header; of several types with the same ``q``, the first counts."""
        offers = []
        for part in header.lower().split(","):
            kind, _, parameters = part.replace(" ", "").partition(";")
            given = re.search(r"\bq=([01](\.\d+)?)", parameters)
            offers.append((float(given[1]) if given else 1.0, kind))
        for weight, kind in sorted(offers, key=lambda offer: -offer[0]):
            if weight and kind in ("application/json", "application/zip"):
                return cls(kind)
            if weight and kind in FORMATS:
                return cls(format=FORMATS[kind])
            if weight and kind in ("*/*", "image/*"):
                break
        return cls()


def described(*kinds: str, whole: bool = False) -> dict[int | str, dict[str, Any]]:
    """Describe for OpenAPI an answer of these media types; a ``whole`` one can be a job or a zip instead."""
    content: dict[str, Any] = {kind: {"schema": {"type": "string", "format": "binary"}} for kind in kinds}
    if whole:
        content["application/json"] = {"schema": {"$ref": "#/components/schemas/Job"}}
        content["application/zip"] = {"schema": {"type": "string", "format": "binary"}}
    return {200: {"description": "The content.", "content": content}}


def whole(job: Job, described: dict[str, Any], kind: str) -> Response:
    """Answer with a finished job: its picture, its report or both, by ``Accept.kind``."""
    headers = {"Content-Location": f"/jobs/{job.id}"}
    if kind == "application/json":
        return JSONResponse(described, headers=headers)
    if kind == "application/zip" or len(job.pictures) > 1:
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w") as archive:
            for path in job.pictures:
                try:
                    archive.write(path, path.name)
                except FileNotFoundError:  # as in `screen`
                    raise HTTPException(404, GONE) from None
            archive.writestr("report.json", json.dumps(job.report, indent=1))
            archive.writestr(f"{job.name}.yaml", job.text)
        headers["Content-Disposition"] = attachment(f"{job.upload.path.stem}-{job.name}.zip")
        return Response(buffer.getvalue(), media_type="application/zip", headers=headers)
    report = json.dumps(job.report, separators=(",", ":"))
    if len(report) <= LONGEST_HEADER:
        headers["Ganchain-Report"] = report
    return picture(job.pictures[0], headers)


def draft(drawn: Drawn) -> Response:
    report = json.dumps({"status": drawn.status, "seconds": round(drawn.seconds, 3)})
    headers = {"Cache-Control": "private, no-store", "Ganchain-Report": report}
    return Response(drawn.picture, media_type=_kind(drawn.picture[:4]), headers=headers)


def picture(path: Path, headers: Mapping[str, str] | None = None) -> Response:
    return screen(path, TYPES[path.suffix], {"Content-Disposition": attachment(path.name), **(headers or {})})


def video(path: Path | None) -> Response:
    """Answer with the video that a job made.

    Raises:
        HTTPException: there is none.
    """
    if path is None:
        raise HTTPException(404, "no such video")
    return screen(path, VIDEOS[path.suffix], {"Content-Disposition": attachment(path.name)})


def _kind(head: bytes) -> str:
    return "image/webp" if head == b"RIFF" else "image/jpeg"  # as ``reader.for_screen`` encodes


def screen(path: Path, kind: str = "", headers: Mapping[str, str] | None = None) -> Response:
    """Answer with a file; without ``kind``, one for the screen."""
    try:
        if not kind:
            with path.open("rb") as file:
                kind = _kind(file.read(4))
        return _Opened(path, kind, {"Cache-Control": "private, no-store", **(headers or {})})
    except FileNotFoundError:  # deleted in the meantime
        raise HTTPException(404, GONE) from None


class _Opened(FileResponse):
    """A response with a file that may be deleted while it is sent."""

    def __init__(self, path: Path, kind: str, headers: Mapping[str, str]) -> None:
        self._file = path.open("rb")
        opened = Path(f"/dev/fd/{self._file.fileno()}")
        stat = os.fstat(self._file.fileno())
        super().__init__(opened if opened.exists() else path, headers=headers, media_type=kind, stat_result=stat)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        with self._file:
            await super().__call__(scope, receive, send)


def nth(pictures: list[Any], number: int) -> Any:
    if not 0 <= number < len(pictures):
        raise HTTPException(404, "no such picture")
    return pictures[number]


def attachment(name: str) -> str:
    return f"attachment; filename*=UTF-8''{quote(name)}"
