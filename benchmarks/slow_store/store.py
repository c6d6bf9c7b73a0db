"""Objects in memory behind Google Cloud Storage's JSON API, as far as Beam and google-cloud-storage use it.

A request in, an answer out; must not know sockets or time.
"""

from __future__ import annotations

import base64
import itertools
import json
import re
from bisect import bisect_left, bisect_right, insort
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from email.message import Message
from email.parser import BytesParser
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import google_crc32c

PAGE = 1000
"""Most names in a page of a listing, as in the real one."""

_UPDATED = "2026-01-01T00:00:00.000Z"
_OBJECT = re.compile(r"/(?:download/)?storage/v1/b/([^/]+)/o/([^/]+)")
_LISTING = re.compile(r"/storage/v1/b/([^/]+)/o")
_BUCKET = re.compile(r"/storage/v1/b/([^/]+)")
_COPY = re.compile(r"/storage/v1/b/([^/]+)/o/([^/]+)/(copyTo|rewriteTo)/b/([^/]+)/o/([^/]+)")
_UPLOAD = re.compile(r"/(?:resumable/)?upload/storage/v1/b/([^/]+)/o")


@dataclass(frozen=True)
class Request:
    """What a client asks.

    Attributes:
        method: in capitals.
        path: quoted as it came.
        query: name -> its first value.
        headers: lower-case name -> value.
        body: as it came.
    """

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes = b""

    @classmethod
    def of(cls, method: str, target: str, headers: Mapping[str, str], body: bytes) -> Request:
        """Return a request for a target, as "/path?query" or a whole URL."""
        parts = urlsplit(target)
        query = {name: values[0] for name, values in parse_qs(parts.query, keep_blank_values=True).items()}
        return cls(method, parts.path, query, headers, body)


@dataclass(frozen=True)
class Answer:
    """What it is told."""

    status: int = 200
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def json(cls, content: Any, status: int = 200) -> Answer:
        """Return an answer with a JSON body."""
        return cls(status, json.dumps(content).encode(), {"Content-Type": "application/json"})

    @classmethod
    def refusal(cls, status: int) -> Answer:
        """Return an error as the real store words it."""
        return cls.json({"error": {"code": status, "message": str(status), "errors": []}}, status)


@dataclass(frozen=True)
class _Stored:
    name: str
    bucket: str
    data: bytes
    generation: int
    crc32c: str

    def metadata(self) -> dict[str, Any]:
        return {
            "kind": "storage#object",
            "name": self.name,
            "bucket": self.bucket,
            "generation": str(self.generation),
            "metageneration": "1",
            "size": str(len(self.data)),
            "crc32c": self.crc32c,
            "etag": str(self.generation),
            "contentType": "application/octet-stream",
            "storageClass": "STANDARD",
            "timeCreated": _UPDATED,
            "updated": _UPDATED,
        }


class Store:
    """Buckets of objects; a bucket is there when it is named."""

    def __init__(self, mirror: Path | None = None) -> None:
        """Make an empty store; what clients write is also written under `mirror`, as BUCKET/NAME."""
        self._objects: dict[str, dict[str, _Stored]] = {}
        self._names: dict[str, list[str]] = {}
        self._generations = itertools.count(1)
        self._uploads: dict[str, tuple[str, str, str | None, bytearray]] = {}
        self._mirror = mirror

    def put(self, bucket: str, name: str, data: bytes) -> Answer:
        """Store an object; the answer is its metadata."""
        crc = base64.b64encode(google_crc32c.value(data).to_bytes(4, "big")).decode()
        objects, names = self._objects.setdefault(bucket, {}), self._names.setdefault(bucket, [])
        if name not in objects:
            insort(names, name)
        objects[name] = _Stored(name, bucket, data, next(self._generations), crc)
        return Answer.json(objects[name].metadata())

    def answer(self, request: Request) -> Answer:
        """Carry a request out."""
        routes: list[tuple[re.Pattern[str], Callable[..., Answer]]] = [
            (_COPY, self._copy),
            (_OBJECT, self._object),
            (_LISTING, self._list),
            (_BUCKET, lambda request, bucket: Answer.json({"kind": "storage#bucket", "name": bucket})),
            (_UPLOAD, self._upload),
        ]
        for pattern, act in routes:
            match = pattern.fullmatch(request.path)
            if match:
                return act(request, *map(unquote, match.groups()))
        return self._batch(request) if request.path.startswith("/batch") else Answer.refusal(501)

    def _object(self, request: Request, bucket: str, name: str) -> Answer:
        stored = self._objects.get(bucket, {}).get(name)
        wanted = request.query.get("generation")
        if stored is None or (wanted and int(wanted) != stored.generation):
            return Answer.refusal(404)
        if request.method == "DELETE":
            if not self._matches(bucket, name, request.query.get("ifGenerationMatch")):
                return Answer.refusal(412)
            self._remove(bucket, name)
            return Answer(204)
        return _media(stored, request) if request.query.get("alt") == "media" else Answer.json(stored.metadata())

    def _list(self, request: Request, bucket: str) -> Answer:
        if request.method == "POST":
            return self._upload(request, bucket)
        names, prefix = self._names.get(bucket, []), request.query.get("prefix", "")
        size = min(int(request.query.get("maxResults", PAGE)), PAGE)
        first, stop = (request.query.get(name, "") for name in ("startOffset", "endOffset"))
        start = max(bisect_left(names, max(prefix, first)), bisect_right(names, request.query.get("pageToken", "")))
        found: list[str] = []
        for name in itertools.islice(names, start, start + size + 1):
            if not name.startswith(prefix) or (stop and name >= stop):  # no later name does
                break
            found.append(name)
        listing: dict[str, Any] = {"kind": "storage#objects"}
        listing["items"] = [self._objects[bucket][name].metadata() for name in found[:size]]
        if len(found) > size:
            listing["nextPageToken"] = found[size - 1]
        return Answer.json(listing)

    def _copy(self, request: Request, bucket: str, name: str, verb: str, to_bucket: str, to_name: str) -> Answer:
        stored = self._objects.get(bucket, {}).get(name)
        if stored is None:
            return Answer.refusal(404)
        made = self._write(to_bucket, to_name, stored.data, request.query.get("ifGenerationMatch"))
        if verb == "copyTo" or made.status != 200:
            return made
        size = str(len(stored.data))
        done = {"kind": "storage#rewriteResponse", "totalBytesRewritten": size, "objectSize": size, "done": True}
        return Answer.json({**done, "resource": json.loads(made.body)})

    def _upload(self, request: Request, bucket: str) -> Answer:
        query = request.query
        if "upload_id" in query:
            return self._continue(request, query["upload_id"])
        if query.get("uploadType") == "multipart":
            described, content = _parts(request.headers["content-type"], request.body)
            name = query.get("name") or json.loads(described)["name"]
            return self._write(bucket, name, content, query.get("ifGenerationMatch"))
        name = query.get("name") or json.loads(request.body or b"{}").get("name", "")
        if query.get("uploadType") != "resumable":
            return self._write(bucket, name, request.body, query.get("ifGenerationMatch"))
        session = str(next(self._generations))
        self._uploads[session] = bucket, name, query.get("ifGenerationMatch"), bytearray()
        place = f"http://{request.headers['host']}/upload/storage/v1/b/{bucket}/o?uploadType=resumable"
        return Answer(200, b"", {"Location": f"{place}&upload_id={session}"})

    def _continue(self, request: Request, session: str) -> Answer:
        if session not in self._uploads:
            return Answer.refusal(410)
        bucket, name, generation, data = self._uploads[session]
        data += request.body
        total = request.headers.get("content-range", "/").rpartition("/")[2]
        if total == "*" or (total.isdigit() and len(data) < int(total)):
            return Answer(308, b"", {"Range": f"bytes=0-{len(data) - 1}"} if data else {})
        del self._uploads[session]
        return self._write(bucket, name, bytes(data), generation)

    def _write(self, bucket: str, name: str, data: bytes, generation: str | None) -> Answer:
        if not self._matches(bucket, name, generation):
            return Answer.refusal(412)
        if self._mirror is not None:
            path = self._mirror / bucket / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
        return self.put(bucket, name, data)

    def _matches(self, bucket: str, name: str, generation: str | None) -> bool:
        stored = self._objects.get(bucket, {}).get(name)
        return generation is None or int(generation) == (stored.generation if stored else 0)

    def _remove(self, bucket: str, name: str) -> None:
        del self._objects[bucket][name]
        self._names[bucket].remove(name)
        if self._mirror is not None:
            (self._mirror / bucket / name).unlink(missing_ok=True)

    def _batch(self, request: Request) -> Answer:
        """Carry out the requests in a body of several parts."""
        whole = _message(request.headers["content-type"], request.body)
        answers = []
        for part in whole.get_payload():
            lines, _, body = part.get_payload(decode=True).partition(b"\r\n\r\n")  # type: ignore[union-attr]
            method, target, *_ = lines.split(b"\r\n")[0].decode().split(" ")
            answer = self.answer(Request.of(method, target, {"host": request.headers.get("host", "")}, body))
            inner = f"HTTP/1.1 {answer.status} X\r\nContent-Type: application/json\r\n\r\n".encode() + answer.body
            answers.append(b"--batch_x\r\nContent-Type: application/http\r\n\r\n" + inner + b"\r\n")
        return Answer(200, b"".join(answers) + b"--batch_x--", {"Content-Type": "multipart/mixed; boundary=batch_x"})


def _media(stored: _Stored, request: Request) -> Answer:
    headers = {
        "Content-Type": "application/octet-stream",
        "X-Goog-Hash": f"crc32c={stored.crc32c}",
        "X-Goog-Generation": str(stored.generation),
        "X-Goog-Stored-Content-Length": str(len(stored.data)),
    }
    match = re.fullmatch(r"bytes=(\d+)-(\d*)", request.headers.get("range", ""))
    if not match:
        return Answer(200, stored.data, headers)
    start, size = int(match[1]), len(stored.data)
    stop = min(int(match[2]) + 1, size) if match[2] else size
    if start >= size:
        return Answer.refusal(416)
    return Answer(206, stored.data[start:stop], {**headers, "Content-Range": f"bytes {start}-{stop - 1}/{size}"})


def _message(content_type: str, body: bytes) -> Message[str, str]:
    return BytesParser().parsebytes(f"Content-Type: {content_type}\r\n\r\n".encode() + body)


def _parts(content_type: str, body: bytes) -> tuple[bytes, bytes]:
    """Return the two parts of an upload; split by hand, since a parser of mail would change line ends in the data."""
    boundary = re.search(r'boundary="?([^";]+)', content_type)
    assert boundary is not None
    _, described, content = body.split(b"--" + boundary[1].encode(), 2)
    content = content[: content.rindex(b"--" + boundary[1].encode())].removesuffix(b"\r\n")
    return described.partition(b"\r\n\r\n")[2], content.partition(b"\r\n\r\n")[2]
