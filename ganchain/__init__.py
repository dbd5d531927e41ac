"""ganchain: edit the faces in photos by a chain of stages.

>>> import ganchain
>>> ganchain.Pipeline.from_yaml("portrait")("photo.jpg").save("character.png")
>>> ganchain.run_batch("portrait", ["photos/"], "characters/")
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from ganchain._version import VERSION as __version__
from ganchain.errors import (
    ChainError,
    EngineError,
    FaceError,
    GanchainError,
    OptionError,
    PhotoError,
    StageError,
    VideoError,
    WeightsError,
)

if TYPE_CHECKING:
    from ganchain.batch import run_batch
    from ganchain.pipeline.pipeline import Pipeline
    from ganchain.pipeline.result import Result
    from ganchain.stage import Stage

__all__ = [
    "ChainError",
    "EngineError",
    "FaceError",
    "GanchainError",
    "OptionError",
    "PhotoError",
    "Pipeline",
    "Result",
    "Stage",
    "StageError",
    "VideoError",
    "WeightsError",
    "__version__",
    "run_batch",
]

_LAZY = {  # torch takes a second, and ``ganchain --help`` does not need it
    "Pipeline": "ganchain.pipeline.pipeline",
    "Result": "ganchain.pipeline.result",
    "Stage": "ganchain.stage",
    "run_batch": "ganchain.batch",
}


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used."""
    if name in _LAZY:
        return getattr(import_module(_LAZY[name]), name)
    raise AttributeError(f"module 'ganchain' has no attribute {name!r}")
