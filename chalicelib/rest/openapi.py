"""The API's OpenAPI 3.1 document, made from the code's own declarations: routes.py and the records it answers."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import fields, is_dataclass
from datetime import datetime
from enum import Enum
from functools import cache
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from chalicelib import __version__
from chalicelib.rest.examples import CSV_TEXT, example_of
from chalicelib.rest.routes import CSV, HTML, JSON, NAME, ROUTES, Route, RouteAnswer

Schema = dict[str, Any]

TEXT: Schema = {"type": "string"}
TIME: Schema = {"type": "string", "format": "date-time"}
BINARY: Schema = {"type": "string", "format": "binary"}  # generators make a file of it
ANYTHING: Schema = {"type": "object", "additionalProperties": True}
STATUS_WORDS = {
    400: ("invalid_request", "Something in the request is off; `details.faults` names every fault"),
    401: ("unauthorized", "No token, or a wrong one"),
    403: ("forbidden", "The token's scope does not allow this"),
    404: ("not_found", "There is no such thing"),
    406: ("not_acceptable", "The endpoint does not answer any of the accepted types"),
    409: ("conflict", "Something else is going on, or is there already"),
    411: ("length_required", "The request has no length"),
    413: ("request_too_large", "The request is too large"),
    415: ("unsupported_media_type", "The body is not of a type this endpoint takes"),
    422: ("query_failed", "The words are in order, but what they ask for failed"),
    429: ("too_many_requests", "The token has used up its requests; see Retry-After"),
    500: ("internal_error", "A fault of the service; the log says more under X-Request-Id"),
    503: ("engine_busy", "Not now: ask again after Retry-After"),
}
HEADERS: dict[str, Schema] = {
    "Location": {"description": "Where to look next", "schema": TEXT},
    "Retry-After": {"description": "Seconds to wait", "schema": {"type": "string", "pattern": "^[0-9]+$"}},
    "X-Request-Id": {"description": "Names this request in the log", "schema": TEXT},
    "WWW-Authenticate": {"description": "Bearer", "schema": TEXT},
}


@cache
def document() -> dict[str, Any]:
    """The whole document."""
    paths: dict[str, dict[str, Any]] = {}
    for route in ROUTES:
        paths.setdefault(route.path, {})[route.method.lower()] = operation(route)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Listening lake",
            "version": __version__,
            "summary": "A music-analytics lake that a person owns",
            "description": (
                "SQL is Athena's dialect (engine version 3, Trino). Times are RFC 3339 UTC. In JSON, integers "
                "beyond 2^53, decimals, dates, times, NaN and infinities are strings. Every error has one shape."
            ),
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "./"}],
        "security": [{"bearer": []}],
        "paths": paths,
        "components": {
            "schemas": schemas(),
            "securitySchemes": {"bearer": {"type": "http", "scheme": "bearer"}},
        },
    }


# --- operations ---------------------------------------------------------------------------------------------------


def operation(route: Route) -> dict[str, Any]:
    """One endpoint."""
    shown: dict[str, Any] = {"operationId": route.name, "summary": route.summary, "responses": responses(route)}
    if route.tag:
        shown["tags"] = [route.tag]
    if route.scope is None:
        shown["security"] = []
    else:
        shown["description"] = f"Needs a token of scope `{route.scope}`."
    if parameters := [*path_parameters(route), *query_parameters(route)]:
        shown["parameters"] = parameters
    if route.body is not None:
        shown["requestBody"] = request_body(route)
    return shown


def path_parameters(route: Route) -> list[dict[str, Any]]:
    """The names in a route's path."""
    return [
        {
            "name": name,
            "in": "path",
            "required": True,
            "schema": {"type": "string", "pattern": f"^{NAME}$"},
            "example": route.path_examples[name],
        }
        for name in re.findall(r"{(\w+)}", route.path)
    ]


def query_parameters(route: Route) -> list[dict[str, Any]]:
    """What stands behind the ``?``."""
    declared = [
        {
            "name": each.name,
            "in": "query",
            "required": each.required,
            "description": each.description,
            "schema": each.schema(),
            **({"example": each.example} if each.example is not None else {}),
        }
        for each in route.query
    ]
    if route.name == "run_report":
        declared.append(
            {
                "name": "parameters",
                "in": "query",
                "description": "The report's own parameters, each by its name; GET /reports lists them",
                "style": "form",
                "explode": True,
                "schema": {"type": "object", "additionalProperties": TEXT},
                "example": {"period": "1y", "limit": "10"},
            }
        )
    return declared


def request_body(route: Route) -> dict[str, Any]:
    """What a body may hold."""
    if route.body_type != JSON:
        return {"required": True, "content": {route.body_type: {"schema": BINARY}}}
    declared = route.body or ()
    schema: Schema = {
        "type": "object",
        "properties": {each.name: each.schema() for each in declared},
        "additionalProperties": False,
    }
    if required := [each.name for each in declared if each.required]:
        schema["required"] = required
    example = {each.name: each.example for each in declared if each.example is not None}
    return {"required": route.body_required, "content": {JSON: {"schema": schema, "example": example}}}


def responses(route: Route) -> dict[str, Any]:
    """Every answer of an endpoint, errors too."""
    shown = {str(answer.status): response(answer) for answer in route.answers}
    for status in sorted(error_statuses(route)):
        shown[str(status)] = error_response(status)
    return shown


def error_statuses(route: Route) -> set[int]:
    """The statuses of errors that an endpoint may answer."""
    statuses = {500, *route.errors}
    if not route.open_query or route.scope is not None:
        statuses |= {400}
    if route.scope is not None:
        statuses |= {401, 403, 429, 503}
    if "{" in route.path:
        statuses |= {404}
    if route.body is not None:
        statuses |= {413, 415}
    return statuses


def response(answer: RouteAnswer) -> dict[str, Any]:
    """One way that an endpoint answers."""
    shown: dict[str, Any] = {"description": answer.description}
    content: dict[str, Any] = {}
    for kind in answer.content_types:
        content[kind] = {"schema": answer_schema(answer) if kind == JSON else TEXT}
        if kind == JSON and answer.shape is not None:
            content[kind]["example"] = answer.example or example_of(answer.shape)
        elif kind == CSV:
            content[kind]["example"] = CSV_TEXT
        elif kind not in (JSON, HTML):
            content[kind] = {"schema": BINARY}
    if content:
        shown["content"] = content
    shown["headers"] = {name: HEADERS[name] for name in ("X-Request-Id", *answer.headers)}
    return shown


def answer_schema(answer: RouteAnswer) -> Schema:
    """Of an answer in JSON; OpenAPI's own document is any object, and a list is one of rows by the columns' names."""
    if answer.shape is list:
        return many(ANYTHING)
    return reference(answer.shape.__name__) if answer.shape not in (None, dict) else ANYTHING


def error_response(status: int) -> dict[str, Any]:
    """One error."""
    code, description = STATUS_WORDS[status]
    example = {"error": {"code": code, "message": description, "details": {}}}
    shown: dict[str, Any] = {
        "description": description,
        "content": {JSON: {"schema": {"$ref": "#/components/schemas/Error"}, "example": example}},
    }
    if status in (429, 503):
        shown["headers"] = {"Retry-After": HEADERS["Retry-After"]}
    if status == 401:
        shown["headers"] = {"WWW-Authenticate": HEADERS["WWW-Authenticate"]}
    return shown


# --- schemas ------------------------------------------------------------------------------------------------------


def schemas() -> dict[str, Schema]:
    """Of the errors' one shape, and of every class that an endpoint answers or that stands in one."""
    answered = [answer.shape for route in ROUTES for answer in route.answers if answer.shape not in (None, dict, list)]
    shown = answered_schemas([each for each in answered if each is not None])
    return dict(sorted({**shown, "Error": closed(error=closed(code=TEXT, message=TEXT, details=ANYTHING))}.items()))


def answered_schemas(answered: Sequence[type[Any]]) -> dict[str, Schema]:
    """The schemas of answers, and of every class that stands in one, by name."""
    shown: dict[str, Schema] = {}
    waiting = [*answered]
    while waiting:
        kind = waiting.pop()
        if kind.__name__ not in shown:
            shown[kind.__name__] = record_schema(kind)
            waiting += classes_in(kind)
    return shown


def classes_in(kind: type[Any]) -> list[type[Any]]:
    """The record classes that are members of one, or in its lists."""
    hints = list(get_type_hints(kind).values())
    found = []
    while hints:
        hint = hints.pop()
        hints += get_args(hint)
        if is_dataclass(hint) and isinstance(hint, type):
            found.append(hint)
    return found


def reference(name: str) -> Schema:
    """A schema that stands among the components."""
    return {"$ref": f"#/components/schemas/{name}"}


def many(items: Schema) -> Schema:
    """A list of such."""
    return {"type": "array", "items": items}


def closed(**properties: Schema) -> Schema:
    """An object with these members and no others."""
    return {"type": "object", "properties": properties, "required": list(properties), "additionalProperties": False}


def record_schema(kind: Any) -> Schema:
    """The schema of a dataclass as messages.as_json writes it."""
    hints = get_type_hints(kind)
    properties = {each.name: value_schema(hints[each.name]) | dict(each.metadata) for each in fields(kind)}
    description = " ".join((kind.__doc__ or "").strip().partition("\n\n")[0].split())
    return closed(**properties) | {"description": description}


def value_schema(hint: Any) -> Schema:
    """The schema of a value of this type."""
    origin, arguments = get_origin(hint), get_args(hint)
    if origin in (Union, UnionType):
        (inner,) = [each for each in arguments if each is not NoneType]
        return nullable(value_schema(inner))
    if origin is Literal:
        return {"type": "string", "enum": list(arguments)}
    if origin in (list, tuple):
        return many(value_schema(arguments[0]))
    if origin is dict or hint is dict:
        return ANYTHING
    if isinstance(hint, type) and issubclass(hint, Enum):
        return {"type": "string", "enum": [member.value for member in hint]}
    if is_dataclass(hint) and isinstance(hint, type):
        return reference(hint.__name__)
    return dict(SIMPLE[hint])


SIMPLE: dict[Any, Schema] = {
    str: TEXT,
    int: {"type": "integer"},
    float: {"type": "number"},
    bool: {"type": "boolean"},
    datetime: TIME,
    Path: TEXT,
    Any: {},
}


def nullable(schema: Schema) -> Schema:
    """The schema of a value that may be null."""
    if isinstance(schema.get("type"), str):
        return {**schema, "type": [schema["type"], "null"]}
    return {"anyOf": [schema, {"type": "null"}]}
