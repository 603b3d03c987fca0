"""The listening side: uvicorn, with a way to write to a connection without going through ASGI."""
