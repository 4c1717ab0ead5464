"""The OpenAPI document, built from the declarations that also route and validate requests."""

import functools
from collections.abc import Mapping, Sequence
from types import UnionType
from typing import Any, Final, Union, get_args, get_origin

import msgspec

from audit_api.query.endpoint import SETTINGS_PATH, Endpoint
from audit_api.query.filter_params import Params

_REFERENCE: Final = "#/components/schemas/{name}"
_ARRAY_OF_PROBLEMS: Final = {
    "type": "array",
    "items": {
        "type": "object",
        "properties": {
            "loc": {"type": "array", "items": {"type": "string"}},
            "msg": {"type": "string"},
            "type": {"type": "string"},
        },
        "required": ["loc", "msg", "type"],
    },
}
_ERRORS: Final = {
    "400": "The request is malformed or too large",
    "401": "No credentials, or none that are valid",
    "403": "These credentials may not read the audit log",
    "503": "The database or PodWarden is unavailable; retry after `Retry-After` seconds",
}


def openapi_document(endpoints: Sequence[Endpoint]) -> dict[str, Any]:
    """Return the OpenAPI 3.1 document of *endpoints*."""
    kinds = [kind for endpoint in endpoints for kind in _kinds(endpoint)]
    schemas, components = msgspec.json.schema_components(kinds, ref_template=_REFERENCE)
    by_kind = dict(zip(map(str, kinds), schemas, strict=True))
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "PodWarden audit log",
            "version": "1",
            "description": "Which MCP token called what, and how each call ended.",
        },
        "paths": {
            SETTINGS_PATH + endpoint.path: {"get": _operation(endpoint, by_kind)}
            for endpoint in endpoints
        },
        "components": {
            "schemas": {**components, "Detail": _detail({"type": "string"})},
            "securitySchemes": {
                "token": {"type": "http", "scheme": "bearer"},
                "session": {"type": "apiKey", "in": "cookie", "name": "podwarden_audit_session"},
            },
        },
        "security": [{"token": []}, {"session": []}],
    }


def _kinds(endpoint: Endpoint) -> list[Any]:
    return [
        alternative
        for kind in endpoint.responses.values()
        if kind is not None
        for alternative in _alternatives(kind)
    ]


def _alternatives(kind: Any) -> Sequence[Any]:
    """Return the members of a union of arrays, for which msgspec makes no schema."""
    return get_args(kind) if get_origin(kind) in (Union, UnionType) else (kind,)


def _operation(endpoint: Endpoint, schemas: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "operationId": endpoint.name,
        "summary": endpoint.summary,
        "parameters": [
            *_parameters(endpoint.place, "path"),
            *_parameters(endpoint.query, "query"),
        ],
        "responses": {
            "200": {
                "description": endpoint.summary,
                "content": {
                    media_type: _content(kind, schemas)
                    for media_type, kind in endpoint.responses.items()
                },
                "headers": {
                    name: {"description": meaning, "schema": {"type": "string"}}
                    for name, meaning in endpoint.fields.items()
                },
            },
            **_errors(endpoint),
        },
    }


def _content(kind: Any, schemas: Mapping[str, Any]) -> dict[str, Any]:
    if kind is None:
        return {"schema": {"type": "string"}}
    found = [schemas[str(alternative)] for alternative in _alternatives(kind)]
    return {"schema": found[0] if len(found) == 1 else {"anyOf": found}}


@functools.cache
def _parameters(params: type[Params], place: str) -> Sequence[dict[str, Any]]:
    # Kept: most of the time that an application takes to be made is pydantic's, for its schemas.
    schema = params.model_json_schema()
    definitions = schema.get("$defs", {})
    return [
        _parameter(name, place, declared, definitions)
        for name, declared in schema.get("properties", {}).items()
    ]


def _parameter(
    name: str, place: str, declared: Mapping[str, Any], definitions: Mapping[str, Any]
) -> dict[str, Any]:
    # A query string has no null: an optional parameter is omitted.
    schema = {key: value for key, value in declared.items() if value is not None}
    if {"type": "null"} in schema.get("anyOf", []):
        schema |= schema.pop("anyOf")[0]
    description = schema.pop("description", name.replace("_", " "))
    reference = schema.pop("$ref", None)
    if reference is not None:
        schema |= definitions[reference.rpartition("/")[2]]
    return {
        "name": name,
        "in": place,
        "required": place == "path",
        "description": description,
        "schema": schema,
    }


def _errors(endpoint: Endpoint) -> dict[str, Any]:
    plain = {"application/json": {"schema": {"$ref": _REFERENCE.format(name="Detail")}}}
    errors = dict(_ERRORS)
    if endpoint.can_miss:
        errors["404"] = "The path names nothing that exists"
    if endpoint.can_contradict:
        errors["409"] = "What is stored is not what was sealed"
    return {
        "422": {
            "description": "A parameter is unknown or invalid; the response names it",
            "content": {"application/json": {"schema": _detail(_ARRAY_OF_PROBLEMS)}},
        },
        **{
            status: {"description": meaning, "content": plain}
            for status, meaning in errors.items()
        },
    }


def _detail(content: Mapping[str, Any]) -> dict[str, Any]:
    return {"type": "object", "properties": {"detail": content}, "required": ["detail"]}
