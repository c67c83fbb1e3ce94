"""A server on this machine that misbehaves as it is told to."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

SCANS = b"PK\x03\x04" + bytes(i * i % 251 for i in range(200_000))
OTHER = SCANS[::-1]

Answer = Callable[["Visit"], None]


class Visit(BaseHTTPRequestHandler):
    """One request, answered as the site's script says."""

    protocol_version = "HTTP/1.1"
    server: "Site"

    def do_GET(self):
        path = self.path.partition("?")[0]
        self.server.asked.append((path, self.headers.get("Range")))
        self.server.conditions.append(self.headers.get("If-Range"))
        answers = self.server.script[path]
        (answers.pop(0) if len(answers) > 1 else answers[0])(self)

    def end_headers(self):
        self.send_header("Connection", "close")
        super().end_headers()

    def log_message(self, *_: object):
        pass


class Site(ThreadingHTTPServer):
    """A server whose answers to each path are given in advance; the last one is repeated."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Visit)
        self.script: dict[str, list[Answer]] = {}
        self.asked: list[tuple[str, str | None]] = []
        self.conditions: list[str | None] = []
        self.over = threading.Event()

    def url(self, path: str, *answers: Answer) -> str:
        self.script[path] = list(answers)
        return f"http://127.0.0.1:{self.server_address[1]}{path}"

    def handle_error(self, request, client_address):
        pass


@contextmanager
def running_site() -> Iterator[Site]:
    """A site that answers while the block lasts."""
    with Site() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.over.set()
        server.shutdown()
        thread.join()


def serve(
    content: bytes = SCANS,
    *,
    etag: str | None = '"v1"',
    modified: str | None = None,
    ranges: bool = True,
    if_range: bool = True,
    until: int | None = None,
    stall: bool = False,
    length: int | None = None,
    kind: str = "application/zip",
) -> Answer:
    """Serve a content as a good server does, or with one fault: cut at `until`, stalling there."""

    def answer(visit: Visit) -> None:
        span = visit.headers.get("Range")
        condition = visit.headers.get("If-Range")
        # A weak ETag is none here (RFC 9110, section 13.1.5).
        strong = [tag for tag in (etag, modified) if tag and not tag.startswith("W/")]
        known = condition in strong or condition is None or not if_range
        start = int(span.removeprefix("bytes=").rstrip("-")) if span and ranges and known else 0
        if start >= len(content):
            status(416)(visit)
            return
        visit.send_response(206 if start else 200)
        visit.send_header("Content-Type", kind)
        visit.send_header("Content-Length", str((length or len(content)) - start))
        if etag:
            visit.send_header("ETag", etag)
        if modified:
            visit.send_header("Last-Modified", modified)
        if start:
            visit.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        visit.end_headers()
        visit.wfile.write(content[start:until])
        visit.wfile.flush()
        if stall:
            visit.server.over.wait()

    return answer


def status(code: int, **headers: str) -> Answer:
    def answer(visit: Visit) -> None:
        visit.send_response(code)
        for name, value in headers.items():
            visit.send_header(name.replace("_", "-"), value)
        visit.send_header("Content-Length", "0")
        visit.end_headers()

    return answer


def redirect(location: str) -> Answer:
    return status(302, Location=location)


def hang_up(visit: Visit) -> None:
    """Close the connection before a single byte of an answer."""
    visit.close_connection = True


def chunked(content: bytes, *, whole: bool) -> Answer:
    def answer(visit: Visit) -> None:
        visit.send_response(200)
        visit.send_header("Transfer-Encoding", "chunked")
        visit.end_headers()
        visit.wfile.write(b"%x\r\n%s\r\n" % (len(content), content))
        if whole:
            visit.wfile.write(b"0\r\n\r\n")

    return answer
