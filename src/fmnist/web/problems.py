"""Lists what can be wrong with a request, each with a code, and gives all errors one JSON form."""

import json
from collections.abc import Sequence
from dataclasses import dataclass

AGAIN = [(b"retry-after", b"1")]
"""Says when to ask again, in seconds."""
CLOSE = [(b"connection", b"close")]
"""Ends the connection, whose rest is not read."""


@dataclass(frozen=True)
class Kind:
    """A kind of problem: its HTTP status, and what it means, for the description of the API."""

    status: int
    meaning: str


# The codes are part of the API: one may be added, none may change.
KINDS = {
    "bad_parameter": Kind(400, "a parameter or header is malformed"),
    "unauthorized": Kind(401, "the token is missing or wrong"),
    "foreign_origin": Kind(403, "a page of another origin asked"),
    "not_found": Kind(404, "there is nothing at this path"),
    "method_not_allowed": Kind(405, "the path takes another method"),
    "slow_body": Kind(408, "the body did not arrive in time"),
    "body_too_large": Kind(413, "the body has too many bytes"),
    "too_many_pictures": Kind(413, "the body has too many pictures"),
    "unsupported_media_type": Kind(415, "the body is of a type that is not taken"),
    "unknown_host": Kind(421, "the request is meant for another host"),
    "no_picture": Kind(422, "the body holds no picture"),
    "not_a_picture": Kind(422, "a picture cannot be read"),
    "bad_array": Kind(422, "an array has not the size, type or range of the model's pictures"),
    "bad_form": Kind(422, "the form or the JSON cannot be read"),
    "internal": Kind(500, "a mistake of the server"),
    "overloaded": Kind(503, "as many requests as may wait are waiting already"),
    "stopping": Kind(503, "the server is going down"),
    "page_unavailable": Kind(503, "the process that has the page is starting again"),
    "timeout": Kind(504, "the answer was not ready in time"),
}


class Problem(Exception):
    """A request that is refused or failed: its kind in `KINDS`, and what came, what was expected, how to mend it."""

    def __init__(self, code: str, message: str, headers: Sequence[tuple[bytes, bytes]] = ()) -> None:
        super().__init__(message)
        self.code, self.message, self.headers, self.status = code, message, headers, KINDS[code].status

    def body(self) -> bytes:
        """Return the answer's body: one JSON object."""
        return json.dumps({"error": {"code": self.code, "status": self.status, "message": self.message}}).encode()


def overloaded(headers: Sequence[tuple[bytes, bytes]] = ()) -> Problem:
    """Return what is told while too many requests wait."""
    return Problem("overloaded", "too many requests are waiting; try again", [*AGAIN, *headers])
