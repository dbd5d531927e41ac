"""Live pages: the time from a frame that is sent to its answer, and where it goes.

    python -m benchmarks.live [CHAIN] [FRAMES]       retouch, 150 frames of 640 x 360 with one face

A client sends each frame, a JPEG, when the one before was answered, as the page does, but at most 30 a second. Figures
are the 10th percentile, the median and the 90th percentile, in ms. The last line is the time of processor that the
process of the chain took for a frame.
"""

from __future__ import annotations

import io
import json
import sys
import threading
import time

import numpy as np
import psutil
from PIL import Image
from websockets.sync.client import connect

from benchmarks.video import moved
from ganchain.chains import load
from ganchain.web.app import app
from ganchain.web.limits import Limits
from ganchain.web.live_seats import Live
from ganchain.web.server import Server, listen

SIZE = (640, 360)
FIRST = 20  # frames that are not counted
STEPS = ("wait", "read", "track", "edit", "write", "all")


def frame(number: int) -> bytes:
    """Draw a frame of a slow move, as a JPEG."""
    out = io.BytesIO()
    Image.fromarray(moved(number, SIZE)).save(out, "JPEG", quality=85)
    return out.getvalue()


def latency(chain: str, frames: int) -> None:
    """Print the figures."""
    pictures = [frame(number) for number in range(60)]
    guard = app(Limits(), live_settings=Live(load(chain), rate=1))  # a rate that leaves the size as it is
    server = Server(guard, guard.app.state.service, lambda: None)
    socket = listen("127.0.0.1", 0)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [socket]})
    thread.start()
    while not server.started:
        time.sleep(0.01)
    rows, used = [], 0.0
    address = f"ws://127.0.0.1:{socket.getsockname()[1]}/live"
    with connect(address, compression=None, max_size=None) as page:
        page.send(json.dumps({"chain": guard.app.state.service.seats.settings.name}))
        page.recv()
        processes = psutil.Process().children()
        for number in range(frames):
            if number == FIRST:
                used = sum(process.cpu_times().user + process.cpu_times().system for process in processes)
            start = time.perf_counter()
            page.send(pictures[number % len(pictures)])
            facts = json.loads(page.recv())
            page.recv()
            spent = time.perf_counter() - start
            rows.append([*(facts["seconds"][step] for step in STEPS), spent])
            time.sleep(max(0.0, 1 / 30 - spent))
        used = sum(process.cpu_times().user + process.cpu_times().system for process in processes) - used
    server.should_exit = True
    thread.join()
    table = 1000 * np.array(rows[FIRST:])
    for name, column in zip([*STEPS, "latency"], table.T, strict=True):
        print(f"{name:8}", *(f"{np.percentile(column, share):6.1f}" for share in (10, 50, 90)))
    print(f"{1000 * used / (frames - FIRST):.0f} ms of processor a frame, {facts['faces']} face, {facts['size']} px")


if __name__ == "__main__":
    given = sys.argv[1:]
    latency(given[0] if given else "retouch", int(given[1]) if len(given) > 1 else 150)
