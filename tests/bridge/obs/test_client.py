"""OBS's remote control where OBS is busy, hung, too old or not OBS. tests/obs has the real one."""

import socket
import threading
import time

import pytest

from bridge.obs import client as module
from bridge.obs.address import ObsAddress
from bridge.obs.client import ObsClient
from bridge.obs.errors import NotObs, ObsRefused, ObsUnreachable
from engine.clock import monotonic
from tests.bridge.obs.speaker import Speaker
from tests.bridge.running import free_port

BUSY = {"result": False, "code": 207, "comment": "OBS is not ready to perform the request."}
WELL = {"result": True, "code": 100}


@pytest.fixture
def impatient(monkeypatch):
    """For what never answers; whoever answers may take its time, since the machine may be busy."""
    monkeypatch.setattr(module, "TIMEOUT", 1.0)


def test_an_obs_that_is_not_ready_is_asked_again():
    slow = Speaker(lambda request, number: BUSY if number <= 3 else WELL)
    with slow as there, ObsClient(ObsAddress(port=there.port)) as client:
        assert client.version == "29.0.2"

    assert there.asked == ["GetVersion"] * 4


def test_an_obs_that_never_gets_ready_is_given_up(monkeypatch):
    monkeypatch.setattr(module, "READY_TIMEOUT", 0.5)
    with Speaker(lambda request, number: BUSY) as there, pytest.raises(ObsRefused, match="not ready") as error:
        ObsClient(ObsAddress(port=there.port))

    assert error.value.code == 207


def test_an_obs_that_hangs_is_given_up_and_the_next_question_is_answered_with_its_own_answer(impatient):
    hung = Speaker(lambda request, number: None if number == 2 else WELL)
    with hung as there, ObsClient(ObsAddress(port=there.port)) as client:
        with pytest.raises(ObsUnreachable, match="does not answer"):
            client.ask("GetSceneList")

        assert client.ask("GetVersion")["obsVersion"] == "29.0.2"


def test_a_server_that_says_nothing_is_no_obs_of_today(impatient):
    with Speaker(silent=True) as there, pytest.raises(NotObs, match="not OBS 28") as error:
        ObsClient(ObsAddress(port=there.port))

    assert "update OBS" in error.value.hint


@pytest.mark.parametrize("greeting", ['{"update-type": "Hello"}', "not JSON", "[]", '{"op": 0}', "7", "[" * 200_000])
def test_a_server_that_greets_otherwise_is_no_obs_of_today(greeting):
    with Speaker(greeting=greeting) as there, pytest.raises(NotObs, match="not OBS 28"):
        ObsClient(ObsAddress(port=there.port))


@pytest.mark.parametrize("status", [{}, [], "fine", 7, {"result": False}])
def test_an_answer_that_makes_no_sense_is_one_sentence(status):
    odd = Speaker(lambda request, number: WELL if number == 1 else status)
    with odd as there, ObsClient(ObsAddress(port=there.port)) as client, pytest.raises(NotObs, match="not OBS 28"):
        client.ask("GetSceneList")


def test_tables_in_tables_without_end_are_one_sentence():
    deep = {}
    for _ in range(600):
        deep = {"scenes": deep}
    odd = Speaker(said={"GetSceneList": deep})
    with odd as there, ObsClient(ObsAddress(port=there.port)) as client, pytest.raises(NotObs, match="not OBS 28"):
        client.ask("GetSceneList")


@pytest.mark.parametrize("said", [{"scenes": [{}]}, {"scenes": [{"name": 1}]}, {}, {"scene": 7}, [], "scenes"])
def test_an_answer_that_lacks_what_belongs_in_it_is_one_sentence(said):
    odd = Speaker(said={"GetSceneList": said})
    with odd as there, ObsClient(ObsAddress(port=there.port)) as client, pytest.raises(NotObs, match="not OBS 28"):
        [each["sceneName"] for each in client.ask("GetSceneList")["scenes"]]


def test_a_web_server_is_no_obs():
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve():
            guest, _ = listener.accept()
            with guest:
                guest.recv(4096)
                guest.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok")

        thread = threading.Thread(target=serve)
        thread.start()
        with pytest.raises(NotObs):
            ObsClient(ObsAddress(port=listener.getsockname()[1]))
        thread.join()


def test_nobody_there_is_one_sentence_with_a_next_step():
    with pytest.raises(ObsUnreachable, match="does not answer") as error:
        ObsClient(ObsAddress(port=free_port()))

    assert "start OBS" in error.value.hint


def test_an_obs_whose_server_is_off_is_told_where_to_switch_it_on():
    with pytest.raises(ObsUnreachable) as error:
        ObsClient(ObsAddress(port=free_port(), enabled=False))

    assert "start OBS" not in error.value.hint
    assert "tick Enable WebSocket server" in error.value.hint


def test_that_the_other_side_has_gone_is_told_once():
    lost = []
    there = Speaker()
    with there:
        client = ObsClient(ObsAddress(port=there.port), on_lost=lambda: lost.append(1))
    deadline = monotonic() + 10
    while not lost and monotonic() < deadline:
        time.sleep(0.02)
    client.close()
    client.close()

    assert lost == [1]


def test_hanging_up_oneself_is_not_told():
    lost = []
    with Speaker() as there:
        client = ObsClient(ObsAddress(port=there.port), on_lost=lambda: lost.append(1))
        client.close()

    assert not lost
    with pytest.raises(ObsUnreachable):
        client.ask("GetVersion")


def test_an_obs_that_goes_away_while_it_is_connected_to_is_away_and_worth_another_try():
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def leave():
            guest, _ = listener.accept()
            guest.recv(4096)
            guest.close()

        thread = threading.Thread(target=leave)
        thread.start()
        with pytest.raises(ObsUnreachable):
            ObsClient(ObsAddress(port=listener.getsockname()[1]))
        thread.join()


class Babbler(Speaker):
    """Answers one question, and from then on says what is no message."""

    def _reply(self, client, question):
        if self.asked:
            client.send("7")
        else:
            super()._reply(client, question)


def test_who_waits_for_an_answer_waits_no_longer_when_the_other_side_talks_nonsense():
    lost = []
    with Babbler() as there, ObsClient(ObsAddress(port=there.port), on_lost=lambda: lost.append(1)) as client:
        with pytest.raises(ObsUnreachable, match="has gone"):
            client.ask("GetSceneList")

        with pytest.raises(ObsUnreachable, match="has gone"):
            client.ask("GetVersion")

        deadline = monotonic() + 10
        while not lost and monotonic() < deadline:
            time.sleep(0.02)

    assert lost == [1]
