"""The OpenAPI document, made from the declarations that route and check the questions."""

from collections.abc import Mapping, Sequence
from typing import Any, Final, get_args

import msgspec

from audit_api.query.asking import SETTINGS_PATH, Endpoint
from audit_api.query.params import Params

_REFERENCE: Final = "#/components/schemas/{name}"
_ARRAY_OF_COMPLAINTS: Final = {
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
_REFUSALS: Final = {
    "400": "The request is malformed or too large",
    "401": "No credentials, or none that count",
    "403": "These credentials may not read the audit log",
    "503": "Something that the answer depends on is away; ask again",
}


def openapi_document(endpoints: Sequence[Endpoint]) -> dict[str, Any]:
    """Return the description of *endpoints* (OpenAPI 3.1)."""
    kinds = [kind for endpoint in endpoints for kind in _kinds(endpoint)]
    schemas, components = msgspec.json.schema_components(kinds, ref_template=_REFERENCE)
    by_kind = dict(zip(map(str, kinds), schemas, strict=True))
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "PodWarden audit log",
            "version": "1",
            "description": "Which MCP token called what, and how it ended.",
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
        for kind in endpoint.answers.values()
        if kind is not None
        for alternative in _alternatives(kind)
    ]


def _alternatives(kind: Any) -> Sequence[Any]:
    """Return the types of a union of arrays, which JSON Schema knows and msgspec does not."""
    is_union = getattr(kind, "__origin__", None) is None and get_args(kind)
    return get_args(kind) if is_union else (kind,)


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
                    for media_type, kind in endpoint.answers.items()
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


def _parameters(params: type[Params], place: str) -> list[dict[str, Any]]:
    schema = params.model_json_schema()
    definitions = schema.get("$defs", {})
    return [
        _parameter(name, place, declared, definitions)
        for name, declared in schema.get("properties", {}).items()
    ]


def _parameter(
    name: str, place: str, declared: Mapping[str, Any], definitions: Mapping[str, Any]
) -> dict[str, Any]:
    # In a query string nothing is null: a parameter that may be left out is left out.
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
    refusals = _REFUSALS | (
        {"404": "What the path names is not there"} if endpoint.can_miss else {}
    )
    return {
        "422": {
            "description": "A parameter is unknown or wrong; the answer names it",
            "content": {"application/json": {"schema": _detail(_ARRAY_OF_COMPLAINTS)}},
        },
        **{
            status: {"description": meaning, "content": plain}
            for status, meaning in refusals.items()
        },
    }


def _detail(content: Mapping[str, Any]) -> dict[str, Any]:
    return {"type": "object", "properties": {"detail": content}, "required": ["detail"]}
