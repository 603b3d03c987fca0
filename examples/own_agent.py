"""Your own agent as an upstream: what an async generator yields becomes a stream that can be resumed and cancelled.

Serve it, and in a second terminal talk to it:

    cd examples
    penstock serve --config own_agent.toml
    python own_agent.py                # or with the server's address: 127.0.0.1:8080, http://127.0.0.1:8080

`answer` is the agent. Everything below it is a client, written out by hand with nothing but the standard library.
"""

from __future__ import annotations

import asyncio
import http.client
import json
import logging
import re
import sys
from collections.abc import AsyncIterator, Iterator

from penstock import Event, Reasoning, Request

log = logging.getLogger("own_agent")

GLOSSARY = {
    "river": "water that does not wait, and that nobody owns.",
    "penstock": "the gated pipe that carries a river to a turbine.",
    "turbine": "the wheel that makes something useful of it.",
}


async def look_up(word: str) -> str | None:
    """The agent's tool: as slow as tools are."""
    await asyncio.sleep(0.1)
    return GLOSSARY.get(word)


async def answer(request: Request) -> AsyncIterator[str | Event]:
    """Explain every word of the question that the glossary knows."""
    question = request.messages[-1].text
    log.info("asked: %s", question)
    try:
        for word in re.findall(r"[a-z]+", question.lower()):
            yield Reasoning(f"Looking up {word}. ")
            meaning = await look_up(word)
            if meaning is not None:
                for piece in f"A **{word}** is {meaning}".split(" "):
                    yield piece + " "
                    await asyncio.sleep(0.05)
    finally:
        # Runs at the end, and just the same when somebody cancels: close what you have opened here.
        log.info("closed: %s", question)


class Client:
    """One question, and its answer in as many parts as the network likes."""

    def __init__(self, address: str, question: str) -> None:
        self.address = address
        body = {"model": "glossary", "messages": [{"role": "user", "content": question}]}
        self._response = self._send("POST", "/v1/streams", json.dumps(body))
        self.stream = self._response.headers["Penstock-Stream-Id"]
        self.position = ""

    def read(self, most: int | None = None) -> Iterator[str]:
        """Print-ready text of the next blocks, remembering the position after each."""
        event, count = "", 0
        for raw in self._response:
            name, _, value = raw.decode().rstrip("\n").partition(": ")
            if name == "id":
                self.position = value
            elif name == "event":
                event = value
            elif name == "data":
                said = json.loads(value)
                yield said["text"] if event == "token" else f"[{event}] "
                count += 1
                if count == most:
                    return

    def resume(self) -> None:
        """The connection is lost: go on, on a new one, after the last block that was seen."""
        self._response.close()
        self._response = self._send("GET", f"/v1/streams/{self.stream}", headers={"Last-Event-ID": self.position})

    def cancel(self) -> dict[str, str]:
        """Stop the agent, and keep what was seen."""
        seen = int(self.position.partition(":")[2].partition(".")[0])
        with self._send("POST", f"/v1/streams/{self.stream}/cancel", json.dumps({"seen": seen})) as response:
            told: dict[str, str] = json.load(response)
        return told

    def _send(
        self, method: str, path: str, body: str = "", headers: dict[str, str] | None = None
    ) -> http.client.HTTPResponse:
        try:
            connection = http.client.HTTPConnection(self.address.removeprefix("http://").rstrip("/"))
            connection.request(method, path, body, headers or {})
            response = connection.getresponse()
        except (OSError, ValueError, http.client.HTTPException) as error:
            raise SystemExit(f"no answer from {self.address}: {error or type(error).__name__}") from None
        if response.status != 200:
            raise SystemExit(f"{method} {path}: {response.status} {response.read().decode()}")
        return response


def main(address: str = "127.0.0.1:8080") -> None:
    if address.startswith("https://"):
        raise SystemExit("this client speaks plain HTTP only: give it http://host:port")
    print("-- the first ten blocks, then the connection is dropped")
    client = Client(address, "What is a penstock?")
    print("".join(client.read(10)))

    print(f"-- resumed after {client.position}")
    client.resume()
    print("".join(client.read()))

    print("-- another question, cancelled after five blocks")
    client = Client(address, "River, penstock, turbine")
    print("".join(client.read(5)))
    print(client.cancel())
    print("".join(client.read()))


if __name__ == "__main__":
    main(*sys.argv[1:2])
