"""A real browser at a page that needs a token, at a page that is none of ours, and between two runs."""

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest

from bridge.surfaces.web.surface import WebSurface
from engine.clock import monotonic
from tests.bridge.surfaces.browser import NEEDS_BROWSER

pytestmark = NEEDS_BROWSER
TOKEN = "a-token-of-mine"


@pytest.fixture
def guarded(desk, ring_names, chromium, tmp_path, monkeypatch):
    """A page that needs a token."""
    for name in ("HOME", "XDG_CACHE_HOME"):
        monkeypatch.setenv(name, str(tmp_path))
    web = desk.start(WebSurface(desk.control, *ring_names, port=0, token=TOKEN))
    desk.call(desk.control.publish, state="streaming", input="clip")
    yield web
    chromium.complaints.clear()  # Chromium itself logs every 401
    chromium.call("Page.navigate", url="about:blank")


@pytest.fixture
def neighbour():
    """Another program of this machine with a page; `text` is what stands there."""

    class Answer(BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.send_header("content-type", "text/html")
            self.end_headers()
            self.wfile.write(self.server.text.encode())

        def log_message(self, *arguments):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Answer) as server:
        server.text = ""
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def test_the_address_with_the_token_opens_the_page_and_all_of_it_works(desk, chromium, guarded, rings):
    chromium.visit(guarded.link)

    assert chromium.see("location.href") == f"{guarded.url}/"
    assert chromium.see("document.cookie") == ""
    chromium.click("[data-name=noise] input", across=0.5)
    desk.until(lambda: desk.control.params.noise == pytest.approx(0.5, abs=0.05))
    rings["in"].write_rgba(np.full((48, 64, 4), 200, np.uint8), monotonic(), 0)
    chromium.until("document.querySelector('#in canvas').width == 64")
    chromium.visit(guarded.url)  # from now on without it
    assert chromium.complaints == []


def test_without_the_token_a_browser_is_told_where_to_find_it(desk, chromium, guarded):
    chromium.call("Page.navigate", url=guarded.url)

    chromium.until("document.body && document.body.textContent.includes('latentcast run')")
    desk.until(lambda: not desk.control._watchers)


def test_a_link_with_the_token_on_another_site_opens_the_page(chromium, guarded, neighbour):
    neighbour.text = f"<a href='{guarded.link}' style='font-size: 99px'>link</a>"
    chromium.call("Page.navigate", url=f"http://localhost:{neighbour.server_port}")
    chromium.until("document.querySelector('a') != null")
    chromium.click("a")

    chromium.until(f"location.href == '{guarded.url}/' && document.body?.dataset.state == 'streaming'")


def test_a_page_of_another_port_cannot_use_what_the_browser_knows(desk, chromium, guarded, neighbour):
    chromium.visit(guarded.link)
    neighbour.text = "a page"
    chromium.call("Page.navigate", url=f"http://127.0.0.1:{neighbour.server_port}")
    chromium.until("document.body && document.body.textContent == 'a page'")
    listens = f"new WebSocket('ws://127.0.0.1:{guarded.port}/ws/in')"
    ending = (
        f"new Promise((on) => {{ const s = {listens}; s.onopen = () => on('open'); s.onerror = () => on('refused') }})"
    )
    reset = f"fetch('{guarded.url}/api/actions/reset', {{method: 'POST', mode: 'no-cors', credentials: 'include'}})"

    assert chromium.see(ending) == "refused"
    chromium.see(f"{reset}.then(() => 0)")
    assert desk.performed == []


def test_a_page_from_before_a_run_with_another_token_says_so(desk, chromium, guarded, ring_names):
    chromium.visit(guarded.link)
    port = guarded.port
    desk.wait(guarded.stop())
    chromium.until("document.body.dataset.state == 'lost'")

    desk.start(WebSurface(desk.control, *ring_names, port=port, token="another-token"))
    chromium.until("document.querySelector('#out .notice').textContent.includes('not the token of this run')")
