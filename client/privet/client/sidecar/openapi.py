"""The OpenAPI 3.1 document, made from the table that dispatches."""

from privet.client.sidecar.fields import Field, Kind, schema_of
from privet.client.sidecar.problem import MEDIA_TYPE
from privet.client.sidecar.route import Route
from privet.client.sidecar.routes import DOCUMENT, ROUTES
from privet.privacy.canonical import Json

_PROBLEM = tuple(
    Field(name=name, kind=Kind.WHOLE if name == "status" else Kind.TEXT, needed=True)
    for name in ("type", "title", "status", "detail")
)


def openapi(port: int) -> dict[str, Json]:
    """The document of a sidecar on a port."""
    paths: dict[str, Json] = {
        route.path: {route.method.lower(): _operation(route)} for route in ROUTES
    }
    paths[DOCUMENT] = {
        "get": {
            "operationId": "openapi",
            "summary": "This document.",
            "responses": _responses({"type": "object"}),
        }
    }
    return {
        "openapi": "3.1.0",
        "info": {"title": "Privet sidecar", "version": "1"},
        "servers": [{"url": f"http://127.0.0.1:{port}"}],
        "security": [{"token": []}],
        "paths": paths,
        "components": {
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
            "schemas": {"Problem": schema_of(_PROBLEM, nullable=False)},
        },
    }


def _operation(route: Route) -> dict[str, Json]:
    body: dict[str, Json] = {}
    if not route.reads:
        schema = schema_of(route.takes, nullable=True)
        body["requestBody"] = {
            "required": True,
            "content": {"application/json": {"schema": schema}},
        }
    return {
        "operationId": route.path.removeprefix("/v1/").replace("/", "-"),
        "summary": route.about,
        **body,
        "responses": _responses(schema_of(route.gives, nullable=False)),
    }


def _responses(schema: dict[str, Json]) -> dict[str, Json]:
    problem: Json = {"$ref": "#/components/schemas/Problem"}
    return {
        "200": {"description": "Done.", "content": {"application/json": {"schema": schema}}},
        "default": {
            "description": "Refused; nothing of the request is quoted.",
            "content": {MEDIA_TYPE: {"schema": problem}},
        },
    }
