"""A server for the tests, without a socket: a model that is counted, and requests to it."""

import asyncio
import contextlib
import hashlib
import io
import json
import threading

import httpx
import numpy as np
from PIL import Image

from fmnist.evaluation.evaluate import scores
from fmnist.predictor.predictor import Predictor
from fmnist.run.directory import RunDirectory, write_json
from fmnist.web import Limits, Settings
from fmnist.web.counters import Counters
from fmnist.web.listener import bind, listen
from fmnist.web.server import application, open_predictor

NAMES = tuple(f"class {number}" for number in range(10))
RAW, JSON = {"content-type": "application/octet-stream"}, {"content-type": "application/json"}


class Model:
    """Names the tenth of the picture's height in which it is brightest; counts how often it is asked, and can wait."""

    def __init__(self):
        self.sizes, self.go, self.error = [], threading.Event(), None
        self.go.set()

    def __call__(self, batch):
        self.go.wait(10)
        if self.error:
            raise self.error
        self.sizes.append(len(batch))
        rows = batch[..., 0].astype(np.float64).mean(axis=2)[:, :20].reshape(len(batch), 10, 2).mean(axis=2)
        shares = np.exp(rows / 16)
        return (shares / shares.sum(axis=1, keepdims=True)).astype(np.float32)


def bright(label):
    """Return a picture of a class, uint8 (28, 28)."""
    image = np.zeros((28, 28), np.uint8)
    image[2 * label : 2 * label + 2] = 255
    return image


def png(image):
    file = io.BytesIO()
    Image.fromarray(np.squeeze(image)).save(file, "PNG")
    return file.getvalue()


class Server:
    """The whole application, asked in this process."""

    def __init__(self, limits=None, page=False, counters=None, predictor=None, **settings):
        self.model = Model()
        bars = Predictor(self.model, "litert", NAMES, (28, 28, 1), {"run": "tried"}, batch_size=64)
        self.predictor = predictor or bars
        self.settings = Settings("tried", page=page, limits=limits or Limits(), **settings)
        self.counters = counters or Counters()
        self.guard, self.service = application(self.settings, self.predictor, self.counters)

    def client(self, host="127.0.0.1:7860"):
        transport = httpx.ASGITransport(self.guard, raise_app_exceptions=False)
        return httpx.AsyncClient(transport=transport, base_url=f"http://{host}")

    def ask(self, method, path, host="127.0.0.1:7860", **options):
        async def request():
            async with self.client(host) as client:
                return await client.request(method, path, **options)

        return asyncio.run(request())

    def predict(self, **options):
        return self.ask("POST", "/api/v1/predict", **options)

    def labels(self, **options):
        answer = self.predict(**options)
        assert answer.status_code == 200, answer.text
        return [row["label"] for row in answer.json()["predictions"]]


@contextlib.contextmanager
def listening(settings):
    """Answer at a free port, in a thread; yield the page's address."""
    import uvicorn

    guard, _ = application(settings, open_predictor(settings))
    server = uvicorn.Server(uvicorn.Config(guard, ws="none", log_level="error", timeout_graceful_shutdown=1))
    with bind("127.0.0.1", 0) as listener:
        listen(listener)
        port = listener.getsockname()[1]
        thread = threading.Thread(target=server.run, args=([listener],), daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{port}/"
        server.should_exit = True
        thread.join(20)


async def asgi(app, headers, receive, path="/api/v1/predict", method="POST"):
    """Send a request of which the test makes up how its body arrives; return status, headers and body."""
    messages = []

    async def send(message):
        messages.append(message)

    scope = {
        "type": "http", "method": method, "path": path, "raw_path": path.encode(), "query_string": b"", "root_path": "",
        "headers": [(b"host", b"127.0.0.1"), *headers], "scheme": "http", "http_version": "1.1",
        "server": ("127.0.0.1", 80), "client": ("127.0.0.1", 1), "asgi": {"version": "3.0", "spec_version": "2.3"},
    }  # fmt: skip
    await app(scope, receive, send)
    body = b"".join(message.get("body", b"") for message in messages[1:])
    return messages[0]["status"], dict(messages[0]["headers"]), json.loads(body)


def write_onnx(path):
    """Write a model that does as `Model` does, as an ONNX file."""
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    weights = np.zeros((784, 10), np.float32)
    for label in range(10):
        weights[56 * label : 56 * (label + 1), label] = 1 / 56 / 16
    nodes = [
        helper.make_node("Cast", ["image"], ["floats"], to=TensorProto.FLOAT),
        helper.make_node("Flatten", ["floats"], ["flat"]),
        helper.make_node("MatMul", ["flat", "weights"], ["logits"]),
        helper.make_node("Softmax", ["logits"], ["probabilities"], axis=1),
    ]
    graph = helper.make_graph(
        nodes,
        "bars",
        [helper.make_tensor_value_info("image", TensorProto.UINT8, ["N", 28, 28, 1])],
        [helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["N", 10])],
        [numpy_helper.from_array(weights, "weights")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.save(model, path)
    return path


def made_up_run(folder, name, labels, accuracy, class_names=NAMES):
    """Write a run's files, as far as the page shows them: settings, history, test results, an exported file."""
    run = RunDirectory(folder / name)
    run.exports.mkdir(parents=True)
    rng = np.random.default_rng(sum(name.encode()))
    said = np.where(rng.random(len(labels)) < accuracy, labels, (labels + 1) % 10)
    probabilities = np.eye(10)[said] * 0.9 + 0.01
    np.savez(run.predictions, probabilities=probabilities, labels=labels)
    write_json(run.metrics, scores(probabilities, labels, tuple(class_names)))
    dataset = {"class_names": list(class_names), "image_shape": [28, 28]}
    training = {"epochs": 2, "seed": sum(name.encode())}
    write_json(run.config, {"preset": "fast", "parameters": 5, "training": training, "dataset": dataset})
    run.history.write_text(
        "epoch,train_loss,val_loss,train_accuracy,val_accuracy\n1,.5,.6,.8,.7\n2,.3,.5,.9,.8\n", encoding="utf-8"
    )
    model = write_onnx(run.exports / "model.onnx")
    row = {"format": "onnx", "file": model.name, "sha256": hashlib.sha256(model.read_bytes()).hexdigest()}
    row |= {"bytes": model.stat().st_size, "accuracy": accuracy, "agreement": 1.0, "passed": True}
    write_json(run.exports_index, {"model_sha256": "0" * 64, "files": [row]})
    return run
