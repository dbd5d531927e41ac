"""ganchain: one photo through a chain of face edits.

>>> import ganchain
>>> ganchain.Pipeline.from_yaml("portrait")("photo.jpg").save("character.png")
"""

from __future__ import annotations

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
    WeightsError,
)

if TYPE_CHECKING:
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
    "WeightsError",
    "__version__",
]


def __getattr__(name: str) -> Any:
    """Import late: torch takes a second, and ``ganchain --help`` does not need it."""
    if name == "Pipeline":
        from ganchain.pipeline.pipeline import Pipeline

        return Pipeline
    if name == "Result":
        from ganchain.pipeline.result import Result

        return Result
    if name == "Stage":
        from ganchain.stage import Stage

        return Stage
    raise AttributeError(f"module 'ganchain' has no attribute {name!r}")
