"""What may stand at an address: a real nginx, or a server that says what it is told to."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import subprocess
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

from tests.support.serving import PATIENCE, free_port, wait_until_open

NGINX = """
daemon off;
master_process off;
pid {folder}/nginx.pid;
events {{ worker_connections 64; }}
http {{
  access_log off;
  client_body_temp_path {folder}/body;
  proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi;
  scgi_temp_path {folder}/scgi;
  server {{
    listen 127.0.0.1:{port}{ssl};
    {server}
    location / {{
      proxy_pass http://127.0.0.1:{origin};
      {location}
    }}
  }}
}}
"""

GOOD = 'proxy_http_version 1.1; proxy_set_header Connection ""; proxy_read_timeout 630s;'
"""What docs/operations.md tells people to write."""


@contextlib.contextmanager
def nginx(origin: int, location: str, server: str = "", tls: tuple[Path, Path] | None = None) -> Iterator[int]:
    """nginx before a server on loopback; gives the port. `tls` is a certificate file and its key file."""
    with tempfile.TemporaryDirectory(prefix="penstock-nginx-") as folder:
        port = free_port()
        if tls is not None:
            server += f" ssl_certificate {tls[0]}; ssl_certificate_key {tls[1]};"
        path = Path(folder) / "nginx.conf"
        ssl_word = " ssl" if tls is not None else ""
        path.write_text(
            NGINX.format(folder=folder, port=port, origin=origin, location=location, server=server, ssl=ssl_word)
        )
        log = Path(folder) / "log"
        with log.open("wb") as errors:
            process = subprocess.Popen(["nginx", "-p", folder, "-c", str(path), "-e", "stderr"], stderr=errors)
        try:
            wait_until_open(port)
            yield port
        except TimeoutError:
            raise RuntimeError(f"nginx did not start: {log.read_text()}") from None
        finally:
            process.terminate()
            process.wait(PATIENCE)


@contextlib.asynccontextmanager
async def saying(
    *parts: bytes | float, tls: ssl.SSLContext | None = None, close: bool = True
) -> AsyncIterator[tuple[int, list[bytes]]]:
    """A server that answers every request with these bytes; a number is a pause in seconds.

    Gives its port, and the requests that came. It keeps the connection open at the end if `close` is False.
    """
    requests: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            requests.append(await reader.readuntil(b"\r\n\r\n"))
            for part in parts:
                if isinstance(part, bytes):
                    writer.write(part)
                    await writer.drain()
                else:
                    await asyncio.sleep(part)
            if not close:
                await reader.read()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=tls)
    try:
        yield server.sockets[0].getsockname()[1], requests
    finally:
        server.close()
