"""Images and documents in a conversation: `anthropic`'s blocks <-> the parts of `penstock.dialects.base.Message`.

    {"type": "image", "source": {"type": "base64", "media_type", "data"} or {"type": "url", "url"}}
    {"type": "document", "source": {base64 PDF} or {"type": "text", "media_type": "text/plain", "data": the text itself}
                                   or {"type": "file", "file_id"}, "title"?}

Reference: https://platform.claude.com/docs/en/build-with-claude/vision and /pdf-support.
"""

from __future__ import annotations

import base64
import binascii
from typing import Any

import msgspec

from penstock.dialects.base import unsupported
from penstock.exceptions import Refused


class Source(msgspec.Struct):
    """Where an image or a document is."""

    type: str
    media_type: str | None = None
    data: str | None = None
    url: str | None = None
    file_id: str | None = None


def read_source(kind: str, source: Source, title: str | None) -> dict[str, Any] | None:
    """The part that says the same as an `image` or a `document`; None if there are no words for it."""
    match (kind, source):
        case "image", Source("base64", str(media_type), str(data)):
            return _image(f"data:{media_type};base64,{data}")
        case "image", Source("url", url=str(url)):
            return _image(url)
        case "document", Source("base64", str(media_type), str(data)):
            return _file({"file_data": f"data:{media_type};base64,{data}"}, title)
        case "document", Source("text", media_type, str(text)):
            encoded = base64.b64encode(text.encode()).decode()
            return _file({"file_data": f"data:{media_type or 'text/plain'};base64,{encoded}"}, title)
        case "document", Source("file", file_id=str(file_id)):
            return _file({"file_id": file_id}, title)
        case _:
            return None


def _image(url: str) -> dict[str, Any]:
    return {"type": "image_url", "image_url": {"url": url}}


def _file(file: dict[str, Any], title: str | None) -> dict[str, Any]:
    return {"type": "file", "file": file if title is None else {**file, "filename": title}}


def write_part(part: dict[str, Any], path: str, target: str) -> dict[str, Any] | None:
    """The block that says the same as a part; None for a text that is empty, which this API does not allow.

    Raises Refused (400) for what is no part, or can't be told.
    """
    match part:
        case {"type": "text", "text": str(text)} | {"type": "refusal", "refusal": str(text)}:
            return {"type": "text", "text": text} if text else None
        case {"type": "text", "text": None}:
            return None
        case {"type": "image_url", "image_url": {"url": str(url)}}:
            return {"type": "image", "source": _image_source(url, f"{path}.image_url", target)}
        case {"type": "file", "file": {"file_data": str(data), **more}}:
            return _document(data, more.get("filename"), f"{path}.file", target)
        case {"type": "file", "file": {"file_id": str(file_id), **more}}:
            return _titled({"type": "file", "file_id": file_id}, more.get("filename"))
        case {"type": "text" | "refusal" | "image_url" | "file" as kind}:
            raise Refused(400, "invalid_request", f"this is no {kind} (at {path})", param=path)
        case {"type": str(kind)}:
            raise unsupported(f"{path}.{kind[:64]}", target)
        case _:
            raise Refused(400, "invalid_request", f"a part needs a type (at {path})", param=path)


def _image_source(url: str, path: str, target: str) -> dict[str, Any]:
    scheme = url.partition(":")[0].lower()
    if scheme in ("http", "https"):
        return {"type": "url", "url": url}
    if scheme != "data":
        raise unsupported(path, target)
    media_type, data = _data_url(url, path, target)
    return {"type": "base64", "media_type": media_type, "data": data}


def _document(url: str, title: Any, path: str, target: str) -> dict[str, Any]:
    media_type, data = _data_url(url, path, target)
    if media_type.startswith("image/"):
        return {"type": "image", "source": {"type": "base64", "media_type": media_type, "data": data}}
    if media_type == "application/pdf":
        return _titled({"type": "base64", "media_type": media_type, "data": data}, title)
    if not media_type.startswith("text/"):
        raise unsupported(path, target)
    try:
        text = base64.b64decode(data, validate=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        raise Refused(400, "invalid_request", f"this is no text in base64 (at {path})", param=path) from None
    return _titled({"type": "text", "media_type": "text/plain", "data": text}, title)


def _titled(source: dict[str, Any], title: Any) -> dict[str, Any]:
    document: dict[str, Any] = {"type": "document", "source": source}
    if isinstance(title, str):
        document["title"] = title
    return document


def _data_url(url: str, path: str, target: str) -> tuple[str, str]:
    """`data:<media type>[;...];base64,<data>` -> the type and the data. Raises Refused."""
    head, comma, data = url.partition(",")
    scheme, _, kind = head.partition(":")
    if not comma or scheme.lower() != "data" or not kind.lower().endswith(";base64"):
        raise unsupported(path, target)
    return kind.partition(";")[0].lower(), data
