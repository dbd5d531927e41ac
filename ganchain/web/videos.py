"""The addresses of videos: they are sent here; their jobs are asked for as those of photos."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import FastAPI, Path, Request
from fastapi.responses import Response

from ganchain.web import answers, forms, models
from ganchain.web.failures import responses
from ganchain.web.service import Service

Key = Annotated[str, Path(description="The id.")]


def add(api: FastAPI, service: Service) -> None:
    """Add the addresses to ``api``."""

    @api.post(
        "/videos",
        status_code=201,
        response_model=models.Video,
        responses=responses(400, 408, 413, 422, 507),
        openapi_extra=forms.described(video=forms.FILE),
    )
    async def videos(request: Request) -> Any:
        """Take a video (multipart field ``video``) and answer with its id, its length, and three stills of it.

        The stills are photos, for drafts; they are deleted with the video. A job for it is asked for by ``POST /jobs``.
        """
        async with request.form(max_files=2, max_fields=2) as form:
            video = forms.file(form, "video", known=["video"])
            upload = await service.take(video.filename or "video", video.file, service.uploads.add_video)
        assert upload.video is not None
        return {
            "id": upload.id,
            "name": upload.name,
            "size": list(upload.size),
            "seconds": round(upload.video.seconds, 3),
            "frames": upload.video.frames,
            "stills": [service.upload(key).answer() for key in upload.video.stills],
        }

    @api.delete("/videos/{key}", status_code=204)
    def drop(key: Key) -> None:
        """Delete a video and its stills."""
        service.uploads.drop(key)

    @api.get(
        "/jobs/{key}/video",
        response_class=Response,
        responses={**responses(404), **answers.described(*dict.fromkeys(answers.VIDEOS.values()))},
    )
    def made(key: Key) -> Response:
        """Answer with the video that a job made of a video."""
        return answers.video(service.job(key).video)
