"""Orders of visitors: a chain, a photo, and the files that the chain names."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

from fastapi.exceptions import HTTPException

from ganchain import chains
from ganchain.chains import Chain
from ganchain.errors import GanchainError
from ganchain.photos.images import Format
from ganchain.web import submitted, tidy
from ganchain.web.upload import Upload, file_name

FILES = 16  # most files that a chain may name
GONE = "no such photo (any more)"
WORD = re.compile(r"[\w-]+")  # the name of a bundled chain, as opposed to YAML


class Parsed(NamedTuple):
    """The chain of an order: its name, itself, its text as YAML, and whether it is a bundled one."""

    name: str
    chain: Chain
    text: str
    bundled: bool


@dataclass(frozen=True)
class Order:
    """A visitor's order for a job.

    Attributes:
        chain: the name of a bundled chain, or a chain in YAML or JSON.
        name: the name of a chain in YAML or JSON.
        upload: the photo.
        files: the uploads that the chain names, by their names in it.
        format: the format of the pictures, in place of the chain's.
    """

    chain: str
    name: str
    upload: Upload
    files: Mapping[str, Upload]
    format: Format | None = None

    def check_number(self) -> None:
        """Refuse too many files."""
        if len(self.files) > FILES:
            raise GanchainError(f"a chain with more than {FILES} files is not taken here")

    def parse(self, folder: Path) -> Parsed:
        """Read and check the chain, whose files are put into ``folder``.

        Raises:
            ChainError: the chain is wrong, or has parts that are not allowed here.
        """
        chain = self.chain_of(folder)
        text = tidy.tidied(self._text, self.format)
        if self.format:
            chain = replace(chain, output=chain.output.model_copy(update={"format": self.format}))
        return Parsed(self._name, chain, text, self._bundled and not self.format)

    def chain_of(self, folder: Path) -> Chain:
        """Read and check the chain alone; errors as of ``parse``."""
        for file, upload in self.files.items():
            _put(upload.path, folder / file_name(file))
        return submitted.parse(self._text, f"{self._name}.yaml", folder)

    @property
    def _bundled(self) -> bool:
        return bool(WORD.fullmatch(self.chain.strip()))

    @property
    def _name(self) -> str:
        if self._bundled:
            return self.chain.strip()
        return f"my-{self.name}" if self.name in chains.bundled() else self.name  # the name of another chain

    @property
    def _text(self) -> str:
        return submitted.text_of(self.chain.strip()) if self._bundled else self.chain


def _put(source: Path, target: Path) -> None:
    """Link the file ``source`` under another name, or copy it if the file system has no links."""
    target.unlink(missing_ok=True)
    try:
        os.link(source, target)
    except FileNotFoundError:
        raise HTTPException(404, GONE) from None  # deleted in the meantime
    except OSError:
        shutil.copyfile(source, target)
