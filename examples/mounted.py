"""Penstock inside your own application, beside your own routes, under any ASGI server.

    cd examples
    uvicorn mounted:app
    curl -N http://127.0.0.1:8000/ai/v1/streams -d '{"model": "echo", "messages": [{"role": "user", "content": "So it goes"}]}'

Its page is not served usefully below a mount yet: it asks for `/assets` and `/v1` at the root.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from fastapi import FastAPI

import penstock
from penstock import Request


async def echo(request: Request) -> AsyncIterator[str]:
    """Your own generator: here, the question's words again."""
    for word in request.messages[-1].text.split():
        yield word + " "
        await asyncio.sleep(0.1)


app = FastAPI()


@app.get("/hello")
async def hello() -> dict[str, str]:
    """One of your own routes."""
    return {"hello": "world"}


app.mount(
    "/ai",
    penstock.asgi(
        {
            "upstream": [
                {"name": "demo", "dialect": "demo"},
                {"name": "echo", "dialect": "python", "function": f"{__name__}:echo"},
            ],
            "route": [
                {"model": "demo", "targets": [{"upstream": "demo"}]},
                {"model": "echo", "targets": [{"upstream": "echo"}]},
            ],
        }
    ),
)
