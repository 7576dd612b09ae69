"""Defines the REST API: its paths, the short answers, and the description at `/api/v1/openapi.json`."""

import base64
from typing import Annotated, Any

from fastapi import FastAPI, Response, Security
from fastapi.security import HTTPBearer
from pydantic import BaseModel, Field

from fmnist.run.environment import machine
from fmnist.web.bodies import FORM, JSON, RAW
from fmnist.web.problems import AGAIN, KINDS, Problem
from fmnist.web.service import Service

PREFIX = "/api/v1"
PREDICT, MODEL, DESCRIPTION = f"{PREFIX}/predict", f"{PREFIX}/model", f"{PREFIX}/openapi.json"
HEALTH, READY, METRICS = "/healthz", "/readyz", "/metrics"
PATHS = frozenset({PREDICT, MODEL, DESCRIPTION, HEALTH, READY, METRICS})

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
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
]
"""What every answer of the API carries."""


def json_headers(body: bytes) -> list[tuple[bytes, bytes]]:
    """Return the headers that describe a body of JSON."""
    return [(b"content-type", JSON.encode()), (b"content-length", b"%d" % len(body))]


Share = Annotated[float, Field(ge=0, le=1)]


class ErrorFacts(BaseModel):
    """What was wrong with a request."""

    code: str = Field(json_schema_extra={"enum": list(KINDS)})
    status: int
    message: str


class Error(BaseModel):
    """The form of every error."""

    error: ErrorFacts


class Prediction(BaseModel):
    """What the model sees in one picture."""

    name: str = Field(alias="class", description="Name of the most probable class.")
    label: int = Field(ge=0, description="Its number.")
    probability: Share
    probabilities: list[Share] = Field(description="Of every class, in the order of the model's class names.")
    unfamiliarity: float = Field(
        0, description="How unlike the training pictures it is; only where the model can tell."
    )
    familiar: bool = Field(True, description="Whether that is below the model's threshold.")


class Predictions(BaseModel):
    """The answers, in the order of the pictures."""

    predictions: list[Prediction]


class Model(BaseModel):
    """The model that answers."""

    format: str = Field(description="Its runtime: litert, onnx or keras.")
    run: str | None = Field(description="Name of the run that it stems from, if it is known.")
    class_names: list[str]
    image_shape: list[int] = Field(description="Height and width of the pictures it takes, in pixels.")
    max_body_bytes: int
    max_pictures: int


class State(BaseModel):
    """How the server is."""

    status: str


def build(service: Service, token: bool) -> FastAPI:
    """Return the API of a model; it raises `Problem`s as they are. That requests need a `token` it only describes."""
    app = FastAPI(
        title="fmnist",
        version=machine()["fmnist"] or "unknown",
        description="Says what a model sees in small pictures. Every error has the same form, with a stable code.",
        openapi_url=DESCRIPTION,
        docs_url=None,  # these pages load scripts from elsewhere
        redoc_url=None,
        redirect_slashes=False,
        dependencies=[Security(HTTPBearer(auto_error=False))] if token else [],
    )

    @app.post(
        PREDICT,
        response_model=Predictions,
        responses=_problems(400, 401, 403, 408, 413, 415, 421, 422, 500, 503, 504),
        openapi_extra={"requestBody": {"required": True, "content": _bodies(service)}},
        summary="Classify one or many pictures",
    )
    def predict() -> None:
        raise NotImplementedError  # described only: access.py answers it, since FastAPI takes as long as the model

    @app.get(MODEL, response_model=Model, responses=_problems(401, 421), summary="Tell which model answers")
    async def model() -> dict[str, Any]:
        predictor = service.predictor
        return {
            "format": predictor.format,
            "run": predictor.metadata.get("run"),
            "class_names": list(predictor.class_names),
            "image_shape": list(predictor.image_shape),
            "max_body_bytes": service.limits.body_bytes,
            "max_pictures": service.limits.pictures,
        }

    @app.get(HEALTH, response_model=State, summary="Tell whether the process lives")
    async def healthz() -> dict[str, str]:
        return {"status": "ok"}

    @app.get(READY, response_model=State, responses=_problems(503), summary="Tell whether requests are taken")
    async def readyz() -> dict[str, str]:
        if service.stopping:
            raise Problem("stopping", "the server is going down", AGAIN)
        return {"status": "ready"}

    @app.get(METRICS, responses={200: {"content": {"text/plain": {}}}}, summary="Counts, in Prometheus's text format")
    async def metrics() -> Response:
        return Response(service.counters.text(), media_type="text/plain; version=0.0.4; charset=utf-8")

    return app


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
    height, width = service.predictor.image_shape
    most, binary = service.limits.pictures, {"type": "string", "format": "binary"}

    def array(least: int, most: int, items: dict[str, Any]) -> dict[str, Any]:
        return {"type": "array", "minItems": least, "maxItems": most, "items": items}

    row = array(width, width, {"type": "integer", "minimum": 0, "maximum": 255})
    images = array(1, most, array(height, height, row))
    square = [[200 if width // 4 <= x < width - width // 4 else 0 for x in range(width)] for _ in range(height)]
    raw = bytes(value for line in square for value in line)
    return {
        FORM: {
            "schema": {"type": "object", "properties": {"image": array(1, most, binary)}, "required": ["image"]},
            "encoding": {"image": {"contentType": files}},
        },
        "image/*": {"schema": binary},
        RAW: {
            "schema": {**binary, "description": f"{height * width} bytes a picture, light on black, row by row"},
            "example": base64.b64encode(raw).decode(),
        },
        JSON: {
            "schema": {"type": "object", "properties": {"images": images}, "required": ["images"]},
            "example": {"images": [square]},
        },
    }
