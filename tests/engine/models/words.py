"""A real tokenizer of a few words, for tests of the text encoder."""

from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import PreTrainedTokenizerFast

KNOWN = ["<pad>", "</s>", "<unk>", "a", "neon", "city", "in", "rain", "<b>"]


def save_tokenizer(folder):
    """Write it as the published one is written; like that one it ends every text with </s>."""
    inner = Tokenizer(models.WordLevel({word: number for number, word in enumerate(KNOWN)}, unk_token="<unk>"))
    inner.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    inner.post_processor = processors.TemplateProcessing(single="$A </s>", special_tokens=[("</s>", 1)])
    fast = PreTrainedTokenizerFast(tokenizer_object=inner, pad_token="<pad>", eos_token="</s>", unk_token="<unk>")
    fast.save_pretrained(folder)
