"""The Dockerfile cannot be built here; what can be checked of it without Docker is."""

import re
import shlex
from pathlib import Path

import click

ROOT = Path(__file__).parents[2]


def instructions():
    text = re.sub(r"^#.*\n", "", (ROOT / "Dockerfile").read_text("utf-8"), flags=re.MULTILINE).replace("\\\n", " ")
    return [tuple(line.split(None, 1)) for line in text.splitlines() if line.strip()]


def values(name):
    return [value for instruction, value in instructions() if instruction == name]


def test_it_is_slim_pinned_and_without_rights():
    assert all(re.match(r"python:3\.1[123]-slim( AS build)?$", value) for value in values("FROM"))
    assert values("USER") == ["10001"]
    assert any("useradd" in value and "--uid 10001" in value for value in values("RUN"))
    last = [instruction for instruction, _ in instructions()][-1]
    assert last == "CMD"
    assert not values("ADD")
    assert "--require-hashes -r requirements-serve.lock" in "\n".join(values("RUN"))


def test_what_it_copies_is_let_through():
    allowed = {line[1:] for line in (ROOT / ".dockerignore").read_text("utf-8").splitlines() if line[:1] == "!"}
    copied = {word for value in values("COPY") if "--from" not in value for word in shlex.split(value)[:-1]}
    assert copied == allowed
    assert all((ROOT / name).exists() for name in copied)


def test_its_command_is_one_of_ours():
    from fmnist.cli.serve import command

    program, name, *options = [*eval_list(values("ENTRYPOINT")[0]), *eval_list(values("CMD")[0])]
    assert (program, name) == ("fmnist", "serve")
    with click.Context(command, resilient_parsing=True) as context:  # there is no run here
        command.parse_args(context, options)
        assert context.params["host"] == "0.0.0.0"
        assert context.params["model"] == "latest"


def eval_list(text):
    assert text.startswith("["), "the exec form, so that signals arrive"
    return shlex.split(text.strip("[]").replace(",", " "))


def test_its_lock_has_the_same_versions_and_no_framework():
    def pins(name):
        text = (ROOT / name).read_text("utf-8")
        assert "://" not in text
        return set(re.findall(r"^([a-z0-9][a-z0-9._-]*==[^ ;\\]+)", text, re.MULTILINE))

    small, whole = pins("requirements-serve.lock"), pins("requirements.lock")
    assert small
    assert small <= whole
    names = {pin.partition("==")[0] for pin in small}
    assert {"fastapi", "gradio", "onnxruntime", "ai-edge-litert"} <= names
    assert not names & {"tensorflow", "tensorflow-cpu", "keras", "torch", "jax", "matplotlib", "scikit-learn"}
