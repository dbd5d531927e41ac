"""The server for minutes, with eight visitors at once: no crash, no error, and nobody's faces in another's photo."""

from __future__ import annotations

import io
import os
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest
from PIL import Image

from ganchain.tensors import Pixels

pytestmark = pytest.mark.slow
VISITORS, SECONDS, DELETIONS = 8, 300, 1000
ROSE = "stages:\n  - makeup: {look: rose}\n"


@pytest.fixture
def address(tmp_path: Path) -> Iterator[str]:
    command = [sys.executable, "-c", "from ganchain.cli.serve import serve; serve()", "--port", "0"]
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    pipes: Any = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen(command, env=environment, **pipes) as server:
        assert server.stdout is not None and server.stderr is not None
        said = re.search(r"http://\S+", server.stdout.readline())
        assert said is not None
        yield said[0]
        server.send_signal(signal.SIGINT)
        assert server.wait(20) == 0
        assert server.stderr.read() == ""
    assert list(tmp_path.iterdir()) == []


def photos(head: Pixels) -> list[bytes]:
    """The same head in eight sizes."""
    files = []
    for number in range(VISITORS):
        file = io.BytesIO()
        Image.fromarray(head).resize((180 + 30 * number, 160 + 30 * number)).save(file, "PNG")
        files.append(file.getvalue())
    return files


def test_eight_visitors_with_eight_sizes(address: str, small_head: Pixels) -> None:
    late = time.monotonic() + SECONDS

    def visit(photo: bytes) -> Counter[Any]:
        answers = Counter[Any]()
        with httpx.Client(base_url=address, timeout=120) as ask:
            while time.monotonic() < late:
                sent = ask.post("/photos", files={"photo": ("a.png", photo)})
                faces = str(sent.json().get("faces"))
                job = ask.post("/jobs", json={"chain": ROSE, "photo": sent.json().get("id")}).json()
                ask.post("/photos", files={"photo": ("b.png", photo)})
                while job.get("state") in ("waiting", "running"):
                    time.sleep(0.05)
                    job = ask.get(f"/jobs/{job['id']}").json()
                digest = job.get("report", {}).get("pictures", [{}])[0].get("sha256")
                answers[sent.status_code, faces, job.get("state"), digest] += 1
                ask.delete(f"/jobs/{job.get('id')}")
                ask.delete(f"/photos/{sent.json().get('id')}")
        return answers

    with ThreadPoolExecutor(VISITORS) as threads:
        for answers in threads.map(visit, photos(small_head)):
            print(answers.total())
            assert len(answers) == 1, answers  # each time the same face and the same picture
            [(status, _, state, digest)] = answers
            assert (status, state) == (201, "done") and digest


def test_a_thousand_uploads_and_deletions(address: str, small_head: Pixels) -> None:
    def visit(photo: bytes) -> Counter[int]:
        statuses = Counter[int]()
        with httpx.Client(base_url=address, timeout=120) as ask:
            for number in range(DELETIONS // VISITORS):
                sent = ask.post("/photos", files={"photo": ("a.png", photo)})
                statuses[sent.status_code] += 1
                if number % 5 == 0:
                    job = ask.post("/jobs", json={"chain": ROSE, "photo": sent.json()["id"]})
                    statuses[job.status_code] += 1
                    if job.status_code == 202:
                        statuses[ask.delete(f"/jobs/{job.json()['id']}").status_code] += 1
                statuses[ask.delete(f"/photos/{sent.json()['id']}").status_code] += 1
        return statuses

    with ThreadPoolExecutor(VISITORS) as threads:
        total = sum(threads.map(visit, photos(small_head)), Counter[int]())
    print(total)
    assert total.keys() == {201, 202, 204}
    assert total[201] == DELETIONS
