"""Empty tokens after a prompt's words are folded into a few, and nothing about the result changes."""

from dataclasses import replace

import pytest
import torch
from torch.nn.functional import scaled_dot_product_attention as attend

from engine.models.causal_dit import CausalDiT
from engine.models.prompt_padding import LENGTH_STEP, attend_weighted, kept_length, padding_scores, unpadded_length
from tests.engine.accel.tape import Tape
from tests.engine.small import PRESET

LENGTH = 512
DIT = replace(PRESET.dit, text_len=LENGTH)


def prompt(words, seed=0):
    torch.manual_seed(seed)
    embedding = torch.zeros(1, LENGTH, DIT.text_dim)
    embedding[:, :words] = torch.randn(1, words, DIT.text_dim)
    return embedding


@pytest.fixture(scope="module")
def dit():
    torch.manual_seed(3)
    return CausalDiT(DIT).eval().requires_grad_(False)


@pytest.mark.parametrize("words", [0, 1, 20, 31, 32, 100, 480, 511, 512])
def test_a_prompts_words_are_counted_and_it_is_kept_no_longer_than_it_has_to_be(words):
    counted = unpadded_length(prompt(words))
    kept = kept_length(counted, LENGTH, 0)

    assert counted == min(words, LENGTH - 1)  # the last one is always like itself
    assert kept % LENGTH_STEP == 0 and words < kept <= words + LENGTH_STEP or kept == LENGTH


def test_a_blend_is_as_long_as_its_longest_part_and_rows_that_differ_are_all_words():
    assert unpadded_length((prompt(7) + prompt(90, seed=1)) / 2) == 90
    assert unpadded_length(torch.cat([prompt(7), prompt(40, seed=1)])) == 40


@pytest.mark.parametrize("words", [0, 20, 32, 100, 300])
@pytest.mark.parametrize("min_tokens", [0, 128])
def test_what_is_read_of_a_prompt_is_what_all_its_tokens_say(dit, words, min_tokens):
    attention, text = dit.blocks[0].cross_attn, dit.text_embedding(prompt(words))
    query = attention.query(torch.randn(2, 12, DIT.dim)).view(1, 24, DIT.heads, -1)

    keys, values, extra = dit.context(prompt(words), min_tokens)[0]

    assert min_tokens <= keys.shape[2] == len(extra) < LENGTH
    torch.testing.assert_close(
        attend_weighted(query, keys, values, extra),
        attention.attend(query, *attention.text_key_value(text)),
        atol=2e-6,
        rtol=1e-5,
    )


def test_in_bfloat16_too(dit):
    attention = dit.blocks[0].cross_attn
    query = attention.query(torch.randn(1, 24, DIT.dim))
    exact = attention.attend(query, *attention.text_key_value(dit.text_embedding(prompt(20))))

    keys, values, extra = dit.context(prompt(20))[0]
    got = attend_weighted(query.bfloat16(), keys.bfloat16(), values.bfloat16(), extra)

    assert got.dtype == torch.bfloat16
    assert (got - exact).norm() / exact.norm() < 0.01


def test_in_bfloat16_a_sharp_look_is_no_further_off_than_that_of_torchs_own_kernel():
    torch.manual_seed(4)
    query, (keys, values) = 4 * torch.randn(1, 64, 2, 128), torch.randn(2, 1, 2, LENGTH, 128)
    for part in (keys, values):
        part[:, :, 100:] = part[:, :, 100:101]
    half = [part.bfloat16() for part in (query.transpose(1, 2), keys, values)]
    extra = padding_scores(100, 128, LENGTH, torch.device("cpu"))

    exact, own = (attend(*parts).transpose(1, 2).flatten(2) for parts in ([part.float() for part in half], half))
    got = attend_weighted(half[0].transpose(1, 2), half[1][:, :, :128], half[2][:, :, :128], extra)

    assert (got - exact).norm() < 1.5 * (own - exact).norm()


def test_a_prompt_of_words_only_is_read_as_it_is(dit):
    assert [len(text) for text in dit.context(prompt(512))] == [2] * DIT.layers


def test_what_stands_for_many_weighs_as_much_as_they():
    extra = padding_scores(20, 32, LENGTH, torch.device("cpu"))

    assert extra[:20].eq(0).all()
    assert extra[20:].exp().sum().item() == pytest.approx(LENGTH - 20)


def test_a_shorter_prompt_needs_no_new_graph(dit):
    from engine.accel.cudagraph import GraphedDenoiser
    from engine.models.lora import LoraSet

    graphed = GraphedDenoiser(dit, LoraSet(dit, torch.device("cpu"), torch.float32), Tape())

    lengths = [graphed.context(prompt(words))[0][0].shape[2] for words in (20, 100, 20, 40)]

    assert lengths == [32, 128, 128, 128]
