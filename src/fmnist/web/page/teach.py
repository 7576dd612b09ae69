"""Builds the tab on which a user records pictures of classes, trains on them, and sees the model answer at once."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import numpy as np
from fastapi import FastAPI, Request

from fmnist.data.preparation import WHOLE
from fmnist.errors import FmnistError, InputError
from fmnist.images.collection import MAX_CLASSES, MAX_PICTURES, SIDE, Collection, collections, safe_name
from fmnist.predictor.opening import open_model
from fmnist.predictor.predictor import Predictor
from fmnist.run import results
from fmnist.run.directory import read_bounded
from fmnist.web import events
from fmnist.web.batcher import Batcher
from fmnist.web.page.lesson import LEAST_CLASSES, LEAST_PICTURES, Lesson, newest_run
from fmnist.web.page.rendering import asset, panel, render
from fmnist.web.page.try_it import picture_bytes
from fmnist.web.service import Service
from fmnist.web.settings import Settings

_FIRST = "first"  # the name of a collection that nobody named
_SHOWN, _SHOWN_SIDE = 6, 72  # pictures of a class on the page, the newest, and their height and width in pixels


def build(service: Service) -> None:
    """Put the tab's parts onto the page. What they show comes later: names of users are no part of a template."""
    limits = {"limit": service.limits.body_bytes, "side": SIDE}
    panel("teach", html_template=render("teach.html", **limits), js_on_load=asset("teach.js"))


class Teacher:
    """Answers what the tab asks for. Pictures lie in `teach/`, beside the folder of the runs."""

    def __init__(self, service: Service, settings: Settings) -> None:
        self._service, self._runs_dir = service, settings.runs_dir
        self._folder = settings.runs_dir.parent / "teach"
        self._lesson: Lesson | None = None
        self._model: tuple[Path, Predictor, Batcher] | None = None  # which answers, and the path of its run
        self._lock = asyncio.Lock()  # while models are opened and folders changed, one at a time

    def offer(self, app: FastAPI) -> None:
        """Answer at the tab's path."""

        @app.post(events.TEACH, include_in_schema=False)
        async def teach(request: Request) -> dict[str, Any]:
            return await self.answer(events.Teach.model_validate_json(await request.body()))

    @contextlib.asynccontextmanager
    async def life(self, app: FastAPI) -> AsyncIterator[None]:
        """End the training with the server."""
        yield
        if self._lesson:
            self._lesson.stop()
        if self._model:
            self._model[2].close()

    async def answer(self, asked: events.Teach) -> dict[str, Any]:
        """Return what the tab shows after one of its events; `problem` where it cannot be done."""
        try:
            if asked.do == "show" and not asked.name:
                asked.name = next(iter(await asyncio.to_thread(collections, self._folder)), _FIRST)
            collection = Collection(self._folder / safe_name(asked.name))
            if asked.do == "picture":
                pixels = await self._pixels(self._content(asked), SIDE)
                return {"count": await asyncio.to_thread(collection.add, asked.label, pixels)}
            if asked.do == "look":
                return {"live": await self._look(collection, self._content(asked))}
            if asked.do == "progress":
                return await asyncio.to_thread(self._progress, collection)
            async with self._lock:
                await asyncio.to_thread(self._change, collection, asked)
            return await self._state(collection)
        except FmnistError as error:
            return {"problem": str(error)}

    def _change(self, collection: Collection, asked: events.Teach) -> None:
        if asked.do == "class":
            collection.add_class(asked.label)
        elif asked.do == "undo":
            collection.remove_last(asked.label)
        elif asked.do == "remove":
            collection.remove_class(asked.label)
        elif asked.do == "train":
            if self._lesson and self._lesson.running:
                raise InputError(f"'{self._lesson.name}' is being trained; wait until that is done")
            self._lesson = Lesson(collection.folder, self._runs_dir)

    async def _state(self, collection: Collection) -> dict[str, Any]:
        """Return all that the tab shows of a collection."""
        classes = await asyncio.to_thread(collection.classes)
        rows = []
        for name, pictures in classes.items():
            images = [image for path in pictures[-_SHOWN:] if (image := await self._thumbnail(path)) is not None]
            rows.append({"name": name, "count": len(pictures), "pictures": images})
        names = await asyncio.to_thread(collections, self._folder)
        facts = {"folder": collection.folder, "most": MAX_PICTURES, "full": len(classes) >= MAX_CLASSES}
        shown = render("classes.html", classes=rows, **facts)
        told = await asyncio.to_thread(self._progress, collection)
        return {"name": collection.folder.name, "names": names, "classes": shown, **told}

    def _progress(self, collection: Collection) -> dict[str, Any]:
        """Return what the tab shows of a collection's training: how far it is, and the run that answers."""
        lesson = self._lesson if self._lesson and self._lesson.name == collection.folder.name else None
        running = lesson is not None and lesson.running
        share, words = lesson.progress() if lesson and running else (0.0, "")
        run = newest_run(collection.folder, self._runs_dir)
        counts = [len(pictures) for pictures in collection.classes().values()]
        shown = render(
            "lesson.html",
            running=running,
            share=share,
            words=words,
            problem=lesson.problem if lesson and not running else "",
            run=run,
            metrics=results.metrics(run) if run else {},
            lacking=len(counts) < LEAST_CLASSES or min(counts) < LEAST_PICTURES,
            least=(LEAST_CLASSES, LEAST_PICTURES),
        )
        return {"lesson": shown, "running": running, "ready": run is not None}

    async def _look(self, collection: Collection, content: bytes) -> str:
        """Return what the newest model of a collection says about a picture."""
        predictor, batcher = await self._open(collection)
        form = {"image_shape": predictor.image_shape, "how": predictor.preparation}
        image, _ = await self._service.read(content, "this picture", **form)
        shares = (await batcher.answer(image[np.newaxis]))[0].tolist()
        rows = sorted(zip(predictor.class_names, shares, strict=True), key=lambda row: -row[1])
        return render("live.html", rows=[{"name": name, "share": share} for name, share in rows])

    async def _open(self, collection: Collection) -> tuple[Predictor, Batcher]:
        async with self._lock:
            run = await asyncio.to_thread(newest_run, collection.folder, self._runs_dir)
            if run is None:
                raise InputError(f"nothing was trained on '{collection.folder.name}' yet; choose Train")
            if self._model is None or self._model[0] != run.path:
                predictor = await asyncio.to_thread(open_model, run)
                if self._model:
                    self._model[2].close()
                self._model = run.path, predictor, Batcher(predictor.probabilities, lambda count, seconds: None)
            return self._model[1:]

    def _content(self, asked: events.Teach) -> bytes:
        return picture_bytes(asked.picture, self._service.limits.body_bytes)

    async def _pixels(self, content: bytes, side: int) -> np.ndarray:
        """Return a picture file in colour, uint8 (side, side, 3)."""
        image, _ = await self._service.read(content, "this picture", image_shape=(side, side, 3), how=WHOLE)
        return image

    async def _thumbnail(self, path: Path) -> np.ndarray | None:
        try:
            content = await asyncio.to_thread(read_bounded, path, self._service.limits.body_bytes)
            return await self._pixels(content, _SHOWN_SIDE)
        except (FmnistError, OSError):  # training names it
            return None
