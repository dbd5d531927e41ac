"""The HTTP API as its OpenAPI describes it: media types, errors, HEAD, Accept, fields."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ganchain import chains
from ganchain.chains import Chain, json_schema, registry
from ganchain.chains.json_schema import choices, schema
from ganchain.checkpoints import manifest
from ganchain.errors import ChainError, EngineError, StageError, WeightsError
from ganchain.photos import images
from ganchain.stage import Stage

httpx = pytest.importorskip("httpx", reason="the extra web is not installed")
pytest.importorskip("uvicorn", reason="the extra web is not installed")

from ganchain.web import answers, models, public, reference, runner, submitted  # noqa: E402
from ganchain.web.app import app  # noqa: E402
from ganchain.web.jobs import Job  # noqa: E402
from ganchain.web.limits import Limits  # noqa: E402
from ganchain.web.uploads import Upload  # noqa: E402


class Client:
    """A client that calls the application in this process."""

    def __init__(self, application: Any) -> None:
        self.application = application

    def request(self, method: str, path: str, **arguments: Any) -> Any:
        async def ask() -> Any:
            transport = httpx.ASGITransport(self.application, raise_app_exceptions=False)
            async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
                return await client.request(method, path, **arguments)

        return asyncio.run(ask())

    def get(self, path: str, **arguments: Any) -> Any:
        return self.request("GET", path, **arguments)

    def head(self, path: str) -> Any:
        return self.request("HEAD", path)

    def post(self, path: str, **arguments: Any) -> Any:
        return self.request("POST", path, **arguments)


@pytest.fixture(scope="module")
def application() -> Iterator[Any]:
    """The application without its processes: what reads and runs photos is replaced."""
    made = app(Limits(photos=3, kept=600))
    yield made
    made.app.state.service.close()


@pytest.fixture
def ask(application: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    service = application.app.state.service

    def add(name: str, content: Any) -> Upload:
        folder = service.uploads.folder.make(f"key-{len(list(service.uploads.folder.path.iterdir()))}")
        (folder / name).write_bytes(content.read())
        upload = Upload(folder.name, name, folder / name, (8, 8), [])
        upload.preview.write_bytes(b"\xff\xd8 preview")
        service.uploads._uploads[upload.id] = upload
        return upload

    def run(job: Job) -> None:
        path = job.folder / f"{job.upload.path.stem}-{job.name}{images.suffix_of(job.chain.output.format)}"
        path.write_bytes(b"picture")
        job.pictures = [path]
        picture = {"name": path.name, "bytes": 7, "sha256": "0"}
        job.report = {"status": "ok", "chain": job.name, "photo": job.upload.name, "size": [8, 8], "faces": []}
        job.report |= {"seconds": {}, "engines": {}, "pictures": [picture]}
        job.previews = [("photo", job.upload.preview)]

    monkeypatch.setattr(service.uploads, "add", add)
    monkeypatch.setattr(service.queue, "_run", run)
    return Client(application)


PHOTO = ("photo.png", b"a photo")


def post(ask: Any, chain: str = "retouch", **headers: str) -> Any:
    return ask.post("/run", data={"chain": chain}, files={"photo": PHOTO}, headers=headers)


# the description


def test_openapi_names_media_types_and_the_errors_that_are_answered(ask: Any) -> None:
    described = ask.get("/openapi.json").json()
    paths, models_ = described["paths"], described["components"]["schemas"]
    pictures = {"image/png", "image/jpeg", "image/webp", "image/tiff", "image/svg+xml"}
    assert set(paths["/jobs/{key}/pictures/{number}"]["get"]["responses"]["200"]["content"]) == pictures
    run = paths["/run"]["post"]
    assert set(run["responses"]["200"]["content"]) == pictures | {"application/json", "application/zip"}
    assert run["requestBody"]["content"]["multipart/form-data"]["schema"]["required"] == ["chain", "photo"]
    for address in ("/photos/{key}/preview", "/jobs/{key}/previews/{number}", "/jobs/{key}/thumbnails/{number}"):
        assert set(paths[address]["get"]["responses"]["200"]["content"]) == {"image/jpeg", "image/webp"}
    assert set(paths["/drafts"]["post"]["responses"]["200"]["content"]) == {"image/jpeg", "image/webp"}
    assert set(paths["/jobs/{key}/events"]["get"]["responses"]["200"]["content"]) == {"text/event-stream"}
    assert set(paths["/jobs/{key}/chain"]["get"]["responses"]["200"]["content"]) == {"application/yaml"}
    for path, methods in paths.items():
        for operation in methods.values():
            statuses = set(operation["responses"])
            assert {"403", "421", "500", "503"} <= statuses, path
            assert {"404", "204"} & statuses or "{key}" not in path
            assert not {"408", "413", "422"} - statuses or "requestBody" not in operation, path
            for status, answer in operation["responses"].items():
                if status >= "400":
                    assert answer["content"]["application/json"]["schema"]["$ref"].endswith("/Error"), (path, status)
                    assert answer["description"]
    assert set(models_["Error"]["properties"]) == {"error", "problems"}
    assert not {"HTTPValidationError", "ValidationError"} & models_.keys()
    assert "detail" not in json.dumps(models_)


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/photos/none/preview", 404),
        ("GET", "/jobs/none", 404),
        ("GET", "/jobs/none/pictures/x", 422),
        ("GET", "/nothing", 404),
        ("PUT", "/chain", 405),
        ("POST", "/nothing", 405),
        ("POST", "/jobs", 422),
        ("POST", "/chain", 422),
        ("POST", "/photos", 422),
        ("POST", "/run", 422),
    ],
)
def test_every_error_has_the_model_that_is_described(ask: Any, method: str, path: str, status: int) -> None:
    answer = ask.request(method, path)
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/json"
    assert models.Error.model_validate(answer.json()).error
    assert set(answer.json()) == {"error"}


def test_answers_are_what_is_described(ask: Any) -> None:
    assert [models.BundledChain.model_validate(one) for one in ask.get("/chains").json()]
    assert [models.Stage.model_validate(one).name for one in ask.get("/stages").json()] == registry.names()
    health = models.Health.model_validate(ask.get("/health").json())
    assert (health.status, health.waiting) == ("ok", 0)
    sent = ask.post("/photos", files={"photo": PHOTO})
    assert sent.status_code == 201 and models.Photo.model_validate(sent.json()).faces == []
    done = ask.post("/run", data={"chain": "retouch"}, files={"photo": PHOTO}, headers={"Accept": "application/json"})
    assert models.Job.model_validate(done.json()).state == "done"
    assert "place" not in done.json() and "error" not in done.json()
    assert ask.get(done.headers["content-location"]).json() == done.json()


def test_docs_list_every_address_without_the_network(ask: Any) -> None:
    answer = ask.get("/docs")
    assert answer.status_code == 200 and answer.headers["content-type"].startswith("text/html")
    for path, methods in ask.get("/openapi.json").json()["paths"].items():
        for method in methods:
            assert f"<code>{method.upper()} {path}</code>" in answer.text
    assert "//" not in answer.text.replace("://", "") or "http" not in answer.text
    assert "<script" not in answer.text and "image/png" in answer.text
    evil = {"/<u>": {"get": {"description": "<b>", "responses": {"500": {"description": "<b>"}}}}}
    shown = reference.html({"info": {"version": "<b>"}, "paths": evil, "components": {"schemas": {"<i>": {}}}})
    assert not any(tag in shown for tag in ("<b>", "<i>", "<u>"))


# methods and files


def test_head_is_get_without_its_body(ask: Any) -> None:
    job = post(ask, Accept="application/json").json()
    for address in (
        "/",
        "/page.js",
        "/viewer.js",
        "/chains",
        "/health",
        "/docs",
        f"/jobs/{job['id']}",
        job["pictures"][0],
    ):
        got, head = ask.get(address), ask.head(address)
        assert head.status_code == 200 and head.content == b"", address
        assert got.content
        assert head.headers["content-length"] == got.headers["content-length"]
        assert head.headers["content-type"] == got.headers["content-type"]
    assert ask.head("/jobs/none").status_code == 404
    assert ask.head("/chain").status_code == 405


def test_the_page_is_asked_for_again_and_sent_only_when_it_changed(ask: Any) -> None:
    for address in ("/", "/page.js", "/style.css", "/icon.svg"):
        first = ask.get(address)
        assert first.headers["cache-control"] == "no-cache"
        assert ask.get(address, headers={"If-None-Match": first.headers["etag"]}).status_code == 304
    assert ask.get("/page.js").headers["content-encoding"] == "gzip"
    assert "content-encoding" not in ask.get("/page.js", headers={"Accept-Encoding": "identity"}).headers


# Accept


@pytest.mark.parametrize(
    ("header", "kind", "format_"),
    [
        ("", "", None),
        ("*/*", "", None),
        ("image/*", "", None),
        ("text/html", "", None),
        ("image/jpeg", "", "jpeg"),
        ("image/jpg", "", "jpeg"),
        ("IMAGE/JPEG; q=0.9", "", "jpeg"),
        ("image/jpeg, */*", "", "jpeg"),
        ("image/png;q=0.5, image/webp", "", "webp"),
        ("*/*;q=0.1, image/tiff;q=0.2", "", "tiff"),
        ("image/jpeg;q=0, */*", "", None),
        ("image/jpeg;q=x", "", "jpeg"),
        ("application/json, text/plain, */*", "application/json", None),
        ("image/jpeg;q=0.5, application/zip", "application/zip", None),
        (",;,q=", "", None),
    ],
)
def test_accept(header: str, kind: str, format_: str | None) -> None:
    assert answers.Accept.of(header) == answers.Accept(kind, format_)  # type: ignore[arg-type]


@pytest.mark.parametrize("format_", ["jpeg", "png", "webp", "tiff"])
def test_a_picture_has_the_format_that_is_asked_for(ask: Any, format_: str) -> None:
    answer = post(ask, Accept=f"image/{format_}")
    assert answer.headers["content-type"] == f"image/{format_}"
    job = ask.get(answer.headers["content-location"]).json()
    assert job["command"] == "ganchain run retouch.yaml photo.png"
    again = chains.parse(ask.get(job["yaml"]).text, "again.yaml", Path())
    assert again.output.format == format_  # the YAML makes the same picture
    assert post(ask, "stages: [upscale]\noutput: {format: webp, mark: false}").headers["content-type"] == "image/webp"


# fields


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ([("photo", PHOTO), ("photo", PHOTO)], "photo: there are 2 of this field; one is taken in a request"),
        ([("photo", PHOTO), ("chain", ("c.yaml", b"stages: [upscale]"))], "chain: there are 2 of this field"),
        ([("photo", PHOTO), ("file", PHOTO)], "no field 'file'; did you mean 'files'? available: chain, files, photo"),
        ([("photo", PHOTO), ("files", PHOTO), ("files", PHOTO)], "files: two of them are called photo.png"),
        ([("phto", PHOTO)], "no field 'phto'; did you mean 'photo'?"),
        ([("photo", (None, "text"))], "photo: a file is needed in this field"),
        ([("photo", PHOTO), ("files", (None, "text"))], "files: files are needed in this field"),
        ([], "photo: a file is needed in this field"),
    ],
)
def test_fields_that_do_nothing_or_come_twice_are_refused(ask: Any, fields: Any, reason: str) -> None:
    answer = ask.post("/run", files=[("chain", (None, "retouch")), *fields])
    assert answer.status_code == 422 and reason in answer.json()["error"]


def test_photos_takes_one_photo(ask: Any) -> None:
    answer = ask.post("/photos", files=[("photo", PHOTO), ("photo", PHOTO)])
    assert (answer.status_code, answer.json()["error"][:8]) == (422, "photo: t")
    assert ask.post("/photos", files=[("photo", PHOTO)] * 5).status_code == 400
    assert "no field 'file'" in ask.post("/photos", files=[("file", PHOTO)]).json()["error"]
    answer = ask.post("/jobs", json={"chain": "retouch", "photo": "x", "nmae": "y"})
    assert answer.status_code == 422 and answer.json()["error"].startswith("body.nmae: ")
    answer = ask.post("/jobs", content=b"{", headers={"Content-Type": "application/json"})
    assert answer.json() == {"error": "the body of the request is not JSON"}


# errors with the keys of the values that are wrong


def test_errors_of_a_chain_name_the_values(ask: Any) -> None:
    answer = post(ask, "stages:\n  - upscale: {factor: 99, detail: 2}\n")
    assert answer.status_code == 422
    first, second = answer.json()["problems"]
    assert first == {"key": "stages[0].upscale.factor", "reason": "99: input should be less than or equal to 16"}
    assert second["key"] == "stages[0].upscale.detail"


def test_errors_of_a_constructor_name_the_value_too(
    ask: Any, application: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def run(job: Job) -> None:
        try:
            job.chain.stages[0].build()
        except ChainError as error:
            raise public.public_error(error, job.folder) from error

    monkeypatch.setattr(application.app.state.service.queue, "_run", run)
    answer = post(ask, "stages:\n  - upscale: {factor: 3}\n")
    reason = "these weights enlarge 2 or 4 times, not 3"
    assert answer.status_code == 422
    assert answer.json()["problems"] == [{"key": "stages[0].upscale.factor", "reason": reason}]


def task_of(chain: Chain, folder: Path) -> runner.Task:
    return runner.Task("id", "chain", chain, folder / "a.png", folder / "p.jpg", (8, 8), [], folder)


def test_a_bug_of_a_stage_is_no_fault_of_the_visitor(
    ask: Any, application: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def run(job: Job) -> None:
        try:
            raise StageError("failed: KeyError: 'x'", stage="oil") from KeyError("x")
        except StageError as error:
            raise public.public_error(error, job.folder) from error

    monkeypatch.setattr(application.app.state.service.queue, "_run", run)
    answer = post(ask)
    assert answer.status_code == 500
    said = "the stage 'oil' failed: an error of its own, not of the photo; the server's log says more"
    assert answer.json() == {"error": said}
    assert public.public_error(KeyError("x"), Path("f")).status == 500
    assert public.public_error(MemoryError(), Path("f")).status == 422


def test_a_photo_that_had_to_go_is_said_with_the_limit(ask: Any) -> None:
    answer = ask.post("/jobs", json={"chain": "retouch", "photo": "gone"})
    assert answer.status_code == 404
    assert answer.json()["error"] == (
        "no such photo (any more): at most 3 are kept, each for 10 minutes; send it again"
    )


def test_a_device_or_an_engine_that_is_not_here_is_said_before_the_first_visitor() -> None:
    with pytest.raises(ChainError, match="device 'gpu' is none of"):
        app(device="gpu")
    with pytest.raises(EngineError, match="no engine 'fast'"):
        app(engine="fast")


# what the forms of the page are made of


def test_the_factors_are_those_that_the_weights_know(ask: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    stages = {stage["name"]: stage for stage in ask.get("/stages").json()}
    offered = stages["upscale"]["options"]["factor"]["choices"]
    assert offered[""] == offered["upscale"] == [2, 4]
    assert stages["makeup"]["options"]["reference"]["face"] is True
    described = json.dumps(schema())
    rule = {
        "if": {"properties": {"weights": {"const": None}}},
        "then": {"properties": {"factor": {"enum": [2, 4, None]}}},
    }
    assert json.dumps(rule) in described

    class Upscale(registry.stage("upscale")):  # type: ignore[misc]
        @classmethod
        def choices(cls, weights: str | None = None) -> dict[str, list[int]]:
            if weights == "upscale-detail":
                raise WeightsError("cut")
            return {"factor": [3] if weights else [2, 4]}

    monkeypatch.setattr(registry, "stage", lambda name: Upscale)
    json_schema._choices.cache_clear()
    sizes = {f"upscale-{size}": [3] for size in ("fast", "standard", "best")}
    assert choices("upscale", Upscale) == {"factor": {"": [2, 4], "upscale": [3], **sizes}}
    json_schema._choices.cache_clear()


def test_a_stage_whose_choices_fail_is_listed_without_them(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    class Broken(Stage):
        @classmethod
        def choices(cls, weights: str | None = None) -> dict[str, list[int]]:
            raise KeyError("x")

    monkeypatch.setattr(registry, "stage", lambda name: Broken)
    with caplog.at_level(logging.WARNING):
        assert choices("broken", Broken) == {}
    assert "KeyError" in caplog.text
    assert manifest.entries() and submitted.bundled()
