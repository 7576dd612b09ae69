"""Starts a Chromium, such as Debian has it, with a camera of its own, and uses the tab Teach as a person does."""

import os
import shutil
from pathlib import Path


def find() -> str | None:
    """Return the path of the browser, if there is one."""
    return next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


def start(playwright, video: Path | None = None):
    """Start it; its camera shows a video, or else a pattern of Chromium's own."""
    options = ["--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream"]
    options += [f"--use-file-for-fake-video-capture={video}"] if video else []
    options += ["--no-sandbox"] if os.geteuid() == 0 else []
    return playwright.chromium.launch(executable_path=find(), args=options)


def open_teach(page, address: str) -> None:
    """Open the tab Teach, and wait until it shows what is there."""
    page.goto(address)
    page.get_by_role("tab", name="Teach").click(timeout=60_000)
    page.locator("#teach .classes > *").first.wait_for(timeout=60_000)


def record(page, thing: str, count: int) -> None:
    """Make a class, and hold its button until it has so many pictures."""
    page.get_by_label("New class").fill(thing)
    page.keyboard.press("Enter")
    button = page.get_by_role("button", name=f"Hold to record {thing}")
    button.hover()
    page.mouse.down()
    page.wait_for_function("([thing, count]) => counted(thing) >= count", arg=[thing, count], timeout=60_000)
    page.mouse.up()


COUNTED = """counted = (thing) => Number(
    document.querySelector(`#teach [data-label="${thing}"] .count`)?.textContent)"""
"""A script for the page that says how many pictures of a class it shows."""
