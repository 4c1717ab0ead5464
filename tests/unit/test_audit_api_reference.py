"""The OpenAPI document that the audit API builds when it starts."""

from aiohttp import web

from audit_api.endpoints import JSON
from audit_api.formats.entries import DetailedEntry, Entry
from audit_api.page.openapi import openapi_document
from audit_api.query.endpoint import Endpoint


async def _never_asked(_: object) -> web.StreamResponse:
    raise AssertionError


def test_a_response_of_one_array_or_another_is_described_by_both() -> None:
    """msgspec makes no schema of such a union, and Python 3.14 shows it in another form."""
    endpoint = Endpoint(
        name="either",
        path="/either",
        summary="One array or another",
        responses={JSON: list[Entry] | list[DetailedEntry]},
        serve=_never_asked,
    )

    document = openapi_document([endpoint])

    [operation] = [described["get"] for described in document["paths"].values()]
    schema = operation["responses"]["200"]["content"][JSON]["schema"]
    assert [found["items"]["$ref"] for found in schema["anyOf"]] == [
        "#/components/schemas/Entry",
        "#/components/schemas/DetailedEntry",
    ]
