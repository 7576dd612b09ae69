"""Format hub: a card that the Hub's library reads back, and a model that comes from a stand-in for the Hub."""

import hashlib
import http.server
import json
import os
import shutil
import subprocess
import sys
import tarfile
import threading
from pathlib import Path

import pytest
from huggingface_hub import ModelCard
from PIL import Image
from support.fake_export import Fake

from fmnist.errors import InputError
from fmnist.export.exporter import export_run
from fmnist.predictor.hub import fetch
from fmnist.run.directory import RunDirectory, read_json, write_json

EXPORTED = Path(__file__).parents[1] / "support" / "data" / "runs-0.1.0.tar.xz"
NAME, COMMIT = "someone/garments", "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture
def folder(tiny_run, tiny_dataset, tmp_path, monkeypatch):
    run = RunDirectory(shutil.copytree(tiny_run.path, tmp_path / "tiny"))
    write_json(run.metrics, read_json(run.metrics) | {"accuracy": 0.91234, "accuracy_interval": [0.9, 0.92]})
    (run.plots / "confusion.png").unlink()
    Fake(monkeypatch, tiny_dataset)
    assert export_run(run, tiny_dataset, ("hub",))["written"] == ["hub"]
    return run.exports / "hub"


def test_the_card_has_the_scores_in_the_hubs_form(folder):
    card = ModelCard((folder / "README.md").read_text("utf-8"))
    scores = {result.metric_type: result.metric_value for result in card.data.eval_results}
    assert scores["accuracy"] == 0.91234 and 0 < scores["f1"] <= 1
    assert (
        {result.task_type for result in card.data.eval_results} == {card.data.pipeline_tag} == {"image-classification"}
    )
    # The run's data is not the official one: no data set of the Hub is claimed.
    assert card.data.datasets is None and card.data.eval_results[0].dataset_type == "own"
    assert "91.23% of 200 test images" in card.text and "90.00% to 92.00%" in card.text


def test_the_card_names_every_file_with_its_hash_and_shows_the_picture(folder):
    text = (folder / "README.md").read_text("utf-8")
    there = {path.name for path in folder.iterdir()}
    assert there == {"README.md", "config.json", "curves.png", "model.keras", "model.tflite"}
    for name in there - {"README.md"}:
        assert f"| `{hashlib.sha256((folder / name).read_bytes()).hexdigest()}` |" in text
    assert "](curves.png)" in text and "](confusion.png)" not in text


@pytest.fixture
def hub():
    """The Hub's two requests for a file, on loopback: its facts in headers, and its bytes."""
    with tarfile.open(EXPORTED) as archive:
        content = next(archive.extractfile(one).read() for one in archive if one.name.endswith("/model.tflite"))
    asked = []

    class Hub(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append((self.command, self.path))
            known = self.path in {f"/{NAME}/resolve/{revision}/model.tflite" for revision in ("main", "v1", COMMIT)}
            self.send_response(200 if known else 404)
            if known:
                self.send_header("ETag", f'"{hashlib.sha256(content).hexdigest()}"')
                self.send_header("X-Repo-Commit", COMMIT)
            else:
                self.send_header("X-Error-Code", "RepoNotFound")
            self.send_header("Content-Length", str(len(content) if known else 0))
            self.end_headers()
            if known and self.command == "GET":
                self.wfile.write(content)

        do_HEAD = do_GET

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}", asked
    server.shutdown()
    server.server_close()


def test_a_model_comes_from_the_hub_once(hub, tmp_path):
    address, asked = hub
    Image.new("L", (28, 28)).save(tmp_path / "a.png")

    def predict(model, **variables):
        own = {"HF_ENDPOINT": address, "HF_HOME": str(tmp_path / "cache")}
        own |= {"FMNIST_OFFLINE": "0", "HF_HUB_OFFLINE": "0", "HF_HUB_ETAG_TIMEOUT": "60"} | variables
        words = [sys.executable, "-m", "fmnist", "predict", model, str(tmp_path / "a.png"), "--json"]
        return subprocess.run(words, env=os.environ | own, capture_output=True, text=True)

    done = predict(f"hf://{NAME}")
    assert done.returncode == 0, done.stderr
    assert len(json.loads(done.stdout)["predictions"]) == 1
    before = len(asked)
    again = predict(f"hf://{NAME}", FMNIST_OFFLINE="1")
    assert again.stdout == done.stdout and len(asked) == before
    missing = predict("hf://someone/else")
    assert missing.returncode == 2 and "hf://someone/else: the Hub has no such model" in missing.stderr
    offline = predict("hf://someone/else", FMNIST_OFFLINE="1")
    assert offline.returncode == 1 and "is not in the cache, and the Hub cannot be reached" in offline.stderr
    assert {path.split("/resolve/")[0] for _, path in asked} == {f"/{NAME}", "/someone/else"}


@pytest.mark.parametrize("address", ["hf://", "hf://name", "hf://a/b/c", "hf://a/b@", "hf://a/../b"])
def test_an_address_of_another_form_is_refused(address):
    with pytest.raises(InputError, match="expected hf://OWNER/NAME, or hf://OWNER/NAME@REVISION"):
        fetch(address)


def test_only_the_run_of_the_official_data_names_its_data_set(folder, monkeypatch):
    from fmnist.data import sources
    from fmnist.export import hub

    run = RunDirectory(Path(folder).parents[1])
    monkeypatch.setattr(sources, "official_sha256", lambda: read_json(run.environment)["data_sha256"])
    assert hub._dataset(run) == ("zalando-datasets/fashion_mnist", "Fashion-MNIST")
