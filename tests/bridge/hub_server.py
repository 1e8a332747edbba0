"""A model hub on loopback, with the endpoints and headers that the hub's own library asks for."""

import hashlib
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

COMMIT = "a" * 40
PAGE = b"<html><body>Welcome to the hotel's network. Please log in.</body></html>"


class Hub(ThreadingHTTPServer):
    """Serves `files` {"owner/name/path": bytes}: small ones itself, large ones from /cdn by redirect, as the real one.

    cuts:   {name: bytes}  the connection breaks after so many bytes, once.
    stalls: {name: bytes}  after so many bytes nothing more comes, until `release` is set.
    status: {name: code}   what is answered in place of the file.
    spoilt: {name: bytes}  what is sent in place of the file's bytes.
    asked:  every request as (method, path, range).
    """

    daemon_threads = True

    def __init__(self, files):
        super().__init__(("127.0.0.1", 0), Request)
        self.files, self.asked = dict(files), []
        self.cuts, self.stalls, self.status, self.spoilt = {}, {}, {}, {}
        self.page = False
        self.release = threading.Event()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_port}"

    def ranges(self, name):
        digest = hashlib.sha256(self.files[name]).hexdigest()
        return [span for method, path, span in self.asked if method == "GET" and digest in path]

    def handle_error(self, request, client_address):
        """A client that goes away in the middle is what some tests are about."""


class Request(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def do_HEAD(self):
        self.answer(body=False)

    def do_GET(self):
        self.answer(body=True)

    def answer(self, body):
        hub = self.server
        hub.asked.append((self.command, self.path, self.headers.get("Range")))
        if hub.page:
            return self.send(200, {"Content-Type": "text/html"}, PAGE, body)
        if self.path.startswith("/cdn/"):
            return self.send_file(self.path.removeprefix("/cdn/"), body)
        name, _, path = self.path.lstrip("/").partition("/resolve/")
        name = f"{name}/{path.partition('/')[2]}"
        if name in hub.status or name not in hub.files:
            code = hub.status.get(name, 404)
            wrong = {401: "RepoNotFound", 403: "GatedRepo", 404: "EntryNotFound"}
            headers = {"X-Error-Code": wrong[code]} if code in wrong else {}
            return self.send(code, {"X-Error-Message": "no", **headers}, b"{}", body)
        content = hub.files[name]
        if len(content) < 2000:  # kept in git itself
            etag = hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()
            return self.send(200, {"X-Repo-Commit": COMMIT, "ETag": f'"{etag}"'}, content, body)
        digest = hashlib.sha256(content).hexdigest()
        linked = {"X-Linked-Etag": f'"{digest}"', "X-Linked-Size": str(len(content))}
        linked["Location"] = f"http://localhost:{hub.server_port}/cdn/{name}?{digest}"  # another host, as in life
        return self.send(302, {"X-Repo-Commit": COMMIT, **linked}, b"", body)

    def send_file(self, asked, body):
        hub, name = self.server, asked.partition("?")[0]
        content = hub.spoilt.get(name, hub.files[name])
        start = int((self.headers.get("Range") or "bytes=0-").removeprefix("bytes=").rstrip("-"))
        headers = {"Content-Range": f"bytes {start}-{len(content) - 1}/{len(content)}"} if start else {}
        self.send(206 if start else 200, headers, content[start:], body, name)

    def send(self, code, headers, content, body, name=""):
        self.send_response(code)
        for key, value in headers.items():
            self.send_header(key, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if not body:
            return
        hub = self.server
        if (cut := hub.cuts.pop(name, None)) is not None:
            self.wfile.write(content[:cut])
            self.close_connection = True
            return
        if (stop := hub.stalls.get(name)) is not None:
            self.wfile.write(content[:stop])
            self.wfile.flush()
            hub.release.wait(30)
            self.close_connection = True
            return
        self.wfile.write(content)


@contextmanager
def serving(files):
    with Hub(files) as hub:
        thread = threading.Thread(target=hub.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        try:
            yield hub
        finally:
            hub.release.set()
            hub.shutdown()
            thread.join()
