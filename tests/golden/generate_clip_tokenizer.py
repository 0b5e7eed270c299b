#!/usr/bin/env python3
"""Writes tests/golden/clip_tokenizer: a byte pair vocabulary of our own, and what CLIPTokenizerFast (transformers 4.46.3, tokenizers 0.20.3) makes of
400 texts with it.

    python tests/golden/generate_clip_tokenizer.py     # writes next to itself
"""
import collections
import json
import pathlib
import re
import sys

from transformers import CLIPTokenizerFast

HERE = pathlib.Path(__file__).parent
sys.path.insert(0, str(HERE.parent / "support"))
from clip_texts import CAPTIONS, texts  # noqa: E402

PLACE = HERE / "clip_tokenizer"
MERGES = 500


def byte_letters():
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [b for b in range(256) if b not in printable]
    return dict([*((b, chr(b)) for b in printable), *((b, chr(256 + i)) for i, b in enumerate(others))])


def learn(corpus, letters):
    words = collections.Counter()
    for word in re.findall(r"'s|'t|'re|'ve|'m|'ll|'d|[^\W\d_]+|\d|[^\s\w]+", corpus.lower()):
        symbols = [letters[b] for b in word.encode()]
        words[tuple([*symbols[:-1], symbols[-1] + "</w>"])] += 1
    merges = []
    for _ in range(MERGES):
        pairs = collections.Counter()
        for word, count in words.items():
            for pair in zip(word, word[1:]):
                pairs[pair] += count
        best = max(pairs, key=lambda pair: (pairs[pair], pair))
        merges.append(best)
        merged = collections.Counter()
        for word, count in words.items():
            out, i = [], 0
            while i < len(word):
                step = 2 if word[i : i + 2] == best else 1
                out.append("".join(word[i : i + step]))
                i += step
            merged[tuple(out)] += count
        words = merged
    return merges


letters = byte_letters()
corpus = (HERE.parents[1] / "docs/methods.md").read_text() + " ".join(3 * CAPTIONS)
merges = learn(corpus, letters)
vocabulary = [*letters.values(), *(c + "</w>" for c in letters.values()), *("".join(m) for m in merges), "<|startoftext|>", "<|endoftext|>"]
vocabulary = list(dict.fromkeys(vocabulary))
PLACE.mkdir(exist_ok=True)
(PLACE / "vocab.json").write_text(json.dumps({t: i for i, t in enumerate(vocabulary)}, ensure_ascii=False))
(PLACE / "merges.txt").write_text("#version: 0.2\n" + "\n".join(" ".join(m) for m in merges) + "\n")
(PLACE / "tokenizer_config.json").write_text(json.dumps({"model_max_length": 77, "pad_token": "!", "tokenizer_class": "CLIPTokenizer"}))
tokenizer = CLIPTokenizerFast.from_pretrained(PLACE)
given = texts(400, longest=200)
(PLACE / "expected.json").write_text(json.dumps({"texts": given, "ids": [tokenizer(t)["input_ids"] for t in given],
    "padded": [tokenizer(t, padding="max_length", truncation=True)["input_ids"] for t in given[:60]]}))
