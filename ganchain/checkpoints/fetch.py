"""Download published checkpoints from their mirrors into the user's cache."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from ganchain.checkpoints import cache, manifest
from ganchain.checkpoints.catalogue import File, published
from ganchain.checkpoints.entries import Entry
from ganchain.checkpoints.importing import import_files
from ganchain.errors import WeightsError, available

TIMEOUT = 30  # seconds a server may be silent
STALE = 24 * 3600  # seconds after which an unfinished download counts as abandoned
MOST = 4 << 30  # bytes of a download whose size is not known
CHUNK = 1 << 16  # bytes


def fetch(key: str, *, offline: bool = False, progress: Callable[[str], Any] | None = None) -> Entry:
    """Download the published checkpoint ``key`` from its mirrors, check its digests and import it.

    Args:
        offline: open no connection, only say what would be needed; also with GANCHAIN_OFFLINE=1.
        progress: gives pooch a progress bar for a file's name.

    Raises:
        WeightsError: unknown key, no connection allowed, no place to write, or no mirror gave the right file.
    """
    entry = manifest.get(key)
    if entry is not None and manifest.problem(key) is None:
        return entry
    if key not in published():
        raise WeightsError(f"no published weights {key!r}; {available(key, published())}")
    checkpoint = published()[key]
    if offline or os.environ.get("GANCHAIN_OFFLINE", "0") not in ("", "0"):
        names = ", ".join(file.name for file in checkpoint.files)
        raise WeightsError(
            f"offline: {key!r} was not fetched. Get {names} from {checkpoint.page} elsewhere, then run: "
            f"ganchain weights import FILE... --as {key}"
        )
    with cache.writing():
        cache.folder().mkdir(parents=True, exist_ok=True)
        for old in cache.folder().glob(".fetch-*"):  # of interrupted runs
            if time.time() - old.stat().st_mtime > STALE:
                shutil.rmtree(old, ignore_errors=True)
        with TemporaryDirectory(prefix=".fetch-", dir=cache.folder(), ignore_cleanup_errors=True) as folder:
            paths = [_download(key, checkpoint.page, file, Path(folder), progress) for file in checkpoint.files]
            return import_files(paths, key)[1]


def _download(key: str, page: str, file: File, folder: Path, progress: Callable[[str], Any] | None) -> Path:
    """Download a file from the first mirror that has the right one.

    Raises:
        WeightsError: no mirror has it; says for each of them why.
    """
    import pooch
    import requests

    pooch.get_logger().setLevel("ERROR")
    failures = []
    for url in file.urls:
        meter: Any = Meter(file.size or MOST, progress(file.name) if progress else None)
        downloader: Any = pooch.HTTPDownloader(meter, CHUNK, timeout=TIMEOUT, hooks={"response": _refuse_insecure})
        try:
            pooch.retrieve(url, known_hash=None, fname=file.name, path=folder, downloader=downloader)
            problem = file.problem(folder / file.name)
        except requests.RequestException as error:
            problem = _reason(error)
        if problem is None:
            return folder / file.name
        (folder / file.name).unlink(missing_ok=True)
        failures.append(f"  {url}: {problem}")
    raise WeightsError(
        f"{file.name} could not be downloaded:\n" + "\n".join(failures) + f"\nIf {page} still offers it, download it "
        f"there and run: ganchain weights import FILE... --as {key}",
        ref=key,
    )


def _reason(error: Any) -> str:
    """Say in a few words why a mirror failed."""
    import requests

    if isinstance(error, requests.Timeout):
        return f"no answer within {TIMEOUT} s"
    if isinstance(error, requests.exceptions.ProxyError):
        return "the proxy lets nothing through"
    if isinstance(error, requests.exceptions.ChunkedEncodingError):
        return "the connection broke"
    if isinstance(error, requests.ConnectionError):
        return "cannot be reached"
    return " ".join(str(error).split())


class Meter:
    """Progress bar for pooch that aborts a download of more than ``most`` bytes."""

    def __init__(self, most: int, bar: Any) -> None:
        self.most, self.bar, self.received = most, bar, 0
        self.total = 0

    def update(self, count: int) -> None:
        """Add ``count`` received bytes.

        Raises:
            requests.RequestException: the file is larger than it may be.
        """
        import requests

        self.received += count
        if self.received > self.most + CHUNK:  # pooch counts whole chunks
            raise requests.RequestException(f"more than the {self.most} bytes it should have")
        if self.bar:
            self.bar.total = self.total
            self.bar.update(count)

    def reset(self) -> None:
        """Begin at 0 again, as pooch does at the end."""
        self.received = 0
        if self.bar:
            self.bar.reset()

    def close(self) -> None:
        """Close the progress bar."""
        if self.bar:
            self.bar.close()


def _refuse_insecure(response: Any, **_: Any) -> None:
    """Refuse a redirect from https to http."""
    import requests

    if response.url.startswith("https:") and response.headers.get("location", "").startswith("http:"):
        raise requests.RequestException("redirects from https to http")
