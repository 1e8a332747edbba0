"""Processes that are killed or hang, again and again: pictures go on, and what died comes back as it was."""

import random
import signal
import statistics
import time
import urllib.error

import av

from engine.clock import monotonic
from tests.bridge.running import until

SOON = 60.0  # seconds within which it has to come back at all; how soon it did is in the figures


def back(show, restarts):
    """Seconds until the engine streams again, after it was started once more."""
    began = monotonic()
    until(lambda: show.status["engine"]["restarts"] > restarts, SOON)
    return show.streaming(SOON), monotonic() - began


def test_the_engine_is_killed_a_hundred_times(attack, figures, scaled):
    times = []
    with attack("--steps", "2", "--prompt", "ink") as show:
        before = show.status
        for _ in range(scaled(100)):
            time.sleep(random.uniform(0.2, 3))
            now = show.streaming()["engine"]
            show.children("bridge.worker.main")[0].kill()
            after, took = back(show, now["restarts"])
            times.append(took)
            assert after["params"] == before["params"], "the same controls"
    figures.update(kills=len(times), back_p50_s=round(statistics.median(times), 2), back_max_s=round(max(times), 2))


def test_an_engine_that_hangs_is_replaced(attack, figures):
    with attack() as show:
        restarts = show.status["engine"]["restarts"]
        show.children("bridge.worker.main")[0].suspend()
        _, took = back(show, restarts)
    figures.update(back_s=round(took, 2))


def test_the_run_stands_still_for_ten_seconds_and_goes_on_with_the_same_engine(make_show, figures):
    show = make_show()
    before = show.streaming()["engine"]
    show.process.send_signal(signal.SIGSTOP)
    time.sleep(10)
    show.process.send_signal(signal.SIGCONT)
    time.sleep(2)

    after = show.streaming()["engine"]

    assert (after["pid"], after["restarts"]) == (before["pid"], before["restarts"])
    figures.update(end_s=show.end())


def test_the_input_is_killed_and_hangs(attack, figures):
    with attack() as show:
        for harm in (signal.SIGKILL, signal.SIGSTOP):
            source = show.children("source")[0]
            began = monotonic()
            source.send_signal(harm)
            until(lambda: [one for one in show.children("source") if one.pid != source.pid], SOON, "not replaced")  # noqa: B023
            until(lambda: show.status["fps_in"] > 5, SOON, "no pictures come in")
            show.streaming()
            figures[f"input_back_after_{harm.name.lower()}_s"] = round(monotonic() - began, 2)


def test_a_recorder_is_killed_and_hangs_and_what_it_had_plays(attack, figures):
    with attack() as show:
        for harm in (signal.SIGKILL, signal.SIGSTOP):
            recorder = recording(show)
            time.sleep(3)
            known = set(show.folder.glob("*"))
            began = monotonic()
            recorder.send_signal(harm)
            until(lambda: output(show)["error"] or recording(show).pid != recorder.pid, SOON, "nobody was told")  # noqa: B023
            until(lambda: [one for one in show.children("sink") if one.pid != recorder.pid], SOON, "no new file")  # noqa: B023
            figures[f"recorder_back_after_{harm.name.lower()}_s"] = round(monotonic() - began, 2)
            until(lambda: set(show.folder.glob("*.mp4*")) - known, SOON, "no new file")  # noqa: B023
        show.ask("actions/record", {"arguments": [False]}, "POST")
        until(lambda: not show.children("sink"), SOON, "it is not finished")
    figures["pictures_in_parts"] = [length(path) for path in show.folder.glob("*.part")]
    assert len(figures["pictures_in_parts"]) == 2
    assert min(figures["pictures_in_parts"]) > 20


def recording(show):
    """The process that records, after it was asked to."""
    show.ask("actions/record", {"arguments": [True]}, "POST")
    return until(lambda: show.children("sink"), SOON)[0]


def output(show):
    return next((one for one in show.status["outputs"] if one["kind"] == "recorder"), {"error": "gone"})


def length(path):
    """Pictures that a player finds in a file."""
    with av.open(str(path), format="mp4") as film:
        return sum(1 for _ in film.decode(video=0))


def test_all_processes_are_killed_at_once_and_the_next_run_sweeps_up(make_show):
    show = make_show()
    show.streaming()
    everyone = [*show.children(), show.process]
    for process in everyone:
        process.send_signal(signal.SIGSTOP)
    for process in everyone:
        process.kill()
    show.process.wait()
    assert show.left(), "nobody was there to remove them"

    other = make_show()
    other.streaming()

    assert [name for name in show.left() if name != show.name] == []
    other.end()


def test_the_api_says_what_it_does_not_take(make_show):
    """So that the attacks above cannot pass by asking for nothing."""
    show = make_show()
    show.streaming()
    try:
        show.ask("actions/record", {"arguments": ["perhaps"]}, "POST")
    except urllib.error.HTTPError as error:
        assert error.code == 422
    else:
        raise AssertionError("it was taken")
    show.end()
