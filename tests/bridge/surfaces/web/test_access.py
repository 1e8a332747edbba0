"""Who may use the web page's port: on loopback everybody, elsewhere whoever has the token."""

import os
import re
import stat
import sys

import httpx
import psutil
import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from bridge.access import tokens
from bridge.client import ask, ask_status
from bridge.errors import BridgeError
from bridge.options import RunOptions
from bridge.surfaces.osc.surface import OscSurface
from bridge.surfaces.web.surface import WebSurface

TOKEN = "a-token-of-mine"
PATHS = [
    "/",
    "/page.js",
    "/nowhere",
    "/api/status",
    "/api/controls",
    "/?token=",
    "/?token=wrong",
    "/api/status?token=x",
]


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    """A user who has nothing yet."""
    for name in ("HOME", "XDG_CACHE_HOME", "LOCALAPPDATA", "XDG_CONFIG_HOME"):
        monkeypatch.setenv(name, str(tmp_path))
    return tmp_path


@pytest.fixture
def web(desk, ring_names):
    return desk.start(WebSurface(desk.control, *ring_names, port=0, token=TOKEN))


@pytest.fixture
def http(web):
    with httpx.Client(base_url=web.url, trust_env=False, timeout=60) as client:
        yield client


def listen(web, path, **options):
    return connect(f"ws://127.0.0.1:{web.port}{path}", proxy=None, max_size=None, **options)


def bearer(token):
    return {"Authorization": f"Bearer {token}"}


WRONG = [bearer("wrong"), bearer("ä"), {"Authorization": "Bearer"}, {"Authorization": f"Basic {TOKEN}"}]


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("headers", [{}, *WRONG, {"Cookie": f"token={TOKEN}"}], ids=str)
def test_without_the_token_nothing_is_served(http, path, headers):
    answer = http.get(path, headers={name: value.encode() for name, value in headers.items()})

    assert answer.status_code == 401
    assert set(answer.json()) == {"error", "hint"}
    assert TOKEN not in f"{answer.text}{answer.headers}"


@pytest.mark.parametrize("method, path", [("PUT", "/api/controls/steps"), ("POST", "/api/actions/reset")])
def test_without_the_token_nothing_is_done(desk, http, method, path):
    assert http.request(method, path, json={"value": 4}).status_code == 401
    assert http.request(method, f"{path}?token=wrong", json={"value": 4}).status_code == 401

    assert desk.control.params.revision == 0
    assert desk.performed == []


@pytest.mark.parametrize("path", ["/ws", "/ws/in", "/ws/out", "/ws/in?token=wrong", "/ws/secret"])
def test_without_the_token_nobody_listens_and_the_log_stays_empty(desk, web, path, caplog):
    with pytest.raises(InvalidStatus) as error, listen(web, path):
        pass

    assert error.value.response.status_code == 401
    desk.wait(web.stop())  # what a connection leaves in the log is there by now
    assert caplog.text == ""


def test_a_browser_without_the_token_is_told_where_to_find_it(http):
    answer = http.get("/", headers={"Accept": "text/html,application/xhtml+xml"})

    assert answer.status_code == 401
    assert "text/html" in answer.headers["content-type"]
    assert "latentcast run" in answer.text
    assert "script" not in answer.text


def test_the_address_with_the_token_lets_a_browser_in_and_keeps_the_token_out_of_the_address(web, http):
    welcome = http.get(web.link.removeprefix(web.url))
    cookie = welcome.headers["set-cookie"].lower()

    assert "httponly" in cookie and "samesite=strict" in cookie and "domain" not in cookie
    assert re.search(r'http-equiv="refresh" content="0; url=/"', welcome.text)
    assert TOKEN not in welcome.text
    assert http.get("/").status_code == http.get("/page.js").status_code == 200
    assert http.put("/api/controls/steps", json={"value": 4}).status_code == 200
    (kept,) = http.cookies.jar
    with listen(web, "/ws", additional_headers={"Cookie": f"{kept.name}={kept.value}"}) as ws:
        assert ws.recv(timeout=60)


def test_programs_give_the_token_in_a_header_or_in_the_address(desk, web, http):
    assert http.put("/api/controls/steps", json={"value": 4}, headers=bearer(TOKEN)).status_code == 200
    assert http.get(f"/api/status?token={TOKEN}").json()["params"]["steps"] == 4
    for path, headers in ((f"/ws?token={TOKEN}", {}), ("/ws", bearer(TOKEN))):
        with listen(web, path, additional_headers=headers) as ws:
            assert ws.recv(timeout=60)


@pytest.mark.parametrize("origin", ["http://127.0.0.1:1", "http://localhost", "https://evil.example", "null"])
def test_with_a_token_another_page_of_this_machine_is_another_page(desk, web, http, origin):
    headers = {"Origin": origin, "Cookie": f"latentcast-{web.port}={TOKEN}"}

    assert http.put("/api/controls/steps", json={"value": 4}, headers=headers).status_code == 403
    with pytest.raises(InvalidStatus), listen(web, "/ws/in", additional_headers=headers):
        pass
    assert desk.control.params.revision == 0


def test_another_name_is_not_answered_to_though_the_token_is_right(http):
    assert http.get("/api/status", headers={"Host": "evil.example", **bearer(TOKEN)}).status_code == 403


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "127.0.0.2"])
def test_this_machine_alone_needs_no_token(desk, ring_names, host):
    web = desk.start(WebSurface(desk.control, *ring_names, host=host, port=0))

    assert (web.token, web.is_open, web.links) == ("", False, [web.url])
    assert httpx.get(f"{web.url}/api/status", trust_env=False, timeout=60).status_code == 200


def own_addresses():
    return {one.address for several in psutil.net_if_addrs().values() for one in several} - {"127.0.0.1", "::1"}


@pytest.mark.parametrize("host, itself", [("0.0.0.0", "http://127.0.0.1"), ("::", "http://[::1]")])
def test_an_open_port_makes_a_token_and_says_the_addresses_others_can_open(desk, ring_names, host, itself):
    web = desk.start(WebSurface(desk.control, *ring_names, host=host, port=0))

    assert web.is_open
    assert len(web.token) >= 20
    assert web.url == f"{itself}:{web.port}"
    for link in web.links:
        assert link.endswith(f":{web.port}/?token={web.token}")
        named = httpx.URL(link).host
        assert named in own_addresses() or f"http://{named}" == itself or web.links == [web.link]
        assert httpx.get(link, trust_env=False, timeout=60).status_code == 200
        assert httpx.get(link.partition("?")[0], trust_env=False, timeout=60).status_code == 401


def test_every_run_has_another_token():
    assert len({tokens.new_token() for _ in range(100)}) == 100


def test_commands_of_the_same_user_know_the_token_until_the_run_ends(desk, ring_names, home):
    web = desk.start(WebSurface(desk.control, *ring_names, host="0.0.0.0", port=0))
    options = RunOptions(web_port=web.port)

    assert ask_status(options)["params"]["steps"] == 2
    ask(options, "POST", "/api/actions/reset")
    assert desk.performed == [("reset",)]
    (file,) = home.rglob("token-*")
    if os.name == "posix":
        assert stat.S_IMODE(file.stat().st_mode) == 0o600

    desk.wait(web.stop())
    assert [*home.rglob("token-*")] == []


def test_another_user_is_told_that_a_token_is_needed(web, home):
    (file,) = home.rglob("token-*")
    file.unlink()

    with pytest.raises(BridgeError, match="needs a token") as error:
        ask_status(RunOptions(web_port=web.port))
    assert "--token" in error.value.hint
    assert ask_status(RunOptions(web_port=web.port, token=TOKEN))


def test_the_token_of_a_run_that_was_killed_is_told_to_nobody(web, home):
    (file,) = home.rglob("token-*")
    gone = max(psutil.pids()) + 1000
    file.write_text(file.read_text().replace(str(os.getpid()), str(gone)))

    assert tokens.read_token(web.port) == ""


@pytest.mark.parametrize("damage", ["", "{", "[]", "7", '{"pid": "x", "token": "y"}', "{}"])
def test_a_damaged_file_is_no_token(home, damage):
    tokens.write_token(1, TOKEN)
    (file,) = home.rglob("token-*")
    file.write_text(damage)

    assert tokens.read_token(1) == ""
    tokens.remove_token(1)


@pytest.mark.skipif(sys.platform == "win32", reason="homes lie elsewhere there")
def test_where_the_token_cannot_be_kept_the_run_goes_on(desk, ring_names, home, monkeypatch, caplog):
    (home / "file").touch()
    for name in ("HOME", "XDG_CACHE_HOME"):
        monkeypatch.setenv(name, str(home / "file"))
    web = desk.start(WebSurface(desk.control, *ring_names, port=0, token=TOKEN))

    assert httpx.get(web.link, trust_env=False, timeout=60).status_code == 200
    assert "--token" in caplog.text


def test_an_open_osc_port_is_known_to_be_open(desk):
    assert desk.start(OscSurface(desk.control, "0.0.0.0", 0, 1)).is_open
    assert not desk.start(OscSurface(desk.control, "127.0.0.1", 0, 1)).is_open
