"""The control plane: what is not a stream, and the OpenAPI description of everything."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from starlette.exceptions import HTTPException
from starlette.routing import Match

from penstock.conversations.conversations import Conversations
from penstock.exceptions import Refused
from penstock.faces.access import Access
from penstock.faces.asgi import local_path
from penstock.faces.conversations import routes
from penstock.faces.openapi import STREAM_PATHS
from penstock.faces.root import spoken_at
from penstock.gateway import Gateway
from penstock.policy.course import Route
from penstock.version import __version__


def control(gateway: Gateway, conversations: Conversations, access: Access) -> FastAPI:
    """The FastAPI application behind the stream faces."""
    app = FastAPI(
        title="Penstock",
        version=__version__,
        summary="Every answer is a stream, and a stream is a log.",
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
    )

    @app.get("/v1/models", tags=["models"])
    async def models(request: Request) -> dict[str, Any]:
        """The public model names that the caller may use, in OpenAI's shape."""
        tenant = access.tenant(request.scope)
        return {
            "object": "list",
            "data": [_model(route) for name, route in gateway.routes.items() if tenant.may_use(name)],
        }

    @app.get("/v1/models/{name:path}", tags=["models"])
    async def model(request: Request, name: str) -> dict[str, Any]:
        """One of them."""
        if name not in gateway.routes or not access.tenant(request.scope).may_use(name):
            raise Refused(404, "model_not_found", f"there is no model {name[:100]!r} here", param="model")
        return _model(gateway.routes[name])

    @app.get("/healthz", tags=["operations"])
    async def healthz() -> dict[str, Any]:
        """The process lives."""
        return {"status": "ok", "version": __version__}

    @app.get("/readyz", tags=["operations"])
    async def readyz() -> JSONResponse:
        """The process takes new streams: 503 while it shuts down."""
        draining = gateway.draining
        told = {
            "status": "draining" if draining else "ready",
            "live_streams": gateway.live(),
            "queued_streams": gateway.queued(),
        }
        return JSONResponse(told, status_code=503 if draining else 200)

    app.include_router(routes(conversations, access))
    for path, probe in (("/healthz", healthz), ("/readyz", readyz)):
        # Some load balancers ask for no more than the head. It is no address of its own, and not described as one.
        app.add_api_route(path, probe, methods=["HEAD"], include_in_schema=False)

    @app.exception_handler(Refused)
    async def refused(request: Request, error: Refused) -> Response:
        body = spoken_at(local_path(request.scope)).error_body(error)
        headers = {"allow": error.allow} if error.allow else None
        return Response(body, error.status, headers, media_type="application/json")

    @app.exception_handler(404)
    @app.exception_handler(405)
    async def missing(request: Request, error: Exception) -> Response:
        status = error.status_code if isinstance(error, HTTPException) else 404
        word = "method_not_allowed" if status == 405 else "not_found"
        said = "this address does not take this method" if status == 405 else "there is no such address"
        told = Refused(status, word, said)
        if status == 405:
            here = [route for route in app.routes if route.matches(request.scope)[0] != Match.NONE]
            told.allow = ", ".join(sorted({method for route in here for method in getattr(route, "methods", ())}))
        return await refused(request, told)

    @app.exception_handler(RequestValidationError)
    async def invalid(request: Request, _error: Exception) -> Response:
        return await refused(request, Refused(400, "invalid_request", "the request is not valid"))

    described = app.openapi

    def openapi() -> dict[str, Any]:
        schema = described()
        schema["paths"] = {**STREAM_PATHS, **schema["paths"]}
        return schema

    app.openapi = openapi  # type: ignore[method-assign]  # FastAPI's own way to extend the description
    return app


def _model(route: Route) -> dict[str, Any]:
    told: dict[str, Any] = {"id": route.model, "object": "model", "created": 0, "owned_by": "penstock"}
    return told if route.price is None else {**told, "price": route.price._asdict()}
