"""Files appear whole or not at all; digests are those of what lies there now."""

from __future__ import annotations

import subprocess
import sys
from hashlib import sha256
from pathlib import Path

import pytest

from ganchain import files


def test_a_file_is_replaced_whole(tmp_path: Path) -> None:
    path = tmp_path / "new" / "folder" / "a.bin"
    files.write(path, b"first")
    with files.replaced(path, "batch-") as file:
        file.write(b"second")
        file.flush()
        assert path.read_bytes() == b"first"
        (part,) = set(path.parent.iterdir()) - {path}
        assert part.name.startswith(".batch-") and part.name.endswith(".part")
    assert path.read_bytes() == b"second" and list(path.parent.iterdir()) == [path]
    files.write(path, "ä")
    assert path.read_bytes() == "ä".encode()


@pytest.mark.parametrize("kind", [OSError, KeyboardInterrupt])
def test_a_file_that_fails_leaves_what_was_there(tmp_path: Path, kind: type[BaseException]) -> None:
    path = tmp_path / "a.bin"
    path.write_bytes(b"first")
    with pytest.raises(kind), files.replaced(path) as file:
        file.write(b"half")
        raise kind
    assert path.read_bytes() == b"first" and list(tmp_path.iterdir()) == [path]
    with pytest.raises(OSError):
        files.write(path / "below a file", b"")


def test_digests(tmp_path: Path) -> None:
    path = tmp_path / "a.bin"
    for content in (b"", b"one", b"two", b"x" * 3_000_000):
        files.write(path, content)
        assert files.sha256(path) == sha256(content).hexdigest()
    assert files.sha256_of_texts("a", "\udcff") == sha256(b"a\n\xed\xb3\xbf").hexdigest()


def test_an_unchanged_file_is_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.bin"
    path.write_bytes(b"one")
    digest = files.sha256(path)
    monkeypatch.setattr(Path, "open", lambda *_: pytest.fail("it is read again"))
    assert files.sha256(path) == digest


@pytest.mark.slow
def test_the_module_imports_no_other(tmp_path: Path) -> None:
    code = "import sys, ganchain.files; print({'torch', 'numpy', 'pydantic'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
