"""Says what each JSON file of a run holds, as pydantic models; keys of later versions are let through.

Only `schema` imports this file, and only once it checks, since pydantic takes 0.1 s to load.
"""

# ruff: noqa: D101 (FILES says which model is which file's)

from collections.abc import Mapping
from typing import Annotated, Any, Self, TypeVar

from pydantic import AfterValidator, BaseModel, Field, ValidationError, WrapValidator, create_model, model_validator

from fmnist.config import SECTIONS
from fmnist.text import plain


def _shown(value: Any) -> str:
    return "a list" if isinstance(value, list) else "an object" if isinstance(value, dict) else repr(value)[:60]


def _expected(words: str) -> WrapValidator:
    """Say of a value that is refused what was expected, in the same words whatever is wrong with it."""

    def validate(value: Any, handler: Any) -> Any:
        try:
            return handler(value)
        except ValidationError:
            raise ValueError(f"is {_shown(value)}, expected {words}") from None

    return WrapValidator(validate)


def _showable(name: str) -> str:
    if plain(name) != name:
        raise ValueError
    return name


_BOUNDS: dict[str, Any] = {"strict": True, "gt": -(10**15), "lt": 10**15}
_FILE_NAME = r"^(\.{0,2}[^./\\\x00-\x1f]|\.{3})[^/\\\x00-\x1f]*$"  # neither `.` nor `..`
_Text = Annotated[str, Field(strict=True), _expected("text")]
_Name = Annotated[str, Field(strict=True), AfterValidator(_showable), _expected("text without control characters")]
_FileName = Annotated[str, Field(strict=True, pattern=_FILE_NAME), _expected("a file's name without a slash")]
_Flag = Annotated[bool, Field(strict=True), _expected("true or false")]
_Whole = Annotated[int, Field(**_BOUNDS), _expected("a whole number")]
_Number = Annotated[float, Field(**_BOUNDS), _expected("a number")]
_Share = Annotated[float, Field(strict=True, ge=0, le=1), _expected("a number from 0 to 1")]
# A file of 3 MiB can hold a million wrong values: of a list or an object only the first is told.
_T = TypeVar("_T")
_List = Annotated[list[_T], Field(fail_fast=True)]
_Five = Annotated[list[_T], Field(fail_fast=True, min_length=5, max_length=5)]
_Object = Annotated[dict[str, _T], Field(fail_fast=True)]
_Settings = _Object[
    Annotated[_Text | _Flag | _Number | _List[_Number] | None, _expected("text, a number, true or false, or numbers")]
]


class Preparation(BaseModel):
    method: _Text
    negate: _Flag


class Dataset(BaseModel):
    class_names: Annotated[_List[_Name], Field(min_length=2)]
    image_shape: Annotated[_List[Annotated[_Whole, Field(ge=1)]], Field(min_length=2, max_length=3)]
    num_train: _Whole = 0
    num_validation: _Whole = 0
    num_test: _Whole = 0
    preparation: Preparation | None = None


class Config(BaseModel):
    preset: _Text
    parameters: _Whole = 0
    teacher: _Object[_Text | None] = {}
    decisions: _Object[_Whole | _Text] = {}
    dataset: Dataset


class Environment(BaseModel):
    data_sha256: _Object[_Text]
    data_source: _Text
    data_dir: _Text | None = None
    started: _Text = ""
    processor: _Text | None = None
    cores: _Whole | None = None


class Status(BaseModel):
    state: _Text
    epoch: _Whole = 0
    epochs: _Whole = 0
    step: _Whole = 0
    seconds: _Number = 0
    model_epoch: _Whole = 0
    message: _Text = ""


class FirstEpoch(BaseModel):
    segments: _List[Annotated[_List[_Number], Field(min_length=2, max_length=2)]]


class Calibration(BaseModel):
    temperature: Annotated[float, Field(**_BOUNDS | {"gt": 0}), _expected("a number above 0")]


class Scores(BaseModel):
    precision: _Share
    recall: _Share
    f1: _Share


class ClassScores(Scores):
    name: _Name
    support: _Whole


class Metrics(BaseModel):
    accuracy: _Share
    balanced_accuracy: _Share = 0
    loss: _Number
    accuracy_interval: Annotated[_List[_Share], Field(min_length=2, max_length=2)]
    correct: _Whole
    num_images: _Whole
    macro: Scores
    per_class: _List[ClassScores]
    class_names: Annotated[_List[_Name], Field(min_length=2)]
    confusion_matrix: _List[_List[Annotated[_Whole, Field(ge=0)]]]

    @model_validator(mode="after")
    def fit(self) -> Self:
        """Refuse parts that are fine each but do not fit together."""
        count = len(self.class_names)
        if [len(row) for row in self.confusion_matrix] != [count] * count or len(self.per_class) != count:
            raise ValueError(f"its confusion matrix does not fit its {count} classes")
        if sum(map(sum, self.confusion_matrix)) != self.num_images:
            raise ValueError("its confusion matrix does not count its images")
        return self


class CleanScores(BaseModel):
    accuracy: _Share
    ece: _Share
    unfamiliar: _Share | None


class Kind(BaseModel):
    name: _Name
    accuracy: _Five[_Share]
    ece: _Five[_Share]
    unfamiliar: _Five[_Share | None]


class Slice(BaseModel):
    traits: Annotated[_List[_Name], Field(min_length=1)]
    accuracy: _Share
    num_images: _Whole


class Slices(BaseModel):
    accuracy: _Share
    num_images: _Whole
    failing: _List[Slice]


class Robustness(BaseModel):
    accuracy: _Share
    clean: CleanScores
    kinds: Annotated[_List[Kind], Field(min_length=1)]
    num_images: _Whole
    slices: Slices


class Moment(BaseModel):
    epoch: _Whole
    low: _Whole
    high: _Whole


class Diagnosis(BaseModel):
    verdict: _Text
    gap_opens: Moment | None
    turns: Moment | None
    trend: _List[tuple[_Number, _Number]] = []
    sentences: _List[_Text]
    advice: _List[_Object[Annotated[_Text | _Settings, _expected("text or settings")]]]
    notes: _List[_Text]


class Export(BaseModel):
    format: _Text
    file: _FileName
    bytes: _Whole
    sha256: _Text
    passed: _Flag
    accuracy: _Share = 0
    agreement: _Share = 0
    temperature: _Number = 1


class Exports(BaseModel):
    model_sha256: _Text
    files: _List[Export]


class Row(BaseModel):
    format: _Text
    images_per_second: _Number = 0
    latency_median_ms: _Number = 0


class Benchmark(BaseModel):
    environment: _Object[Annotated[_Text | _Flag | _Number | None, _expected("text, a number, true or false")]]
    rows: Annotated[_List[Row], Field(min_length=1)]


class Tracked(BaseModel):
    run_id: _Text
    experiment_id: _Text


_SECTIONS: dict[str, Any] = {name: (_Settings, {}) for name in SECTIONS}
FILES: dict[str, type[BaseModel]] = {
    "config.json": create_model("ConfigWithSettings", __base__=Config, **_SECTIONS),
    "environment.json": Environment,
    "status.json": Status,
    "first_epoch.json": FirstEpoch,
    "calibration.json": Calibration,
    "metrics.json": Metrics,
    "robustness.json": Robustness,
    "diagnosis.json": Diagnosis,
    "exports.json": Exports,
    "benchmark.json": Benchmark,
    "mlflow.json": Tracked,
}
_KINDS = {"list_type": "a list", "dict_type": "an object", "model_type": "an object"}


def problems(name: str, content: dict[str, Any]) -> list[str]:
    """Return what is wrong with the content of a file: where, and what."""
    try:
        FILES[name].model_validate(content)
    except ValidationError as error:
        return [_told(one) for one in error.errors(include_url=False)]
    return []


def _told(error: Mapping[str, Any]) -> str:
    place = "".join(f"[{part}]" if isinstance(part, int) else f".{plain(part)}" for part in error["loc"])
    place = place[:80].lstrip(".")
    if error["type"] == "missing":
        return f"{place} is missing"
    if error["type"] == "value_error":  # one of our own checks
        return f"{place} {error['ctx']['error']}".lstrip()
    if kind := _KINDS.get(error["type"]):
        return f"{place} is {_shown(error['input'])}, expected {kind}"
    return f"{place}: {error['msg'][0].lower()}{error['msg'][1:]}"
