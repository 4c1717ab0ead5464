"""The demo PodWarden API: a handful of routes below `/api/v1`, errors in FastAPI's shape."""

from http import HTTPStatus

from starlette.background import BackgroundTask
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Mount, Route

from deploy.local.demo.callers import require_role
from deploy.local.demo.inventory import Inventory, Thing


class Api:
    """The routes over one inventory: every valid token may read, operators may deploy."""

    def __init__(self, inventory: Inventory) -> None:
        self._inventory = inventory

    def routes(self) -> Mount:
        """Return all routes, below the prefix that PodWarden uses."""
        inventory = self._inventory
        return Mount(
            "/api/v1",
            routes=[
                *_reading("hosts", inventory.hosts),
                *_reading("clusters", inventory.clusters),
                *_reading("definitions", inventory.definitions),
                *_reading("assignments", inventory.assignments),
                Route("/workloads", self._workloads),
                Route("/assignments/{id}/logs", self._logs),
                Route("/assignments/{id}/deploy", self._deploy, methods=["POST"]),
                Route("/hosts/{id}/restart", self._restart, methods=["POST"]),
            ],
        )

    async def _workloads(self, _: Request) -> Response:
        return JSONResponse(self._inventory.workloads())

    async def _logs(self, request: Request) -> Response:
        assignment = _wanted(request, self._inventory.assignments)
        return JSONResponse({"lines": self._inventory.logs(assignment["id"])})

    async def _deploy(self, request: Request) -> Response:
        require_role(request, "operator")
        assignment = _wanted(request, self._inventory.assignments)
        # As in PodWarden, the deployment goes on after the response and makes no further API call.
        return JSONResponse(
            self._inventory.begin_deployment(assignment["id"]),
            HTTPStatus.ACCEPTED,
            background=BackgroundTask(self._inventory.end_deployment, assignment["id"]),
        )

    async def _restart(self, request: Request) -> Response:
        require_role(request, "operator")
        host = _wanted(request, self._inventory.hosts)
        if host["status"] == "offline":
            raise HTTPException(HTTPStatus.CONFLICT, f"Host {host['id']} is offline")
        return JSONResponse({"id": host["id"], "status": "restarting"}, HTTPStatus.ACCEPTED)


def error_response(_: Request, error: Exception) -> Response:
    """Answer an HTTPException as FastAPI does; anything else is a defect and goes up."""
    if not isinstance(error, HTTPException):
        raise error
    return JSONResponse({"detail": error.detail}, error.status_code, error.headers)


def _reading(name: str, things: dict[str, Thing]) -> list[Route]:
    async def all_of_them(_: Request) -> Response:
        return JSONResponse(list(things.values()))

    async def one_of_them(request: Request) -> Response:
        return JSONResponse(_wanted(request, things))

    return [Route(f"/{name}", all_of_them), Route(f"/{name}/{{id}}", one_of_them)]


def _wanted(request: Request, things: dict[str, Thing]) -> Thing:
    try:
        return things[request.path_params["id"]]
    except KeyError:
        raise HTTPException(HTTPStatus.NOT_FOUND, "Not Found") from None
