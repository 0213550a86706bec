"""A package index on this machine, and wheels for it."""

import io
import threading
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest


def wheel(package: str, members: dict[str, bytes]) -> bytes:
    """A wheel of version 1.0 with these members."""
    name, content = package.replace("-", "_"), io.BytesIO()
    about = {"METADATA": f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n", "RECORD": ""}
    about["WHEEL"] = "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    with zipfile.ZipFile(content, "w") as archive:
        for path, data in members.items():
            archive.writestr(path, data)
        for path, text in about.items():
            archive.writestr(f"{name}-1.0.dist-info/{path}", text)
    return content.getvalue()


class Index:
    """What the index has, what it was asked for, and how many of its first answers break off in the middle."""

    def __init__(self) -> None:
        self.wheels: dict[str, bytes] = {}
        self.asked: list[tuple[str, int]] = []  # package, first byte
        self.breaks = 0


def put(path: Path, content: bytes) -> None:
    """A wheel as it lies among the downloads."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


@contextmanager
def served(monkeypatch: pytest.MonkeyPatch) -> Iterator[Index]:
    """An index that pip asks instead of any other."""
    index = Index()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            package = self.path.strip("/").split("/")[1]
            whole = index.wheels.get(package)
            if whole is None:
                self.send_error(404)
            elif self.path.endswith(".whl"):
                start = int((self.headers["Range"] or "bytes=0-").removeprefix("bytes=").partition("-")[0])
                index.asked.append((package, start))
                cut = len(whole) // 2 if len(index.asked) <= index.breaks else len(whole)
                self.answer(206 if start else 200, whole[start:cut], len(whole) - start, "application/octet-stream")
            else:
                file = f"{package.replace('-', '_')}-1.0-py3-none-any.whl"
                page = f"<a href='/simple/{package}/{file}'>{file}</a>".encode()
                self.answer(200, page, len(page), "text/html")

        def answer(self, status: int, body: bytes, length: int, kind: str) -> None:
            self.send_response(status)
            for name, value in (("Content-Type", kind), ("Content-Length", str(length)), ("ETag", '"one"')):
                self.send_header(name, value)
            self.send_header("Accept-Ranges", "bytes")
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        monkeypatch.setenv("PIP_INDEX_URL", f"http://127.0.0.1:{server.server_port}/simple")
        monkeypatch.setenv("PIP_EXTRA_INDEX_URL", "")
        yield index
        server.shutdown()
