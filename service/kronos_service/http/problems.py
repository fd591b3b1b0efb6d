"""Problems as HTTP responses, and Starlette's own errors as problems."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

import orjson
from starlette.exceptions import HTTPException
from starlette.responses import Response

from kronos_service.api.errors import MEDIA_TYPE, InvalidPlace, Kind, Kinds, Problem, to_problem


def problem_of(error: Exception) -> Problem:
    """The problem to answer any exception with."""
    return _http_problem(error) if isinstance(error, HTTPException) else to_problem(error)


def response(problem: Problem, request_id: str) -> Response:
    """The ``application/problem+json`` response."""
    body = orjson.dumps(problem.body(request_id))
    return Response(body, problem.status, headers=problem.headers, media_type=MEDIA_TYPE)


def _http_problem(error: HTTPException) -> Problem:
    headers = error.headers
    if error.status_code == HTTPStatus.NOT_FOUND:
        return Problem(Kinds.not_found, "no such path: /docs lists the paths", headers=headers)
    if error.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
        allowed = (headers or {}).get("Allow", "another method")
        return Problem(Kinds.method, f"this path takes {allowed}", headers=headers)
    if error.status_code >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return Problem(Kinds.internal, Kinds.internal.example)
    return Problem(Kinds.client, str(error.detail), headers=headers, status=error.status_code)


def openapi_responses(*kinds: Kind) -> dict[int | str, dict[str, Any]]:
    """The OpenAPI ``responses`` of a route that may answer with ``kinds``, with an example of each."""
    by_status: dict[int, list[Kind]] = {}
    for kind in kinds:
        by_status.setdefault(kind.status, []).append(kind)
    return {status: _openapi_response(group) for status, group in sorted(by_status.items())}


def _openapi_response(kinds: list[Kind]) -> dict[str, Any]:
    examples = {}
    for kind in kinds:
        places = [InvalidPlace("/candles/7/high", "is below open or close")] if kind is Kinds.invalid else []
        problem = Problem(kind, kind.example, errors=places)
        examples[kind.slug] = {"summary": kind.title, "value": problem.body("3f2b8c0e5d6a4b7c9e1f2a3b4c5d6e7f")}
    return {
        "description": " / ".join(kind.title for kind in kinds),
        "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}, "examples": examples}},
    }
