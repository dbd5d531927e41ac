"""Requests and answers of the API as pydantic models, of which its OpenAPI is made."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from ganchain.errors import ChainError


class Problem(BaseModel):
    """A wrong value in a chain."""

    key: Annotated[str, Field(description="Where it stands.", examples=["stages[0].upscale.factor"])]
    reason: Annotated[str, Field(description="What is wrong with it.")]


class Error(BaseModel):
    """An error."""

    error: Annotated[str, Field(description="What is wrong, in words for people.")]
    problems: Annotated[list[Problem], Field(description="The wrong values of the chain, where it has any.")] = []


class Face(BaseModel):
    """A detection in a photo."""

    number: Annotated[int | None, Field(description="Its number for `faces: [0, 2]` in a chain; null if left out.")]
    box: Annotated[list[float], Field(description="Left, top, right and bottom in px of the upright photo.")]
    score: float
    left_out: Annotated[str | None, Field(description="Why it is not edited; null if it is.")]


class Photo(BaseModel):
    """A photo that was sent."""

    id: Annotated[str, Field(description="A secret: whoever has it may see the photo.")]
    name: str
    size: Annotated[list[int], Field(description="Width and height in px, upright.")]
    faces: list[Face]


class Video(BaseModel):
    """A video that was sent."""

    id: Annotated[str, Field(description="A secret: whoever has it may run the video.")]
    name: str
    size: Annotated[list[int], Field(description="Width and height in px, upright.")]
    seconds: float
    frames: int
    stills: Annotated[list[Photo], Field(description="Some of its frames, as photos: for drafts.")]


class NewJob(BaseModel):
    """A job to be added to the queue."""

    model_config = ConfigDict(extra="forbid")
    chain: Annotated[str, Field(description="The name of a bundled chain, or a chain in YAML or JSON.")]
    photo: Annotated[str, Field(description="The id of a photo.")] = ""
    video: Annotated[str, Field(description="The id of a video, in place of a photo.")] = ""
    name: Annotated[str, Field(description="The name of a chain in YAML or JSON.")] = "chain"
    files: Annotated[dict[str, str] | None, Field(description="Ids of the files that the chain names, by name.")] = None


class NewDraft(BaseModel):
    """A draft to be drawn."""

    model_config = ConfigDict(extra="forbid")
    chain: Annotated[str, Field(description="The name of a bundled chain, or a chain in YAML or JSON.")]
    photo: Annotated[str, Field(description="The id of a photo.")]
    files: Annotated[dict[str, str] | None, Field(description="Ids of the files that the chain names, by name.")] = None
    side: Annotated[int, Field(ge=32, le=1600, description="Most px of its longest side.")] = 960
    place: Annotated[
        str, Field(max_length=40, description="Where it is shown; a newer draft for the same photo and place counts.")
    ] = ""


class NewChain(BaseModel):
    """A chain to be written as YAML."""

    model_config = ConfigDict(extra="forbid")
    chain: Annotated[str, Field(description="YAML or JSON.")]


class Picture(BaseModel):
    """A picture that a job made."""

    name: str
    bytes: int
    sha256: str


class MadeVideo(Picture):
    """A video that a job made."""

    frames: int
    cuts: int
    tracks: Annotated[int, Field(description="Faces that were followed.")]
    edited: Annotated[int, Field(description="Of them, those that were edited.")]
    notes: Annotated[list[str], Field(description="What else there is to know, as damage, or frames that failed.")]


class Report(BaseModel):
    """The account of a job that is done."""

    status: Annotated[Literal["ok", "no_face"], Field(description="no_face: the picture is the unchanged photo.")]
    chain: str
    photo: str
    size: list[int]
    faces: list[Face]
    seconds: Annotated[dict[str, float], Field(description="By step.")]
    engines: Annotated[dict[str, str], Field(description="By stage.")]
    pictures: list[Picture]
    video: Annotated[MadeVideo | None, Field(description="Of the job of a video.")] = None


class Preview(BaseModel):
    """A picture for the screen."""

    shows: Annotated[str, Field(description="photo, or the stage after which it was made.")]
    address: str


class Job(BaseModel):
    """A job; which fields it has depends on its state."""

    id: Annotated[str, Field(description="A secret: whoever has it may see the job.")]
    state: Literal["waiting", "running", "done", "failed", "cancelled"]
    chain: str
    photo: str
    place: Annotated[int | None, Field(description="How many jobs are before this one; while it waits.")] = None
    stage: Annotated[str | None, Field(description="What is done now; while it runs, as are the next four.")] = None
    step: Annotated[int | None, Field(description="The stage's number, from 1; 0 before the first.")] = None
    steps: Annotated[int | None, Field(description="The number of stages.")] = None
    share: Annotated[float | None, Field(description="How much of it is done, 0 to 1, as far as known.")] = None
    left: Annotated[float | None, Field(description="Seconds that are left, by what such jobs took here.")] = None
    report: Annotated[Report | None, Field(description="When it is done, as are the next four.")] = None
    pictures: Annotated[list[str] | None, Field(description="Their addresses.")] = None
    thumbnails: Annotated[
        list[str] | None, Field(description="Addresses of small copies of the pictures, where faces are written.")
    ] = None
    previews: list[Preview] | None = None
    video: Annotated[str | None, Field(description="The address of the video, where one was sent.")] = None
    yaml: Annotated[str | None, Field(description="The address of the chain as YAML.")] = None
    command: Annotated[str | None, Field(description="The command line that does the same.")] = None
    error: Annotated[str | None, Field(description="When it has failed.")] = None
    problems: Annotated[list[Problem] | None, Field(description="The wrong values of the chain, if any.")] = None


class BundledChain(BaseModel):
    """A chain that comes with ganchain."""

    name: str
    about: str
    yaml: str
    chain: Annotated[dict[str, Any], Field(description="The same in JSON's types.")]


class Stage(BaseModel):
    """A stage and its options."""

    name: str
    about: str
    options: Annotated[
        dict[str, Any],
        Field(
            description="JSON schema by option; `keys`: the weights it takes; `choices`: its values by those weights, "
            '"" being the bundled ones; `face`: the file must show a face; `rare`: for users of other weights.'
        ),
    ]
    alternatives: Annotated[list[list[str]], Field(description="Groups of options of which only one can be set.")]


class Tidied(BaseModel):
    """A chain, in YAML and in JSON's types."""

    yaml: str
    chain: dict[str, Any]
    scale: Annotated[int, Field(description="How many times as wide as the photo its picture is.")]


class Limits(BaseModel):
    """The limits for visitors."""

    upload: Annotated[int, Field(description="Most bytes of a request.")]
    pixels: Annotated[int, Field(description="Most pixels of a photo.")]
    photos: Annotated[int, Field(description="Most photos that are kept at once.")]
    waiting: Annotated[int, Field(description="Most jobs in the queue.")]
    video: Annotated[int, Field(description="Most bytes of a request with a video.")]
    length: Annotated[float, Field(description="Seconds that a video may last; 0 where none are taken.")]
    kept: Annotated[float, Field(description="Seconds until photos and results are deleted that nobody asks for.")]


class Health(BaseModel):
    """The state of the server."""

    status: Literal["ok"] = "ok"
    version: str
    waiting: Annotated[int, Field(description="Jobs in the queue, the running one included.")]


def problems_of(error: Exception) -> list[Problem]:
    """List the wrong values of a chain that an error is about."""
    errors = [error, *error.others] if isinstance(error, ChainError) else []
    return [Problem(key=each.key, reason=each.reason) for each in errors if each.key]
