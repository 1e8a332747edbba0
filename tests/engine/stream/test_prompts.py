"""Prompts encoded aside, while the picture plays on."""

from concurrent.futures import ThreadPoolExecutor
from threading import Event, Timer

import pytest
import torch

from engine.errors import BadWeights
from engine.stream.fade import PromptFader
from engine.stream.prompts import EmbeddingCache, PromptRequest, run_now


class Track:
    """A prompt's way from wanted to told, as a session and its planner take it."""

    def __init__(self, embeddings, spare):
        self._embeddings, self._request, self._fader = embeddings, PromptRequest(embeddings, spare), PromptFader()
        self.take_problem, self.told, self._seconds = self._request.take_problem, (), 0.0

    @property
    def waiting(self):
        return self._request.waiting

    @property
    def now(self):
        return self._embeddings.look_up(self.told, wait=True)

    def want(self, blend, seconds):
        self._seconds = seconds
        self._request.want(blend)

    def at(self, time):
        """The embedding if it is another than last time."""
        before, self.told = self.told, self._fader.at(time, self._request.settle(), self._seconds)
        return None if self.told == before else self.now


class SlowEncoder:
    """Takes its time over a prompt until `go` is set; "ab" becomes [1, 1, 1] of 2."""

    def __init__(self):
        self.go = Event()

    def encode(self, texts):
        assert self.go.wait(5.0)
        return torch.full((1, 1, 1), float(len(texts[0])))


def test_a_stream_waits_for_its_first_prompt_and_no_other():
    encoder = SlowEncoder()
    with ThreadPoolExecutor(1) as aside:
        track = Track(EmbeddingCache(encoder, aside.submit), (("a", 1.0),))
        track.want((("ab", 1.0),), 0.0)
        Timer(0.1, encoder.go.set).start()
        assert track.at(0.0).item() == 2.0

        encoder.go.clear()
        track.want((("abcd", 1.0),), 0.0)
        assert track.at(1.0) is None
        assert track.waiting, "the old prompt plays on"
        encoder.go.set()
    assert track.at(2.0).item() == 4.0


def test_a_blend_of_more_prompts_than_the_book_has_pages_is_encoded_once_and_arrives():
    encoder = SlowEncoder()
    encoder.go.set()
    asked = []

    def submit(work):
        asked.append(work)
        return run_now(work)

    embeddings = EmbeddingCache(encoder, submit, capacity=2)
    blend = tuple((text, 0.25) for text in ("a", "bb", "ccc", "dddd"))

    assert embeddings.look_up(blend, wait=False).item() == 2.5
    assert embeddings.look_up(blend, wait=False).item() == 2.5
    assert len(asked) == 4
    for text in ("e", "dddd", "e"):
        embeddings.look_up(((text, 1.0),), wait=True)
    assert len(asked) == 5, "the newest two are kept"
    embeddings.look_up((("ccc", 1.0),), wait=True)
    assert len(asked) == 6, "and no others"


class Launched(torch.Tensor):
    """What a CUDA device is still computing: a copy to the host waits for it, another stream reads garbage."""

    @classmethod
    def __torch_function__(cls, func, types, args=(), kwargs=None):
        with torch._C.DisableTorchFunctionSubclass():
            if func is torch.Tensor.cpu:
                return args[0].detach().clone().as_subclass(torch.Tensor)
            return torch.full_like(args[0].as_subclass(torch.Tensor), torch.nan)


class OnDevice(SlowEncoder):
    """Computes on the device that also denoises, in the stream of the thread that asks."""

    def encode(self, texts):
        return super().encode(texts).as_subclass(Launched)


def test_a_prompt_encoded_on_another_thread_is_whole_before_any_stream_reads_it():
    encoder = OnDevice()
    encoder.go.set()
    with ThreadPoolExecutor(1) as aside:
        track = Track(EmbeddingCache(encoder, aside.submit), (("a", 1.0),))
        track.want((("ab", 0.5), ("abcd", 0.5)), 0.0)

        assert track.at(0.0).item() == 3.0


def test_a_blend_is_made_on_the_device_that_denoises():
    embeddings = EmbeddingCache(Fussy(), device="meta")

    assert embeddings.look_up((("a", 0.5), ("ab", 0.5)), wait=True).is_meta


class Fussy:
    """Cannot bear a certain word."""

    def encode(self, texts):
        if "ghost" in texts[0]:
            raise ValueError("no such token")
        return torch.full((1, 1, 1), float(len(texts[0])))


def test_a_prompt_that_cannot_be_encoded_is_said_once_and_the_old_one_stays():
    with ThreadPoolExecutor(1) as aside:
        track = Track(EmbeddingCache(Fussy(), aside.submit), (("spare", 1.0),))
        track.want((("ab", 1.0),), 0.0)
        assert track.at(0.0).item() == 2.0

        track.want((("ghost", 0.5), ("abcd", 0.5)), 0.0)
        assert track.at(1.0) is None
        aside.submit(int).result()  # what was submitted before has been done
        track.at(1.1)

        assert not track.waiting
        assert track.now.item() == 2.0
        problem = track.take_problem()
        assert "ghost" in problem and "no such token" in problem
        assert track.take_problem() == ""

        track.want((("abcd", 1.0),), 0.0)
        assert track.at(2.0).item() == 4.0


def test_a_stream_that_begins_with_such_a_prompt_begins_with_the_presets_own():
    with ThreadPoolExecutor(1) as aside:
        track = Track(EmbeddingCache(Fussy(), aside.submit), (("spare", 1.0),))
        track.want((("ghost", 1.0),), 0.0)

        assert track.at(0.0).item() == 5.0
        assert "ghost" in track.take_problem()


class Broken:
    def encode(self, texts):
        raise BadWeights("the tokenizer is missing", "put it there")


def test_an_encoder_that_can_do_nothing_ends_the_stream_with_its_own_words():
    with ThreadPoolExecutor(1) as aside:
        track = Track(EmbeddingCache(Broken(), aside.submit), (("spare", 1.0),))
        track.want((("ab", 1.0),), 0.0)

        with pytest.raises(BadWeights, match="the tokenizer is missing"):
            track.at(0.0)
