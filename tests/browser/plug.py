"""A plug to pull: a TCP relay between a browser and the server that can be cut, at any byte, and mended."""

from __future__ import annotations

import contextlib
import socket
import threading
from types import TracebackType
from typing import Literal, Self

End = Literal["reset", "eof"]


class Plug:
    """Relays connections to `port` until pulled. While pulled, what is open is broken and new ones are refused.

    `reset`: the other side sees a failure. `eof`: an orderly end, as of a proxy that restarts.
    """

    def __init__(self, port: int) -> None:
        self._target = port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._open: list[socket.socket] = []
        self._lock = threading.Lock()
        self._pulled = False
        self.port: int = self._listener.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        threading.Thread(target=self._accept, daemon=True).start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._listener.close()
        self.pull()

    def pull(self, end: End = "reset") -> None:
        with self._lock:
            self._pulled = True
            broken, self._open = self._open, []
        for one in broken:
            _close(one, end)

    def mend(self) -> None:
        with self._lock:
            self._pulled = False

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self._listener.accept()
            except OSError:
                return
            with self._lock:
                if self._pulled:
                    _close(near, "reset")
                    continue
                try:
                    far = socket.create_connection(("127.0.0.1", self._target))
                except OSError:
                    _close(near, "reset")
                    continue
                self._open += [near, far]
            for source, sink in ((near, far), (far, near)):
                threading.Thread(target=self._relay, args=(source, sink), daemon=True).start()

    def _relay(self, source: socket.socket, sink: socket.socket) -> None:
        try:
            while piece := source.recv(65536):
                sink.sendall(piece)
            sink.shutdown(socket.SHUT_WR)
        except OSError:
            _close(source, "reset")
            _close(sink, "reset")


def _close(one: socket.socket, end: End) -> None:
    """The relay's threads wake from their reading."""
    with contextlib.suppress(OSError):
        if end == "reset":
            one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\x00\x00\x00\x00\x00\x00\x00")
        one.shutdown(socket.SHUT_RDWR)
    one.close()
