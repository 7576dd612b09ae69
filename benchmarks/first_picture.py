"""Draws the README's picture: a run's curves and diagnosis, beside the phone's page of a run that was exported.

    fmnist train --preset reference --limit 6000 --name first
    fmnist train --name app && fmnist export app --format web
    python benchmarks/first_picture.py first app                # writes docs/pictures/first.png

It needs a Chromium. The photo is the first test picture of its class, enlarged on white.
"""

import base64
import functools
import html
import http.server
import io
import shutil
import threading

import measured
import numpy as np
from PIL import Image

import fmnist
from fmnist.run import results
from fmnist.run.directory import RunDirectory

TARGET = measured.ROOT / "docs" / "pictures" / "first.png"
PHONE = {"width": 390, "height": 844}
WIDTH, SCALE, COLOURS = 1320, 1.5, 200  # CSS pixels; pixels of the picture each; colours it keeps
SENTENCES = 3  # of the diagnosis, after its headline

# Cards on a transparent ground, so that the picture looks the same on a light and on a dark page.
PAGE = """<!doctype html><meta charset="utf-8"><style>
body {{ margin: 0; padding: 4px; width: {width}px; box-sizing: border-box; display: flex; gap: 28px;
  align-items: center;
  font: 17px/1.45 "DejaVu Sans", sans-serif; color: #1b2430; }}
.card {{ background: #fff; border: 2px solid #c4cbd4; border-radius: 18px; }}
.words {{ flex: 1; padding: 22px 28px; }} .words img {{ width: 100%; }}
p {{ margin: 10px 0; }} code {{ font: 15px "DejaVu Sans Mono", monospace; background: #eef1f4; padding: 6px 10px;
  border-radius: 8px; display: inline-block; }}
.phone {{ border-width: 9px; border-color: #2b3440; border-radius: 44px; overflow: hidden; width: 330px; flex: none; }}
.phone img {{ width: 100%; display: block; }}
</style><div class="card words"><img src="{curves}"><p><b>{headline}</b></p>{sentences}
<p><b>What to try first:</b> {title}.</p><code>{command}</code></div>
<div class="card phone"><img src="{phone}"></div>"""


class Quiet(http.server.SimpleHTTPRequestHandler):
    """A static host that does not print what it is asked for."""

    def log_message(self, *_: object) -> None:
        """Print nothing."""


def address(content: bytes, kind: str) -> str:
    """Return a picture as the address of itself."""
    return f"data:image/{kind};base64,{base64.b64encode(content).decode()}"


def photo(name: str) -> bytes:
    """Return a PNG file with the first test picture of a class, dark on white, eight times as large."""
    dataset = fmnist.load_dataset()
    image = dataset.test_images[np.argmax(dataset.test_labels == dataset.class_names.index(name)), ..., 0]
    large = Image.fromarray(255 - image).resize((224, 224), Image.Resampling.BICUBIC)
    sheet, file = Image.new("L", (320, 320), 255), io.BytesIO()
    sheet.paste(large, (48, 48))
    sheet.save(file, "PNG")
    return file.getvalue()


def phone_page(browser, run: RunDirectory, content: bytes) -> bytes:
    """Return what a phone shows once the exported page has answered about a picture."""
    handler = functools.partial(Quiet, directory=str(run.exports / "web"))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    page = browser.new_page(viewport=PHONE, device_scale_factor=2, service_workers="block")
    page.goto(f"http://127.0.0.1:{server.server_port}/")
    page.set_input_files("input[type=file]", files=[{"name": "a.png", "mimeType": "image/png", "buffer": content}])
    page.locator("#found").wait_for(timeout=120_000)
    page.wait_for_timeout(1000)  # bars grow
    shown = page.screenshot()
    server.shutdown()
    return shown


def main(words: list[str] | None = None) -> None:
    """Write the picture."""
    parser = measured.parser(__doc__)
    parser.add_argument("run", type=fmnist.find_run, help="for curves and diagnosis")
    parser.add_argument("app", type=fmnist.find_run, help="exported with --format web")
    parser.add_argument("--garment", default="Ankle boot", help="class of the photo")
    given = parser.parse_args(words)
    found = results.diagnosis(given.run)
    headline, *sentences = found["sentences"]
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": WIDTH, "height": 800}, device_scale_factor=SCALE)
        page.set_content(
            PAGE.format(
                width=WIDTH,
                curves=address((given.run.plots / "curves.svg").read_bytes(), "svg+xml"),
                headline=html.escape(headline),
                sentences="".join(f"<p>{html.escape(sentence)}</p>" for sentence in sentences[1 : 1 + SENTENCES]),
                title=html.escape(found["advice"][0]["title"]),
                command=html.escape(found["advice"][0]["command"]),
                phone=address(phone_page(browser, given.app, photo(given.garment)), "png"),
            )
        )
        content = page.locator("body").screenshot(omit_background=True)
        browser.close()
    picture = Image.open(io.BytesIO(content)).quantize(COLOURS, Image.Quantize.FASTOCTREE)
    TARGET.parent.mkdir(exist_ok=True)
    picture.save(TARGET, optimize=True)
    print(f"{TARGET.relative_to(measured.ROOT)}: {picture.width} × {picture.height}, {TARGET.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
