"""Batches: a chain run over folders of photos in worker processes, resumable, with a record of every photo."""

from __future__ import annotations

from multiprocessing import current_process
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ganchain.errors import ChainError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ganchain.batch.summary import Summary


def run_batch(chain: str | Path, inputs: Sequence[str | Path], out: str | Path, **options: Any) -> Summary:
    """Run a chain over files and folders into the folder ``out``, as ``ganchain batch`` does.

    A script that calls it needs ``if __name__ == "__main__":``, since the worker processes import it.

    Args:
        chain: a YAML file, or the name of a bundled chain.
        options: fields of ``ganchain.batch.options.Options``.

    Raises:
        GanchainError: nothing was begun: the chain, an input, an option or ``out`` is wrong.
    """
    from ganchain.batch.options import Options
    from ganchain.batch.run import batch
    from ganchain.photos.folders import given

    if getattr(current_process(), "_inheriting", False):  # a worker that is only just being set up
        raise ChainError("batch starts workers, which import this script: call it below if __name__ == '__main__':")
    return batch(chain, [given(path) for path in inputs], given(out), Options(**options))
