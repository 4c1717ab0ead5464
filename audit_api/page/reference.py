"""The API reference: as an OpenAPI document and as an HTML page."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any, Final, Self

import msgspec
from aiohttp import web

from audit_api.page.openapi import openapi_document
from audit_api.page.policy import PAGE_FIELDS
from audit_api.query.endpoint import Asked, Endpoint
from audit_api.query.filter_params import Nothing
from audit_api.responses import json_response

_PAGE: Final = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
</head>
<body>
<main>
<h1>{title}</h1>
<p>{description} <a href="openapi.json">OpenAPI document</a></p>
{operations}
</main>
</body>
</html>
"""


@dataclass(frozen=True, slots=True)
class Reference:
    """The reference, built once from the declared endpoints."""

    document: bytes
    page: str

    @classmethod
    def of(cls, endpoints: Sequence[Endpoint]) -> Self:
        """Return the reference of *endpoints* and of its own two."""
        described = openapi_document([*endpoints, *cls(b"", "").endpoints()])
        return cls(msgspec.json.encode(described), _page(described))

    def endpoints(self) -> Sequence[Endpoint]:
        """Return the endpoints that serve the reference."""
        return (
            Endpoint(
                name="openapi",
                path="/mcp-audit/openapi.json",
                summary="This reference as an OpenAPI document",
                responses={"application/json": dict[str, Any]},
                serve=self._respond_document,
                kind=None,
            ),
            Endpoint(
                name="docs",
                path="/mcp-audit/docs",
                summary="This reference as a page",
                responses={"text/html": None},
                serve=self._respond_page,
                kind=None,
            ),
        )

    async def _respond_document(self, _asked: Asked[Nothing, Nothing]) -> web.Response:
        return json_response(msgspec.Raw(self.document))

    async def _respond_page(self, _asked: Asked[Nothing, Nothing]) -> web.Response:
        return web.Response(text=self.page, content_type="text/html", headers=PAGE_FIELDS)


def _page(document: Mapping[str, Any]) -> str:
    return _PAGE.format(
        title=escape(document["info"]["title"]),
        description=escape(document["info"]["description"]),
        operations="\n".join(
            _section(path, item["get"]) for path, item in document["paths"].items()
        ),
    )


def _section(path: str, operation: Mapping[str, Any]) -> str:
    responses = operation["responses"]
    rows = [
        (parameter["name"], _kind(parameter["schema"]), parameter["description"])
        for parameter in operation["parameters"]
    ]
    return (
        f"<section><h2><code>GET {escape(path)}</code></h2><p>{escape(operation['summary'])}</p>"
        + _table(("Parameter", "", "Meaning"), rows)
        + _table(
            ("Response", "", "Meaning"),
            [
                (status, " ".join(response["content"]), response["description"])
                for status, response in responses.items()
            ],
        )
        + "</section>"
    )


def _kind(schema: Mapping[str, Any]) -> str:
    if "enum" in schema:
        return " | ".join(map(str, schema["enum"]))
    return str(schema.get("const") or schema.get("format") or schema.get("type", ""))


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    if not rows:
        return ""
    heads = "".join(f"<th>{escape(cell)}</th>" for cell in head)
    lines = "".join(
        f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in row)}</tr>" for row in rows
    )
    return f"<table><thead><tr>{heads}</tr></thead><tbody>{lines}</tbody></table>"
