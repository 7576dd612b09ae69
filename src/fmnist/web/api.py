"""Defines the REST API: its paths, the short answers, and the description at `/api/v1/openapi.json`."""

import base64
from typing import Annotated, Any

import numpy as np
from fastapi import FastAPI, Request, Response, Security
from fastapi.security import HTTPBearer
from pydantic import BaseModel, Field

from fmnist.data.shape import stored, without_channel
from fmnist.images.cutout import DOUBTS
from fmnist.run.environment import machine
from fmnist.web import reference
from fmnist.web.bodies import FORM, JSON, PIXEL_BYTES, RAW
from fmnist.web.problems import AGAIN, KINDS, Problem
from fmnist.web.service import Service

PREFIX = "/api/v1"
PREDICT, MODEL, DESCRIPTION = f"{PREFIX}/predict", f"{PREFIX}/model", f"{PREFIX}/openapi.json"
HEALTH, READY, METRICS, DOCS = "/healthz", "/readyz", "/metrics", "/docs"
PATHS = frozenset({PREDICT, MODEL, DESCRIPTION, HEALTH, READY, METRICS, DOCS})

COMMON_HEADERS = [
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"x-frame-options", b"DENY"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
]
"""What every answer carries, the page's too."""
HEADERS = [
    *COMMON_HEADERS,
    (b"cache-control", b"no-store"),
    (b"content-security-policy", b"default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'"),
]
"""What every answer of the API carries."""


def json_headers(body: bytes) -> list[tuple[bytes, bytes]]:
    """Return the headers that describe a body of JSON."""
    return [(b"content-type", JSON.encode()), (b"content-length", b"%d" % len(body))]


Share = Annotated[float, Field(ge=0, le=1)]


class ErrorFacts(BaseModel):
    """What was wrong with a request."""

    code: str = Field(description="The kind of error; a kind keeps its code.", json_schema_extra={"enum": list(KINDS)})
    status: int = Field(description="The HTTP status.")
    message: str = Field(description="What came, what was expected, how to mend it.")


class Error(BaseModel):
    """The form of every error."""

    error: ErrorFacts = Field(description="What was wrong.")


class Prediction(BaseModel):
    """What the model sees in one picture."""

    name: str = Field(alias="class", description="Name of the most probable class.")
    label: int = Field(ge=0, description="Its number.")
    probability: Share = Field(description="Of that class.")
    probabilities: list[Share] = Field(description="Of every class, in the order of the model's class names.")
    unfamiliarity: float = Field(
        0, description="How unlike the training pictures it is; only where the model can tell."
    )
    familiar: bool = Field(True, description="Whether that is below the model's threshold.")
    doubts: list[str] = Field(
        description="What there is to doubt about how a picture file was cut out.",
        json_schema_extra={"items": {"enum": list(DOUBTS)}},
    )


class Predictions(BaseModel):
    """The answers, in the order of the pictures."""

    predictions: list[Prediction] = Field(description="One for each picture.")


class Model(BaseModel):
    """The model that answers."""

    format: str = Field(description="Its runtime: litert, onnx or keras.")
    run: str | None = Field(description="Name of the run that it stems from, if it is known.")
    class_names: list[str] = Field(description="In the order of the probabilities.")
    image_shape: list[int] = Field(
        description="Height and width of the pictures it takes, in pixels; in colour 3 follows."
    )
    max_body_bytes: int = Field(description="Of a request's body.")
    max_pictures: int = Field(description="In a request.")


class State(BaseModel):
    """How the server is."""

    status: str = Field(description="`ok` or `ready`.")


def build(service: Service, token: bool) -> FastAPI:
    """Return the API of a model; it raises `Problem`s as they are. That requests need a `token` it only describes."""
    app = FastAPI(
        title="fmnist",
        version=machine()["fmnist"] or "unknown",
        description="Says what a model sees in small pictures. Every error has the same form, with a stable code.",
        openapi_url=DESCRIPTION,
        docs_url=None,  # these pages load scripts from elsewhere; ours is below
        redoc_url=None,
        redirect_slashes=False,
    )
    locked = [Security(HTTPBearer(auto_error=False))] if token else []

    @app.post(
        PREDICT,
        response_model=Predictions,
        responses=_problems(400, 401, 403, 408, 413, 415, 421, 422, 500, 503, 504),
        openapi_extra={"requestBody": {"required": True, "content": _bodies(service)}, "x-commands": _COMMANDS},
        summary="Classify one or many pictures",
        dependencies=locked,
    )
    def predict() -> None:
        raise NotImplementedError  # described only: access.py answers it, since FastAPI takes as long as the model

    @app.get(
        MODEL,
        response_model=Model,
        responses=_problems(400, 401, 421),
        summary="Tell which model answers",
        dependencies=locked,
    )
    async def model() -> dict[str, Any]:
        predictor = service.predictor
        return {
            "format": predictor.format,
            "run": predictor.metadata.get("run"),
            "class_names": list(predictor.class_names),
            "image_shape": stored(predictor.image_shape),
            "max_body_bytes": service.limits.body_bytes,
            "max_pictures": service.limits.pictures,
        }

    @app.get(HEALTH, response_model=State, responses=_problems(400), summary="Tell whether the process lives")
    async def healthz() -> dict[str, str]:
        return {"status": "ok"}

    @app.get(READY, response_model=State, responses=_problems(400, 503), summary="Tell whether requests are taken")
    async def readyz() -> dict[str, str]:
        if service.stopping:
            raise Problem("stopping", "the server is going down", AGAIN)
        if service.batcher.busy_seconds() > service.limits.seconds:
            raise Problem("overloaded", "the model does not come back from the pictures that it was given", AGAIN)
        return {"status": "ready"}

    counts = {200: {"content": {"text/plain": {}}}, **_problems(400, 401, 421)}

    @app.get(
        METRICS,
        responses=counts,
        response_class=Response,
        summary="Tell the counts, in Prometheus's text format",
        dependencies=locked,
    )
    async def metrics() -> Response:
        return Response(service.counters.text(), media_type="text/plain; version=0.0.4; charset=utf-8")

    @app.get(DOCS, include_in_schema=False)
    async def docs(request: Request) -> Response:
        return Response(reference.page(app.openapi(), DESCRIPTION, str(request.base_url)), media_type="text/html")

    return app


# That ask for a prediction, as a user of a terminal has them; the address and the token are set before.
_COMMANDS = [
    f"-F image=@shoe.jpg -F image=@bag.png $SERVER{PREDICT}",
    f"-H 'Content-Type: {RAW}' --data-binary @pixels.raw $SERVER{PREDICT}",
]


def _problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Describe the answers with these statuses."""
    described: dict[int | str, dict[str, Any]] = {}
    for status in statuses:
        meanings = [f"`{code}`: {kind.meaning}" for code, kind in KINDS.items() if kind.status == status]
        described[status] = {"model": Error, "description": "; ".join(meanings)}
    return described


def _bodies(service: Service) -> dict[str, Any]:
    """Describe what a prediction takes, with an example of each form."""
    files = "image/png, image/jpeg, image/webp, image/gif, image/bmp, image/tiff"
    height, width, channels = service.predictor.image_shape
    most, binary = service.limits.pictures, {"type": "string", "format": "binary"}

    def array(least: int, most: int, items: dict[str, Any]) -> dict[str, Any]:
        return {"type": "array", "minItems": least, "maxItems": most, "items": items}

    level = {"type": "integer", "minimum": 0, "maximum": 255}
    row = array(width, width, level if channels == 1 else array(channels, channels, level))
    images = array(1, most, array(height, height, row))
    square = np.zeros((height, width, channels), np.uint8)
    square[:, width // 4 : width - width // 4] = 200
    form = f"{'light on black, ' if channels == 1 else ''}row by row, {PIXEL_BYTES[channels]}"
    return {
        FORM: {
            "schema": {
                "description": "Picture files, each in a part of its own",
                "type": "object",
                "properties": {"image": array(1, most, binary)},
                "required": ["image"],
            },
            "encoding": {"image": {"contentType": files}},
        },
        "image/*": {"schema": {**binary, "description": "One picture file"}},
        RAW: {
            "schema": {
                **binary,
                "description": f"{square.size} bytes a picture, {form}",
            },
            "example": base64.b64encode(square.tobytes()).decode(),
        },
        JSON: {
            "schema": {
                "description": "The same bytes as numbers",
                "type": "object",
                "properties": {"images": images},
                "required": ["images"],
            },
            "example": {"images": [without_channel(square).tolist()]},
        },
    }
