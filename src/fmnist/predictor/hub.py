"""Fetches a model from the Hugging Face Hub: `hf://OWNER/NAME`, with `@REVISION` for a branch, a tag or a commit."""

import os
import re
from pathlib import Path

from fmnist.errors import InputError, RunError, first_line

PREFIX = "hf://"
FILE = "model.tflite"
_ADDRESS = re.compile(r"hf://([\w.-]+/[\w.-]+)(?:@([\w./-]+))?")


def fetch(address: str) -> Path:
    """Return the model's file in the user's cache, fetched if it is not there yet.

    `HF_ENDPOINT`, `HF_TOKEN`, `HF_HOME` and `HF_HUB_OFFLINE` hold as for every program that uses the Hub; with
    `HF_HUB_OFFLINE=1` or `FMNIST_OFFLINE=1` only the cache is asked.

    Raises:
        InputError: the address has another form, or the Hub has no such model or file.
        RunError: `huggingface_hub` is not installed, or the Hub cannot be reached and the cache has no copy.
    """
    found = _ADDRESS.fullmatch(address)
    if not found:
        raise InputError(f"got '{address}'; expected {PREFIX}OWNER/NAME, or {PREFIX}OWNER/NAME@REVISION")
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    try:
        from huggingface_hub import errors, hf_hub_download
    except ImportError as error:
        raise RunError(
            "a model of the Hub needs 'huggingface_hub'; install it with: pip install 'fmnist[hub]'"
        ) from error
    try:
        offline = os.environ.get("FMNIST_OFFLINE", "0") not in ("", "0")
        return Path(hf_hub_download(found[1], FILE, revision=found[2], local_files_only=offline))
    except errors.LocalEntryNotFoundError as error:  # before the next one, of which it is a kind
        raise RunError(f"{address} is not in the cache, and the Hub cannot be reached: {first_line(error)}") from error
    except (errors.RepositoryNotFoundError, errors.RevisionNotFoundError, errors.EntryNotFoundError) as error:
        raise InputError(f"{address}: the Hub has no such model, revision, or {FILE} in it") from error
    except (errors.HfHubHTTPError, OSError) as error:
        raise RunError(f"{address} cannot be fetched: {first_line(error)}") from error
