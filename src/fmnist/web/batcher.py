"""Asks the model for the pictures of many requests at once. It knows nothing of HTTP.

Nobody waits for a batch to fill: what has come in one turn of the event loop, or while the model was busy, is computed
together. So a lone picture is answered at once, and batches grow with the load.
"""

import asyncio
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np

LARGEST = 64
"""Pictures that are computed together, at most; more in one request go one part after the other."""
# Work that is expected to take less, in seconds, is done where it is: handing it to the thread and back costs more than
# a small network takes for one picture (100 to 700 against 80 µs of processor time), and in a busy process the thread
# has to ask for the interpreter again and again.
_QUICK = 0.01


class Batcher:
    """Asks one model for many, one batch after the other.

    `compute` takes uint8 (N, H, W) and gives float32 (N, classes); `observe` is told each batch's pictures and seconds.
    """

    def __init__(self, compute: Callable[[np.ndarray], np.ndarray], observe: Callable[[int, float], None]) -> None:
        self._compute, self._observe = compute, observe
        self._waiting: deque[tuple[np.ndarray, asyncio.Future[np.ndarray]]] = deque()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="model")
        self._task: asyncio.Task[None] | None = None
        self._began: float | None = None  # the batch that is computed now
        self._seconds_a_picture = float("inf")  # until the first batch, which may be slow, is through

    async def answer(self, images: np.ndarray) -> np.ndarray:
        """Return the answers to uint8 pictures (N, H, W), float32 (N, classes); raise what `compute` raises."""
        loop = asyncio.get_running_loop()
        parts = [images[start : start + LARGEST] for start in range(0, len(images), LARGEST)]
        futures = [loop.create_future() for _ in parts]
        self._waiting.extend(zip(parts, futures, strict=True))
        if self._task is None or self._task.done():
            self._task = loop.create_task(self._work(loop))
        if len(futures) == 1:
            return await futures[0]
        return np.concatenate(await asyncio.gather(*futures))

    def busy_seconds(self) -> float:
        """Return for how long the model has been computing the present batch; 0 if it is idle."""
        began = self._began
        return 0.0 if began is None else time.perf_counter() - began

    def close(self) -> None:
        """Let the thread go once it is done."""
        self._thread.shutdown(wait=False)

    async def _work(self, loop: asyncio.AbstractEventLoop) -> None:
        while together := self._gather():
            parts = [images for images, _ in together]
            try:
                if sum(map(len, parts)) * self._seconds_a_picture < _QUICK:
                    answers = self._run(parts)
                else:
                    answers = await loop.run_in_executor(self._thread, self._run, parts)
            except Exception as error:  # whoever asked is told
                for _, future in together:
                    if not future.done():
                        future.set_exception(error)
                continue
            start = 0
            for images, future in together:
                if not future.done():
                    future.set_result(answers[start : start + len(images)])
                start += len(images)
            if self._waiting:
                await asyncio.sleep(0)  # whoever else has come belongs into the next batch

    def _gather(self) -> list[tuple[np.ndarray, asyncio.Future[np.ndarray]]]:
        """Take what fits into a batch from the front; who no longer waits is left out."""
        together, count = [], 0
        while self._waiting and count + len(self._waiting[0][0]) <= LARGEST:
            images, future = self._waiting.popleft()
            if not future.done():
                together.append((images, future))
                count += len(images)
        return together

    def _run(self, parts: list[np.ndarray]) -> np.ndarray:
        images = parts[0] if len(parts) == 1 else np.concatenate(parts)
        started = self._began = time.perf_counter()
        try:
            answers = self._compute(images)
        finally:
            self._began = None
        seconds = time.perf_counter() - started
        self._seconds_a_picture = seconds / len(images)
        self._observe(len(images), seconds)
        return answers
