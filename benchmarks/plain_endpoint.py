"""A simple prediction endpoint to compare with: FastAPI and ONNX Runtime, no batching, no bounds.

MODEL=model.onnx uvicorn --app-dir benchmarks plain_endpoint:app
"""

import os

import numpy as np
import onnxruntime
from fastapi import FastAPI, Request

app = FastAPI()
session = onnxruntime.InferenceSession(os.environ["MODEL"], providers=["CPUExecutionProvider"])
name = session.get_inputs()[0].name


@app.post("/api/v1/predict")
async def predict(request: Request) -> dict:
    images = np.frombuffer(await request.body(), np.uint8).reshape(-1, 28, 28, 1)
    probabilities = session.run(None, {name: images})[0]
    return {"predictions": [{"label": int(row.argmax()), "probabilities": row.tolist()} for row in probabilities]}


@app.get("/readyz")
async def ready() -> dict:
    return {"status": "ready"}
