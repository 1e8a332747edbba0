"""The page in a real browser: what a person does reaches the desk, and the pictures move."""

import threading
import time

import numpy as np
import pytest

from bridge.control.control import EngineStatus, OutputStatus
from bridge.surfaces.web.surface import WebSurface
from engine.clock import monotonic
from tests.bridge.surfaces.browser import NEEDS_BROWSER

pytestmark = NEEDS_BROWSER


@pytest.fixture
def web(desk, ring_names):
    web = desk.start(WebSurface(desk.control, *ring_names, port=0))
    desk.call(desk.control.publish, state="streaming", input="clip")
    return web


@pytest.fixture
def browser(chromium, web):
    chromium.call("Page.navigate", url="about:blank")  # what is open may look for the bridge of another test
    chromium.complaints.clear()
    chromium.visit(web.url)
    yield chromium
    assert chromium.complaints == []
    chromium.call("Page.navigate", url="about:blank")


def hold_requests(browser):
    """What the page asks for waits here, in `go`."""
    held_back = "(...what) => new Promise((on) => go.push(on)).then(() => post(...what))"
    browser.see(f"window.post = fetch; window.go = []; fetch = {held_back}")


def let_requests_go(browser):
    browser.see("fetch = post; go.forEach((on) => on())")


@pytest.mark.parametrize("width, phone", [(1280, False), (390, True)])
def test_the_page_fits_its_screen(chromium, web, width, phone):
    chromium.visit(web.url, width, 844, phone)

    assert chromium.see("document.documentElement.scrollWidth") <= width


def test_a_slider_moves_its_control(desk, browser):
    browser.click("[data-name=noise] input", across=0.5)

    desk.until(lambda: desk.control.params.noise == pytest.approx(0.5, abs=0.05))


def test_buttons_and_switches_move_their_controls(desk, browser):
    browser.click("[data-name=steps] button:last-child")
    desk.until(lambda: desk.control.params.steps == 4)
    browser.click("[data-name=panic]")
    desk.until(lambda: desk.control.params.panic)
    browser.until("!document.querySelector('.notice').hidden")
    browser.click("[data-name=panic]")
    desk.until(lambda: not desk.control.params.panic)


def test_a_look_is_one_tap_and_any_other_prompt_is_typed(desk, browser):
    browser.click(".chips button:nth-child(7)")
    desk.until(lambda: desk.control.params.prompt == "neon")

    browser.click("[data-name=prompt] textarea")
    browser.see("document.querySelector('[data-name=prompt] textarea').select()")
    browser.see("window.later = setTimeout; setTimeout = () => 0")  # nothing is sent by waiting
    browser.type("a forest of glass")
    assert desk.control.params.prompt == "neon"
    browser.press("Enter")
    desk.until(lambda: desk.control.params.prompt == "a forest of glass")

    browser.see("setTimeout = later")
    browser.type(" at dusk")
    desk.until(lambda: desk.control.params.prompt == "a forest of glass at dusk")


def test_news_from_before_a_change_made_here_does_not_undo_it(desk, browser):
    hold_requests(browser)
    browser.click("[data-name=prompt] textarea")
    browser.see("document.querySelector('[data-name=prompt] textarea').select()")
    browser.type("a forest of glass")
    browser.press("Enter")
    browser.until("go.length")
    desk.call(desk.control.set, "prompt", "neon")
    desk.call(desk.control.set, "noise", 0.25)
    browser.until("document.querySelector('[data-name=noise] input').value == 0.25")

    browser.type(" at dusk")
    let_requests_go(browser)

    desk.until(lambda: desk.control.params.prompt == "a forest of glass at dusk")
    desk.call(desk.control.set, "prompt", "ink")
    browser.until("document.querySelector('[data-name=prompt] textarea').value == 'ink'")


def typed(browser, text, into="[data-name=prompt] textarea"):
    browser.click(into)
    browser.see(f"document.querySelector({into!r}).select()")
    browser.type(text)


def value(browser, name, kind="input"):
    return browser.see(f"document.querySelector('[data-name={name}] {kind}').value")


def test_what_is_half_typed_outlives_another_model_and_another_run(desk, browser, web, ring_names):
    browser.see("setTimeout = ((later) => (what, when) => when == 700 ? 0 : later(what, when))(setTimeout)")
    typed(browser, "a forest of")
    desk.call(desk.control.publish, engine=EngineStatus(preset="wan-1.3b"))
    browser.until("!document.querySelector('.chips button')")
    port = web.port
    desk.wait(web.stop())
    browser.until("document.body.dataset.state == 'lost'")
    assert "gone" in browser.see("document.querySelector('#out .notice').textContent")
    desk.start(WebSurface(desk.control, *ring_names, port=port))
    browser.until("document.body.dataset.state == 'streaming'")
    browser.type(" glass")

    assert value(browser, "prompt", "textarea") == "a forest of glass"
    browser.press("Enter")
    desk.until(lambda: desk.control.params.prompt == "a forest of glass")
    browser.complaints.clear()  # Chromium itself logs refused connections


def test_changes_made_while_the_page_asks_for_the_table_are_shown(desk, browser):
    held_back = "(...what) => post(...what).then((answer) => new Promise((on) => go.push(() => on(answer))))"
    browser.see(f"window.post = fetch; window.go = []; fetch = {held_back}")
    desk.call(desk.control.publish, engine=EngineStatus(preset="wan-1.3b"))
    browser.until("go.length")
    desk.call(desk.control.set_all, {"noise": 0.25, "prompt": "ink"})
    desk.call(desk.control.publish, fps_out=20.0)
    browser.until("document.querySelector('#stats').textContent.includes('20.0')")
    let_requests_go(browser)
    browser.until("!document.querySelector('.chips button')")

    assert (value(browser, "noise"), value(browser, "prompt", "textarea")) == ("0.25", "ink")


def test_a_prompt_that_is_refused_stays_to_be_mended_and_escape_takes_it_back(desk, browser):
    typed(browser, "neon:0 | ink:0")
    browser.press("Enter")
    browser.until("document.querySelector('[data-name=prompt] textarea').ariaInvalid == 'true'")
    assert value(browser, "prompt", "textarea") == "neon:0 | ink:0"
    browser.complaints.clear()  # Chromium itself logs every 422

    browser.press("Escape")
    assert value(browser, "prompt", "textarea") == "watercolor"
    assert browser.see("document.activeElement == document.body")
    assert desk.control.params.revision == 0


def test_a_look_that_was_played_over_meanwhile_can_be_tapped_again(desk, browser):
    typed(browser, "x")
    desk.call(desk.control.set, "prompt", "neon")
    desk.call(desk.control.set, "noise", 0.25)
    browser.until("document.querySelector('[data-name=noise] input').value == 0.25")
    typed(browser, "watercolor")
    browser.click(".chips button:nth-child(2)")

    desk.until(lambda: desk.control.params.prompt == "watercolor")


def test_half_the_name_of_a_lora_is_not_sent(desk, browser):
    typed(browser, "grai", "[data-name=lora] textarea")
    typed(browser, "a forest", "[data-name=prompt] textarea")
    desk.until(lambda: desk.control.params.prompt == "a forest")  # in a pause
    assert desk.control.params.lora == "grai"  # the box was left

    typed(browser, "grain", "[data-name=lora] textarea")
    time.sleep(1.0)
    assert desk.control.params.lora == "grai"
    browser.press("Enter")
    desk.until(lambda: desk.control.params.lora == "grain")


@pytest.mark.parametrize(
    "text", ["🦊 " * 600 + "end", "a\nb", "غابة من زجاج", "x" * 2000], ids=["fox", "lines", "rtl", "long"]
)
def test_any_text_is_a_prompt(desk, browser, text):
    typed(browser, text)
    browser.press("Enter")

    desk.until(lambda: desk.control.params.prompt == text)
    browser.click("[data-name=noise] input")
    browser.until("document.activeElement.type == 'range'")
    assert value(browser, "prompt", "textarea") == text
    assert browser.see("document.documentElement.scrollWidth <= innerWidth")


def test_a_number_that_is_not_finished_is_none(desk, browser):
    seed = "[data-name=seed] input"
    typed(browser, "7", seed)
    desk.call(desk.control.set, "seed", 5)
    desk.call(desk.control.set, "noise", 0.25)
    browser.until("document.querySelector('[data-name=noise] input').value == 0.25")
    assert value(browser, "seed") == "7", "not while somebody types"
    browser.press("Escape")
    assert value(browser, "seed") == "5"

    typed(browser, "", seed)
    browser.press("Backspace")
    browser.see(f"document.querySelector('{seed}').value = ''")
    browser.click("[data-name=prompt] textarea")
    assert value(browser, "seed") == "5"

    typed(browser, "99999999999", seed)
    browser.press("Enter")
    browser.until(f"document.querySelector('{seed}').value == {2**31 - 1}")
    browser.click("[data-name=seed] button")
    desk.until(lambda: desk.control.params.seed not in (5, 2**31 - 1))
    browser.until(f"document.querySelector('{seed}').value < 1e6")


def test_a_knob_that_was_held_shows_what_came_meanwhile_when_it_is_let_go(desk, browser):
    knob = "document.querySelector('[data-name=noise] input')"
    x, y = browser.see(
        f"(({knob}.scrollIntoView()), (b => [b.x + b.width / 2, b.y + b.height / 2])({knob}.getBoundingClientRect()))"
    )
    mouse = {"x": x, "y": y, "button": "left", "clickCount": 1}
    browser.call("Input.dispatchMouseEvent", type="mousePressed", **mouse)
    desk.until(lambda: desk.control.params.noise == pytest.approx(0.5, abs=0.05))
    held = value(browser, "noise")
    desk.call(desk.control.set_all, {"noise": 0.25, "motion": 0.25})
    browser.until("document.querySelector('[data-name=motion] input').value == 0.25")
    assert value(browser, "noise") == held
    browser.call("Input.dispatchMouseEvent", type="mouseReleased", **mouse)

    browser.until(f"{knob}.value == 0.25")


def test_keys_work_while_nobody_types(desk, browser):
    browser.press("b")
    desk.until(lambda: desk.control.params.bypass)
    browser.click("[data-name=noise] input")  # a knob in the hand is not typing
    browser.press("P")  # with caps lock on
    desk.until(lambda: desk.control.params.panic)
    browser.press("з", code="KeyP")
    desk.until(lambda: not desk.control.params.panic)

    browser.click("[data-name=prompt] textarea")
    browser.press("b")
    browser.press("Escape")
    browser.press("p")
    desk.until(lambda: desk.control.params.panic)
    assert desk.control.params.bypass


def test_a_key_after_a_preset_was_chosen_does_not_choose_another(desk, browser):
    browser.see(
        "(list => { list.focus(); list.value = 'wan-1.3b'; list.dispatchEvent(new Event('change')) })"
        "(document.querySelector('[data-action=preset] select'))"
    )
    browser.press("p")

    desk.until(lambda: desk.control.params.panic)
    assert desk.performed == [("preset", "wan-1.3b")]


def test_the_space_bar_freezes_after_a_click_and_presses_what_was_reached_by_tab(desk, browser):
    browser.click("[data-name=carry]")
    desk.until(lambda: desk.control.params.carry)
    browser.press(" ")
    desk.until(lambda: desk.control.params.freeze)
    browser.see("document.querySelector('[data-name=panic]').focus()")
    browser.press(" ")
    desk.until(lambda: desk.control.params.panic)

    assert (desk.control.params.carry, desk.control.params.freeze) == (True, True)


def test_two_quick_presses_of_a_key_end_where_they_began(desk, browser):
    hold_requests(browser)
    browser.press("b")
    browser.press("b")
    let_requests_go(browser)

    desk.until(lambda: desk.control.params.revision)
    browser.until("document.querySelector('[data-name=bypass]').ariaPressed == 'false'")
    desk.until(lambda: not desk.control.params.bypass)


def test_a_button_of_an_output_stays_the_same_while_nothing_is_new(desk, browser):
    recorder = (OutputStatus("recorder", "recorder"),)
    desk.call(desk.control.publish, outputs=recorder)
    browser.until("!!(window.before = document.querySelector('.outputs button'))")
    desk.call(desk.control.publish, outputs=recorder, fps_out=20.0)
    browser.until("document.querySelector('#stats').textContent.includes('20.0')")
    assert browser.see("before.isConnected")

    desk.call(desk.control.publish, outputs=(OutputStatus("recorder", "recorder", "the disk is full"),))
    browser.until("!!document.querySelector('.outputs .broken')")
    assert browser.see("getComputedStyle(document.querySelector('.outputs .broken')).borderColor") == "rgb(229, 72, 77)"


def test_an_input_that_did_not_open_gives_way_to_the_one_there_is(desk, browser):
    typed(browser, "camera:9", "[data-action=input] input")
    browser.press("Enter")
    desk.until(lambda: ("input", "camera:9") in desk.performed)
    desk.call(desk.control.fail, "no camera 9", "input")

    browser.until("document.querySelector('[data-action=input] input').value == 'clip'")


def test_a_page_that_is_left_without_a_word_calls_again(desk, browser):
    browser.see("window.were = []; const note = () => were.push(document.body.dataset.state)")
    browser.see("new MutationObserver(note).observe(document.body, { attributes: true })")
    browser.see("window.real = Date.now; Date.now = () => real() + 60000")  # it slept for a minute

    browser.until("were.includes('lost') && document.body.dataset.state == 'streaming'")


def test_a_request_without_an_answer_says_what_to_do(desk, browser):
    browser.see("window.post = fetch; fetch = () => Promise.reject(new TypeError('Failed to fetch'))")
    browser.click("[data-name=bypass]")

    browser.until("document.querySelector('#toasts').textContent.includes('latentcast run')")
    browser.until("document.querySelector('[data-name=bypass]').ariaPressed == 'false'")


def test_a_change_made_elsewhere_moves_the_widget_and_its_tick_says_when_it_is_seen(desk, browser):
    desk.call(desk.control.set, "noise", 0.25)
    browser.until("document.querySelector('[data-name=noise] input').value == 0.25")
    browser.until("document.querySelector('[data-name=noise] .tick').classList.contains('waiting')")

    desk.call(desk.control.publish, applied={"revision": 1, "frame": 96})
    browser.until("document.querySelector('[data-name=noise] .tick').title.includes('96')")


def test_actions_are_buttons_and_their_failures_are_read(desk, browser):
    browser.click("[data-action=reset]")
    desk.until(lambda: ("reset",) in desk.performed)

    browser.click("[data-action=input] input")
    browser.see("document.querySelector('[data-action=input] input').select()")
    browser.type("broken")
    browser.press("Enter")
    browser.until("document.querySelector('#toasts').textContent.includes('take another')")
    browser.complaints.clear()  # Chromium itself logs every 422


def test_pictures_move(browser, rings):
    shade = "document.querySelector('#{} canvas').getContext('2d').getImageData(20, 20, 1, 1).data[0]"
    stop = threading.Event()
    level = {"in": 40, "out": 200}

    def play():
        while not stop.wait(0.03):
            for end, ring in rings.items():
                ring.write_rgba(np.full((48, 64, 4), level[end], np.uint8), monotonic(), 0)

    player = threading.Thread(target=play)
    player.start()
    try:
        for level["in"], level["out"] in ((40, 200), (120, 80)):
            for end in rings:
                browser.until(f"Math.abs({shade.format(end)} - {level[end]}) < 5")
    finally:
        stop.set()
        player.join()


def test_it_says_that_the_bridge_is_gone_and_comes_back_with_it(desk, browser, web, ring_names):
    port = web.port
    desk.wait(web.stop())
    browser.until("document.body.dataset.state == 'lost'")

    desk.start(WebSurface(desk.control, *ring_names, port=port))
    browser.until("document.body.dataset.state == 'streaming'")
    browser.complaints.clear()  # Chromium itself logs refused connections


def test_another_run_on_the_same_port_offers_its_own_looks_and_owes_no_tick(desk, browser, web, ring_names):
    port, ticks = web.port, "[...document.querySelectorAll('.tick')].map((tick) => tick.className).join()"
    desk.call(desk.control.publish, engine=EngineStatus(preset="tiny"))
    browser.until("document.querySelector('#out figcaption span').textContent == 'tiny'")  # built anew for its looks
    browser.click("[data-name=steps] button:nth-child(3)")
    browser.until(f"{ticks}.includes('waiting')")

    desk.wait(web.stop())
    desk.call(desk.control.publish, engine=EngineStatus(preset="wan-1.3b"))
    desk.start(WebSurface(desk.control, *ring_names, port=port))

    browser.until("document.body.dataset.state == 'streaming' && !document.querySelector('.chips button')")
    assert "waiting" not in browser.see(ticks)
    browser.complaints.clear()  # Chromium itself logs refused connections
