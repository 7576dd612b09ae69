"""Measures the tab Teach in Chromium: from the first picture of two things to the first correct answer.

    python benchmarks/teach.py

A camera that plays drawn scenes shows a cup and a book, 20 pictures of each. Writes results/teach.json, docs/teach.md
and its pictures.
"""

import io
import json
import os
import statistics
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

import documents
import measured

from fmnist.run.directory import RunDirectory, read_json
from fmnist.text import plural

THINGS, COUNT = ("cup", "book"), 20
PICTURES = measured.ROOT / "docs" / "pictures"


def main() -> None:
    """Measure, store and write."""
    parser = measured.parser(__doc__ or "")
    parser.add_argument("--rounds", type=int, default=3)
    rows = []
    for _ in range(parser.parse_args().rounds):
        with tempfile.TemporaryDirectory() as name:
            rows.append(teach(Path(name)))
            print(rows[-1], flush=True)
    *_, environment = [row.pop("environment") for row in rows]
    measured.store("teach", {"environment": environment, "pictures": COUNT, "rows": rows})
    documents.write(*PARTS)


def teach(folder: Path) -> dict[str, Any]:
    """Record, train and look, once; return the seconds of each part. The last thing stays before the camera."""
    measured.use_tests()
    from playwright.sync_api import sync_playwright
    from support import chromium, scenes, web_client

    model = web_client.write_onnx(folder / "model.onnx")
    words = [*measured.FMNIST, "serve", str(model), "--port=0", "--json"]
    recording, load = 0.0, os.getloadavg()[0]
    with (
        subprocess.Popen(words, cwd=folder, stdout=subprocess.PIPE, text=True) as server,
        sync_playwright() as playwright,
    ):
        facts = "".join(iter(server.stdout.readline, "}\n")) + "}"  # type: ignore[union-attr]
        for thing in THINGS:
            browser = chromium.start(playwright, scenes.write_video(folder / f"{thing}.mjpeg", thing))
            page = browser.new_page(viewport={"width": 1280, "height": 900})
            page.add_init_script(chromium.COUNTED)
            chromium.open_teach(page, json.loads(facts)["url"])
            began = time.perf_counter()
            chromium.record(page, thing, COUNT)
            recording += time.perf_counter() - began
            if thing != THINGS[-1]:
                browser.close()
        began = time.perf_counter()
        page.get_by_role("button", name="Train").click()
        page.locator("#teach .live .name", has_text=THINGS[-1]).wait_for(timeout=300_000)
        answered = time.perf_counter() - began
        draw(page)
        browser.close()
        server.terminate()
        _, status, usage = os.wait4(server.pid, 0)
        server.returncode = os.waitstatus_to_exitcode(status)
    run = RunDirectory(folder / "runs" / "first-1")
    scores = read_json(run.metrics)
    return {
        "recording_seconds": round(recording, 1),
        "answered_seconds": round(answered, 1),
        "processor_seconds": round(usage.ru_utime + usage.ru_stime, 1),
        "load": round(load, 1),
        "correct": scores["correct"],
        "test_pictures": scores["num_images"],
        "environment": measured.public(read_json(run.environment)),
    }


def draw(page: Any) -> None:
    """Write the pictures of the document, wide and narrow."""
    from PIL import Image

    page.locator("#teach summary").click()
    for name, width in (("teach", 1280), ("teach-narrow", 390)):
        page.set_viewport_size({"width": width, "height": 900})
        page.wait_for_timeout(1000)
        content = page.locator("#teach").screenshot()
        Image.open(io.BytesIO(content)).convert("RGB").save(PICTURES / f"{name}.webp", quality=85, method=6)


def figures() -> list[str]:
    """Write the stored figures as the document has them."""
    result = measured.stored("teach")
    rows = result["rows"]

    def span(key: str, unit: str = "s") -> str:
        values = [row[key] for row in rows]
        spread = f" ({min(values):.0f} to {max(values):.0f})" if len(values) > 1 else ""
        return f"{statistics.median(values):.0f}{spread} {unit}"

    where = f"{measured.machine(result['environment'])}, beside {span('load', 'other processes')} that worked"
    return [
        f"Measured in Chromium with a camera that plays drawn scenes, two classes with {result['pictures']} pictures "
        f"each: {span('recording_seconds')} of recording for both, and {span('answered_seconds')} from *Train* to the "
        f"first correct answer; the server and all that it started took {span('processor_seconds')} of processor time, "
        "its own start included. "
        f"{plural(len(rows), 'round')} on {where}.",
    ]


PARTS = (documents.Part("docs/teach.md", "times: made by benchmarks/teach.py", figures),)


if __name__ == "__main__":
    main()
