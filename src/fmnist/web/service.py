"""Answers predictions, from a request's body to the JSON, and bounds how many at a time. Each process has one."""

import asyncio
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import numpy as np
import orjson

from fmnist.images.cutout import CutOut
from fmnist.predictor.predictor import Predictor
from fmnist.predictor.readers import Readers
from fmnist.system import cores
from fmnist.web import bodies
from fmnist.web.batcher import Batcher
from fmnist.web.counters import Counters
from fmnist.web.problems import AGAIN, CLOSE, Problem, overloaded
from fmnist.web.settings import Limits
from fmnist.web.streams import Streams


class Service:
    """A model that answers requests, and the bounds on how many; `workers` share the processor's cores."""

    def __init__(self, predictor: Predictor, limits: Limits, counters: Counters, workers: int) -> None:
        self.predictor, self.limits, self.counters = predictor, limits, counters
        # Above it a picture is like none that the model was trained on; None where the model can't tell.
        self.threshold = predictor.threshold
        self.batcher = Batcher(self._compute, counters.batch)  # for the page too
        count = max(1, min(4, cores() // workers))
        self._threads = ThreadPoolExecutor(count, thread_name_prefix="pictures")  # which wait for the readers
        self.readers = Readers(count, limits.picture_seconds)
        self._read = partial(self.readers.read, image_shape=predictor.image_shape, how=predictor.preparation)
        self.requests = 0  # that are being answered
        self.bytes = 0  # of the bodies that are held
        self.stopping = False  # whether the server goes down, and is no longer ready
        self.closing = False  # whether it has stopped to listen, so that connections end with their next answer
        self.streams = Streams(limits.streams)

    def is_full(self) -> bool:
        """Whether a prediction would be refused now, whatever its size."""
        return self.requests >= self.limits.requests and not self.closing

    def close(self) -> None:
        """End the readers, and let the threads go once they are done."""
        self.batcher.close()
        self._threads.shutdown(wait=False, cancel_futures=True)
        self.readers.close()

    async def predict(self, headers: list[tuple[bytes, bytes]], receive: bodies.Receive) -> bytes:
        """Answer a request with JSON; its body is not received if it is refused.

        Raises:
            Problem: it is not answered.
            bodies.Gone: nobody waits for the answer any more.
        """
        started = time.perf_counter()

        def read(content: bytes, name: str) -> tuple[np.ndarray, CutOut]:
            if (left := self.limits.seconds + started - time.perf_counter()) <= 0:
                raise TimeoutError  # as whoever waited has been told
            return self._read(content, name, seconds=left)

        content_type = bodies.media_type(headers)
        place = Place(self, bodies.announced(headers, self.limits.body_bytes))
        reading = None
        stage = "slow_body"
        try:
            async with asyncio.timeout(self.limits.seconds):
                body = await bodies.read_body(receive, self.limits.body_bytes, place.grow)
                place.begin()
                stage = "timeout"
                arguments = (content_type, body, self.predictor.image_shape, self.limits.pictures, read)
                if len(body) < bodies.QUICK_BYTES and content_type.startswith((bodies.RAW, bodies.JSON)):
                    images, doubts = bodies.pictures(*arguments)
                else:
                    reading = self._threads.submit(bodies.pictures, *arguments)
                    images, doubts = await asyncio.wrap_future(reading)
                answers = await self.batcher.answer(images)
        except TimeoutError as error:
            raise self._late(stage) from error
        finally:
            if reading is None or reading.done() or reading.cancel():
                place.leave()
            else:  # it is free when the thread is
                loop = asyncio.get_running_loop()
                reading.add_done_callback(lambda _: loop.call_soon_threadsafe(place.leave))
        answer = self._json(answers, doubts)
        self.counters.add("pictures", amount=len(images))
        self.counters.took(time.perf_counter() - started)
        return answer

    async def read(self, content: bytes, name: str, **form: Any) -> tuple[np.ndarray, CutOut]:
        """Return a picture file, which messages call by `name`, as the model takes it, and what was found out.

        `form` has an `image_shape` and a preparation `how` that differ from the model's.

        Raises:
            InputError: it is no picture.
        """
        reading = partial(self._read, content, name, **form)
        return await asyncio.get_running_loop().run_in_executor(self._threads, reading)

    def _compute(self, images: np.ndarray) -> np.ndarray:
        """Return the probabilities, and in a last column the unfamiliarity, NaN where the model can't tell."""
        answers = np.full((len(images), len(self.predictor.class_names) + 1), np.nan, np.float32)
        answers[:, :-1] = self.predictor.probabilities(images)
        if self.threshold is not None:
            answers[:, -1] = self.predictor.unfamiliarity(images)
        return answers

    def _late(self, stage: str) -> Problem:
        seconds = f"{self.limits.seconds:g} seconds"
        if stage == "slow_body":
            return Problem(stage, f"the body did not arrive within {seconds}", CLOSE)
        return Problem(stage, f"the answer was not ready within {seconds}", AGAIN)

    def _json(self, answers: np.ndarray, doubts: list[list[str]]) -> bytes:
        names = self.predictor.class_names
        rows: list[dict[str, Any]] = []
        for (*shares, unfamiliarity), doubted in zip(answers.tolist(), doubts, strict=True):
            label = shares.index(max(shares))
            row = {"class": names[label], "label": label, "probability": round(shares[label], 6)}
            row["probabilities"] = [round(share, 6) for share in shares]
            if self.threshold is not None:
                row["unfamiliarity"], row["familiar"] = round(unfamiliarity, 4), unfamiliarity <= self.threshold
            rows.append(row | {"doubts": doubted})
        return orjson.dumps({"predictions": rows})


class Place:
    """What one request holds of the server: bytes, as they come, and a place once its body is there.

    A client that is slow to send so keeps nobody else out: it has a connection, and the bytes that it has sent. Where
    there is no room for a body of `size` bytes, or what comes later, a `Problem` is raised.
    """

    def __init__(self, service: Service, size: int) -> None:
        self._service, self._bytes, self._requests = service, 0, 0
        self._check(size)

    def grow(self, count: int) -> None:
        """Hold bytes that have come."""
        self._check(count)
        self._bytes += count
        self._service.bytes += count

    def begin(self) -> None:
        """Hold a place: the body is there."""
        self._check(0)
        self._requests = 1
        self._service.requests += 1
        self._service.counters.put("in_flight", self._service.requests)

    def leave(self) -> None:
        """Give everything back."""
        self._service.bytes -= self._bytes
        self._service.requests -= self._requests
        self._service.counters.put("in_flight", self._service.requests)

    def _check(self, size: int) -> None:
        service, limits = self._service, self._service.limits
        if service.requests >= limits.requests or service.bytes + size > limits.waiting_bytes:
            # The rest of a long body is better not read at all.
            raise overloaded(CLOSE if self._bytes + size > bodies.QUICK_BYTES else ())
