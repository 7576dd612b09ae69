"""Describes a study's YAML as a JSON Schema, with which editors complete and check it while it is written.

python tests/support/study_schema.py > src/fmnist/study/shipped/study.schema.json
"""

import json
import typing
from typing import Any

from fmnist.config import PRESETS, kinds, leaf_fields, leaf_type
from fmnist.study.definition import MAX_DESCRIPTION, MAX_SEED, MAX_SEEDS, MAX_VARIANTS, REFUSED, SHARED

_TYPES = {int: "integer", float: "number", bool: "boolean", str: "string"}


def json_schema() -> dict[str, Any]:
    """Return the schema (draft 2020-12): the fields of a study, and every setting with its help, range and choices.

    What spans several settings only `read_study` tells, such as a variant that is the same as another.
    """
    settings = [name for name in leaf_fields() if name not in REFUSED]
    sentence = {"type": "string", "maxLength": MAX_DESCRIPTION}
    seed = {"type": "integer", "minimum": 0, "maximum": MAX_SEED}
    fields = {
        "description": {"description": "The question it answers, one sentence."} | sentence,
        "preset": {"description": "The preset that the baseline starts from.", "enum": list(PRESETS)},
        "settings": {"description": "Where the baseline differs from the preset."} | _settings(settings),
        "seeds": {
            "description": "How many seeds, or a list of them. Each is one run of every variant.",
            "anyOf": [
                {"type": "integer", "minimum": 1, "maximum": MAX_SEEDS},
                {"type": "array", "items": seed, "minItems": 1, "maxItems": MAX_SEEDS, "uniqueItems": True},
            ],
        },
        "corrupted_images": {
            "description": "On how many test images, corrupted in every way, each run is scored; 0 leaves that out.",
            "type": "integer",
            "minimum": 0,
        },
        "variants": {
            "description": "A name for each variant, with the settings that it changes.",
            "type": "object",
            "minProperties": 1,
            "maxProperties": MAX_VARIANTS,
            "propertyNames": {"maxLength": 40},
            "additionalProperties": _settings([name for name in settings if name not in SHARED]),
        },
    }
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "A study: a baseline and its variants, each trained with the same seeds and compared in pairs",
        "type": "object",
        "properties": fields,
        "required": ["variants"],
        "additionalProperties": False,
        "$defs": {name: _setting(name) for name in settings},
    }


def text() -> str:
    """Return the schema as it is published: JSON, indented."""
    return json.dumps(json_schema(), indent=2, ensure_ascii=False) + "\n"


def _settings(names: list[str]) -> dict[str, Any]:
    properties = {name: {"$ref": f"#/$defs/{name}"} for name in names}
    return {"type": "object", "properties": properties, "additionalProperties": False}


def _setting(name: str) -> dict[str, Any]:
    hint, facts = leaf_type(name), leaf_fields()[name][1].metadata
    single, item = kinds(hint)
    limits = {"enum": facts["choices"] and list(facts["choices"]), "minimum": facts["min"], "maximum": facts["max"]}
    limits = {key: limit for key, limit in limits.items() if limit is not None}
    forms: list[dict[str, Any]] = [{"type": _TYPES[kind]} | limits for kind in single]
    forms += [{"type": "array", "items": {"type": _TYPES[item]} | limits}] if item else []
    forms += [{"type": "null"}] if type(None) in typing.get_args(hint) else []
    return {"description": facts["help"]} | (forms[0] if len(forms) == 1 else {"anyOf": forms})


if __name__ == "__main__":
    print(text(), end="")
