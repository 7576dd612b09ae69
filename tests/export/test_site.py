"""Format web: where its runtime comes from, and what lies in the folder. In a browser: test_export_web_browser.py."""

import base64
import hashlib
import io
import json
import re
import shutil
import subprocess
import tarfile
from dataclasses import asdict
from importlib.resources import files

import numpy as np
import pytest
from PIL import Image
from support.fake_export import Fake

from fmnist.data.preparation import METHODS, Preparation
from fmnist.data.shape import stored
from fmnist.doctor import OK
from fmnist.doctor.rundirectory import check_run
from fmnist.errors import InputError, RunError
from fmnist.evaluation.novelty import LOOKS, PLAIN, Novelty
from fmnist.export import runtime, site
from fmnist.export.benchmark import benchmark_run
from fmnist.export.exporter import export_run
from fmnist.images import recipe
from fmnist.images.cutout import DOUBTS, NOTHING
from fmnist.run import schema
from fmnist.run.directory import RunDirectory, read_json

CONTENTS = {"runtime.js": b"export {};", "runtime.wasm": b"\0asm"}
PAGE = files("fmnist.export").joinpath("web")


def archive(members):
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w:gz") as tar:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return file.getvalue()


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A small archive that stands for the package: its hash is the expected one, and the cache is empty."""
    content = archive({runtime.MEMBERS[name]: content for name, content in CONTENTS.items()} | {"../evil": b"x"})
    digest = base64.b64encode(hashlib.sha512(content).digest()).decode()
    monkeypatch.setattr(runtime, "INTEGRITY", f"sha512-{digest}")
    monkeypatch.setenv("FMNIST_CACHE", str(tmp_path / "cache"))
    path = tmp_path / "given.tgz"
    path.write_bytes(content)
    return path


@pytest.fixture
def npm(tmp_path, monkeypatch):
    """Puts a program called npm on the path, and nothing else of that name."""
    folder = tmp_path / "programs"
    folder.mkdir()

    def install(script):
        program = folder / "npm"
        program.write_text(f"#!/bin/sh\nPATH=/bin:/usr/bin\n{script}\n")
        program.chmod(0o755)

    monkeypatch.setenv("PATH", str(folder))
    monkeypatch.delenv("FMNIST_OFFLINE")
    return install


class TestRuntime:
    def test_two_files_of_a_given_archive_and_no_others(self, package):
        assert runtime.load_runtime(package) == CONTENTS
        assert not (package.parent / "evil").exists()

    def test_npm_fetches_it_once(self, package, npm, tmp_path):
        npm(f'echo "$@" >> {tmp_path}/asked; cp {package} {runtime.FILE}')
        assert runtime.load_runtime() == runtime.load_runtime() == CONTENTS
        asked = (tmp_path / "asked").read_text().splitlines()
        assert asked == [f"pack onnxruntime-web@{runtime.VERSION} --ignore-scripts --silent"]

    def test_a_damaged_cache_is_fetched_again(self, package, npm, tmp_path):
        npm(f"cp {package} {runtime.FILE}")
        runtime.load_runtime()
        kept = tmp_path / "cache" / "web-runtime" / runtime.FILE
        kept.write_bytes(kept.read_bytes()[:-1])
        assert runtime.load_runtime() == CONTENTS and kept.read_bytes() == package.read_bytes()

    @pytest.mark.parametrize(
        ("script", "words"),
        [
            (f"echo other > {runtime.FILE}", "has another hash than expected"),
            ("echo npm error E404 >&2; exit 1", "npm could not fetch .*: npm error E404; `npm pack"),
            ("exit 0", "npm could not fetch .*: No such file"),
        ],
    )
    def test_what_npm_can_do_wrong(self, package, npm, tmp_path, script, words):
        npm(script)
        with pytest.raises(RunError, match=words):
            runtime.load_runtime()
        assert not (tmp_path / "cache" / "web-runtime" / runtime.FILE).exists()

    def test_without_npm(self, package, npm):
        with pytest.raises(RunError, match="is not installed; `npm pack onnxruntime-web@.* give it with `web_runtime`"):
            runtime.load_runtime()

    def test_offline_npm_is_not_asked(self, package, npm, monkeypatch):
        npm(f"cp {package} {runtime.FILE}")
        monkeypatch.setenv("FMNIST_OFFLINE", "1")
        with pytest.raises(RunError, match="FMNIST_OFFLINE is set; `npm pack"):
            runtime.load_runtime()

    def test_another_archive_is_refused(self, package):
        package.write_bytes(package.read_bytes() + b"\0")
        with pytest.raises(InputError, match=r"given.tgz is not onnxruntime-web .*: its hash is another; `npm pack"):
            runtime.load_runtime(package)
        with pytest.raises(InputError, match=r"missing.tgz cannot be read: No such file"):
            runtime.load_runtime(package.parent / "missing.tgz")


class TestFolder:
    @pytest.fixture
    def run(self, tiny_run, tmp_path):
        return RunDirectory(shutil.copytree(tiny_run.path, tmp_path / "tiny"))

    @pytest.fixture
    def folder(self, run, package, tiny_dataset, monkeypatch):
        Fake(monkeypatch, tiny_dataset)
        assert export_run(run, tiny_dataset, ("web",), web_runtime=package)["written"] == ["web"]
        return run.exports / "web"

    def test_the_service_worker_keeps_every_file_as_it_is(self, folder):
        worker = (folder / "service-worker.js").read_text("utf-8")
        kept = json.loads(re.search(r"FILES = (\{.*?\});", worker, re.DOTALL)[1])
        here = {path.name for path in folder.iterdir()} - {"service-worker.js"}
        assert {name.replace("./", "index.html") for name in kept} == here
        for name, digest in kept.items():
            content = (folder / name.replace("./", "index.html")).read_bytes()
            assert base64.b64encode(hashlib.sha256(content).digest()).decode() == digest
        assert here >= {"model.onnx", "model.json", "icon.png", *CONTENTS}
        assert re.search(r'VERSION = "[0-9a-f]{16}"', worker)

    def test_the_list_says_what_the_folder_is(self, folder, run):
        (row,) = read_json(run.exports_index)["files"]
        assert (row["format"], row["file"], row["passed"]) == ("web", "web", True)
        assert row["bytes"] == sum(path.stat().st_size for path in folder.iterdir())

    def test_the_rest_of_the_program_copes_with_it(self, folder, run, tiny_dataset):
        assert schema.problems(run) == []
        (check,) = [check for check in check_run(run) if check.name == "exports"]
        assert (check.state, check.text) == (OK, "web: every byte as written")
        with pytest.raises(InputError, match="has no exported files"):  # for Python to measure
            benchmark_run(run, tiny_dataset)

    def test_the_page_knows_what_the_model_and_the_recipe_say(self, folder, tiny_dataset, run):
        facts = read_json(folder / "model.json")
        assert facts["class_names"] == list(tiny_dataset.class_names) and facts["image_shape"] == [28, 28]
        assert facts["familiarity"] == read_json(run.familiarity) and facts["format"] == "web"
        assert facts["recipe"]["OBJECT"] == recipe.OBJECT and facts["recipe"]["SHARPEN"] == 150

    def test_without_the_package_nothing_is_written(self, run, package, tiny_dataset, monkeypatch):
        fake = Fake(monkeypatch, tiny_dataset)
        package.write_bytes(b"")
        with pytest.raises(InputError, match="hash"):
            export_run(run, tiny_dataset, ("onnx", "web"), web_runtime=package)
        assert fake.calls == [] and not run.exports.exists()

    def test_the_command_says_how_to_try_it(self, run, run_cli, package, tiny_data_dir, tiny_dataset, monkeypatch):
        Fake(monkeypatch, tiny_dataset)
        flags = ("--format", "web", "--web-runtime", package, "--data-dir", tiny_data_dir)
        code, out, _ = run_cli("export", run.path, *flags)
        assert code == 0 and f"--directory {run.exports / 'web'}\n" in out


def test_the_recipe_has_no_number_that_the_page_is_not_given():
    used = set(re.findall(r"\bR\.([A-Z]+)\b", PAGE.joinpath("recipe.js").read_text("utf-8")))
    assert used == site.numbers().keys()


def test_the_page_names_no_other_host_and_no_place_on_its_own():
    for part in PAGE.iterdir():
        text = part.read_text("utf-8")
        assert "//" not in re.sub(r"(?m)(^|\s)// .*$", "", text), part.name
        assert not re.search(r"""["'(]/\w""", text), part.name
    policy = re.search(r'Policy" content="([^"]*)"', PAGE.joinpath("index.html").read_text("utf-8"))[1]
    assert "default-src 'none'" in policy and "unsafe-inline" not in policy and "'unsafe-eval'" not in policy


@pytest.mark.skipif(not shutil.which("node"), reason="needs node; in a browser: test_site_browser.py")
@pytest.mark.parametrize(
    ("how", "shape"),
    [
        *((how, (28, 28, 1)) for how in (None, *(Preparation(m, negate) for m in METHODS for negate in (False, True)))),
        *((how, (28, 28, 3)) for how in (None, *map(Preparation, METHODS))),
    ],
)
def test_each_preparation_gives_the_same_pixels_and_doubts_as_in_python(how, shape, tmp_path):
    """Sizes larger, smaller, equal and not square, with every alpha: as `decode` of the page gives them, RGBA."""
    rng = np.random.default_rng(0)
    blank, two = np.full((60, 90, 4), 255, np.uint8), np.full((80, 160, 4), 255, np.uint8)
    two[20:60, 20:60], two[25:70, 90:150], two[..., 3] = 40, 90, 255
    streaks = rng.integers(0, 256, (1, 40, 4), np.uint8).repeat(4, axis=1).repeat(90, axis=0)
    streaks[..., 3] = 255
    own = np.full((28, 28, 4), 255, np.uint8)
    own[6:20, 8:20, :3] = 30
    pictures = [blank, two, streaks, own, 255 - blank]
    for width, height in ((28, 28), (20, 20), (64, 64), (91, 40), (9, 33), (150, 149)):
        pixels = np.full((height, width, 4), rng.integers(0, 256, 4), np.uint8)
        pixels[height // 4 : -height // 4, width // 3 : -width // 4] = rng.integers(0, 256, 4)
        pixels[..., 3] = 255 if width < 60 else np.maximum(pixels[..., 3], 1)
        pictures.append(pixels)
    shutil.copytree(str(PAGE), tmp_path / "page")
    (tmp_path / "package.json").write_text('{"type": "module"}')
    given = [{"width": p.shape[1], "height": p.shape[0], "data": p.ravel().tolist()} for p in pictures]
    words = {"doubts": DOUBTS, "nothing": NOTHING}
    (tmp_path / "given.json").write_text(json.dumps([given, stored(shape), site.numbers(), how and asdict(how), words]))
    (tmp_path / "main.js").write_text(
        """import { readFileSync } from "node:fs";
        import { doubted, prepare } from "./page/recipe.js";
        const [given, shape, numbers, how, words] = JSON.parse(readFileSync("given.json"));
        const pictures = given.map((one) => ({ ...one, channels: 4, data: Uint8Array.from(one.data) }));
        console.log(JSON.stringify(pictures.map((one) => {
            const { levels, found } = prepare(one, shape, numbers, how);
            return [[...levels], found, doubted(found, words)];
        })));"""
    )
    done = subprocess.run(["node", "main.js"], cwd=tmp_path, capture_output=True, text=True)
    assert not done.returncode, done.stderr
    for pixels, (levels, facts, doubts) in zip(pictures, json.loads(done.stdout), strict=True):
        expected, found = recipe.examine(Image.fromarray(pixels, "RGBA"), shape, how)
        np.testing.assert_array_equal(np.reshape(levels, shape), expected, str(pixels.shape))
        assert facts == pytest.approx(asdict(found), rel=1e-4, abs=1e-4) and doubts == found.doubts


@pytest.mark.skipif(not shutil.which("node"), reason="needs node; in a browser: test_site_browser.py")
@pytest.mark.parametrize(
    ("looks", "channels"), [(LOOKS, 1), (((PLAIN, 5),), 1), (LOOKS, 3)], ids=["present", "earlier", "colour"]
)
def test_the_unfamiliarity_is_that_of_python(looks, channels, tmp_path):
    rng = np.random.default_rng(0)
    size = sum(count**2 for _, count in looks)
    roots = np.tril(rng.normal(0, 0.02, (3, size, size))) + 0.1 * np.eye(size)
    known = Novelty.from_dict(Novelty(rng.normal(100, 9, (3, size)), roots, 20.0, 90.0, looks).to_dict())
    facts = known.to_dict()
    if looks[0][0] == PLAIN:
        facts["cells"] = 5
        del facts["looks"]
    shape = (28, 20, channels)
    images = rng.integers(0, 256, (6, *shape), np.uint8) * (rng.random((6, *shape)) < 0.6)
    shutil.copytree(str(PAGE), tmp_path / "page")
    (tmp_path / "package.json").write_text('{"type": "module"}')
    (tmp_path / "given.json").write_text(json.dumps([images.reshape(6, -1).tolist(), stored(shape), facts]))
    (tmp_path / "main.js").write_text(
        """import { readFileSync } from "node:fs";
        import { unfamiliarity } from "./page/familiarity.js";
        const [images, shape, facts] = JSON.parse(readFileSync("given.json"));
        console.log(JSON.stringify(images.map((one) => unfamiliarity(Uint8Array.from(one), shape, facts))));"""
    )
    done = subprocess.run(["node", "main.js"], cwd=tmp_path, capture_output=True, text=True)
    assert not done.returncode, done.stderr
    np.testing.assert_allclose(json.loads(done.stdout), known.unfamiliarity(images), rtol=1e-4, atol=1e-4)
