"""Checks what a page sends before Gradio sees it: every field's type and length, and that nothing names a file."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from fmnist.web.problems import Problem

JOIN, RESET, CANCEL = (f"/gradio_api/{name}" for name in ("queue/join", "reset", "cancel"))
TEACH = "/teach"
SESSION = r"\w{1,64}"
"""Pattern of the name that a page gives itself."""
_MOST = 20  # values of an event

_Name = Annotated[str, Field(pattern=f"^{SESSION}$")]
_Number = Annotated[int, Field(ge=0, le=2**31)]
_Text = Annotated[str, Field(max_length=1000)] | Annotated[str, Field(pattern="^data:image/")]
_Value = None | bool | Annotated[float, Field(ge=-(2.0**53), le=2.0**53)] | _Text


class _Form(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class _Join(_Form):
    session_hash: _Name
    fn_index: _Number
    data: Annotated[list[_Value], Field(max_length=_MOST)]
    event_data: Annotated[dict[_Name, _Value], Field(max_length=_MOST)] | _Value = None
    trigger_id: _Number | None = None


class _Reset(_Form):
    event_id: _Name


class _Cancel(_Reset):
    session_hash: _Name
    fn_index: _Number


class Teach(_Form):
    """What the tab Teach asks for, about the collection `name` and its class `label`."""

    do: Literal["show", "class", "picture", "undo", "remove", "train", "progress", "look"]
    name: Annotated[str, Field(max_length=200)] = ""
    label: Annotated[str, Field(max_length=200)] = ""
    picture: Annotated[str, Field(pattern="^data:image/")] | None = None


_FORMS: dict[str, type[_Form]] = {JOIN: _Join, RESET: _Reset, CANCEL: _Cancel, TEACH: Teach}
PATHS = frozenset(_FORMS)
"""To which a page may send."""


def check(path: str, body: bytes) -> str:
    """Return the session of what a page sends to one of `PATHS`, empty where it names none, or raise a `Problem`."""
    try:
        event = _FORMS[path].model_validate_json(body)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        place = ".".join(map(str, first["loc"]))[:100]
        wrong = f"{place or 'the body'}: {first['msg'][:200]}"
        raise Problem("bad_form", f"this is no event of the page: {wrong}") from error
    return getattr(event, "session_hash", "")
