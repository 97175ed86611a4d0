"""What is sent from us: JSON that every reader takes, one line of it, and a refusal as RFC 9457 has it."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, Final

from starlette.responses import Response

from daemon.documents import Document, json_text, problem

JSON: Final = "application/json"
PROBLEM: Final = "application/problem+json"


def json_reply(document: Any, status: int = HTTPStatus.OK) -> Response:  # noqa: ANN401 - whatever JSON can carry
    """A document."""
    return Response(json_text(document), status, media_type=JSON)


def json_line(document: Document) -> bytes:
    """One of several documents, each on a line of its own."""
    return json_text(document).encode() + b"\n"


def refusal(status: int, detail: str, headers: Mapping[str, str] | None = None) -> Response:
    """Why not, and the mend."""
    document = problem(status, HTTPStatus(status).phrase, detail)
    return Response(json_text(document), status, headers, PROBLEM)
