#!/usr/bin/env python3
"""Live comparison of guda's CLIP tokenizer and text tower with transformers.

    live_clip.py [GUDA_WORKER] [--configs N] [--seed S] [--texts N]      # default: $GUDA_BIN_DIR/guda-worker

Tokens: 2,000 texts and every code point that Unicode 14 assigns (that of the regular expressions which transformers uses), with the committed
vocabulary and, where it is, with CLIP's own: GUDA_CLIP_VOCABULARY, or ../shared/data/clip/bpe_simple_vocab_16e6.txt.gz. Towers: random
configurations, written back by guda-worker and loaded by transformers again.
Exit code 0: equal ids, all numbers within 1e-4 relative; 1: a difference; 77: skipped, because the packages are not there.
"""
import gzip
import json
import os
import pathlib
import random
import subprocess
import sys
import tempfile
import unicodedata

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests/support"))
import parity_python  # noqa: E402
import torch  # noqa: E402
import transformers  # noqa: E402
from clip_texts import texts  # noqa: E402
from safetensors.torch import load_file, save_file  # noqa: E402
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection, CLIPTokenizerFast  # noqa: E402

TOLERANCE = 1e-4
MERGES = 49408 - 2 * 256 - 2


def clip_folder(packed, folder):
    """vocab.json and merges.txt as OpenAI's file describes them."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    letters = [chr(b) for b in printable] + [chr(256 + i) for i in range(256 - len(printable))]
    merges = gzip.open(packed).read().decode().split("\n")[1 : MERGES + 1]
    vocabulary = [*letters, *(c + "</w>" for c in letters), *("".join(m.split()) for m in merges), "<|startoftext|>", "<|endoftext|>"]
    folder.mkdir()
    (folder / "vocab.json").write_text(json.dumps({token: i for i, token in enumerate(vocabulary)}))
    (folder / "merges.txt").write_text("#version: 0.2\n" + "\n".join(merges) + "\n")
    return folder


def every_character():
    """Each assigned character between letters, alone, and twice behind a number; some dozens in a text."""
    known = [chr(c) for c in range(0x110000) if unicodedata.category(chr(c)) not in ("Cn", "Cs")]
    pieces = [f"a{c}B {c} 1{c}{c}" for c in known if unicodedata.category(c) not in ("Co",) or ord(c) % 997 == 0]
    return [" ".join(pieces[i : i + 50]) for i in range(0, len(pieces), 50)]


def tokens_differ(worker, place, reference, given, folder):
    (folder / "texts.json").write_text(json.dumps(given))
    subprocess.run([worker, "eval-tokenizer", place, "--input", folder / "texts.json", "--output", folder / "ids.json"], check=True)
    ours = json.loads((folder / "ids.json").read_text())
    theirs = reference(given)["input_ids"]
    wrong = [i for i, (a, b) in enumerate(zip(ours, theirs, strict=True)) if a != b]
    for i in wrong[:5]:
        print(f"  FAILED {given[i][:60]!r}: {ours[i][:20]} instead of {theirs[i][:20]}")
    return len(wrong)


def tokenizers(worker, count, folder):
    packed = pathlib.Path(os.environ.get("GUDA_CLIP_VOCABULARY", ROOT.parent / "shared/data/clip/bpe_simple_vocab_16e6.txt.gz"))
    places = {"committed vocabulary": (ROOT / "tests/golden/clip_tokenizer",) * 2}
    if packed.exists():
        theirs = clip_folder(packed, folder / "clip")
        places |= {"CLIP's folder": (theirs, theirs), "OpenAI's file": (packed, theirs)}
    else:
        print(f"CLIP's own vocabulary is not at {packed}: not compared")
    failures = 0
    given, characters = texts(count), every_character()
    for what, (ours, theirs) in places.items():
        reference = CLIPTokenizerFast.from_pretrained(theirs)
        wrong = tokens_differ(worker, ours, reference, given, folder), tokens_differ(worker, ours, reference, characters, folder)
        print(f"{what}: {wrong[0]} of {len(given)} texts and {wrong[1]} of {len(characters)} blocks of characters differ")
        failures += sum(wrong)
    return failures


def random_config(rng):
    heads = rng.choice([1, 2, 4])
    return CLIPTextConfig(vocab_size=rng.randint(20, 90), hidden_size=heads * rng.randint(1, 12), intermediate_size=rng.randint(1, 60),
                          num_hidden_layers=rng.randint(1, 5), num_attention_heads=heads, max_position_embeddings=rng.randint(4, 20),
                          hidden_act=rng.choice(["quick_gelu", "gelu"]), layer_norm_eps=rng.choice([1e-5, 1e-3]), projection_dim=rng.randint(1, 9),
                          eos_token_id=rng.choice([2, 7, 7]))


def difference(got, reference):
    if got.shape != reference.shape:
        return float("inf")
    return ((got - reference).abs().max() / reference.abs().max().clamp_min(1e-12)).item()


def towers(worker, count, seed, folder):
    rng = random.Random(seed)
    torch.manual_seed(seed)
    torch.set_num_threads(1)
    failures = 0
    for number in range(count):
        kind = rng.choice([CLIPTextModel, CLIPTextModelWithProjection])
        config = random_config(rng)
        theirs, ours = folder / f"theirs{number}", folder / f"ours{number}"
        with torch.no_grad():
            model = kind(config).eval()
            for parameter in model.parameters():
                parameter.add_(0.2 * torch.randn_like(parameter))
            model.save_pretrained(theirs, safe_serialization=True)
            ids = torch.randint(0, config.vocab_size, (rng.randint(1, 3), rng.randint(1, config.max_position_embeddings)))
            out = model.text_model(ids, output_hidden_states=True)
            reference = {"last_hidden_state": out.last_hidden_state, "pooler_output": out.pooler_output, "hidden_states": torch.stack(out.hidden_states),
                         "penultimate": model.text_model.final_layer_norm(out.hidden_states[-2])}
            if kind is CLIPTextModelWithProjection:
                reference["text_embeds"] = model(ids).text_embeds
            save_file({"input_ids": ids}, folder / "in.safetensors")
            subprocess.run([worker, "eval-model", theirs, "--input", folder / "in.safetensors", "--output", folder / "out.safetensors", "--save", ours], check=True)
            got = load_file(folder / "out.safetensors")
            again = kind.from_pretrained(ours).eval().state_dict()
        worst = max(difference(got[name], wanted) for name, wanted in reference.items()) if got.keys() == reference.keys() else float("inf")
        same = again.keys() == model.state_dict().keys() and all(torch.equal(again[k], v) for k, v in model.state_dict().items())
        good = worst <= TOLERANCE and same
        failures += not good
        print(f"{kind.__name__} {number}: {worst:.1e}{'' if good else '  FAILED ' + config.to_json_string()}")
    return failures


def main():
    args = parity_python.arguments_with_worker(configs=8, seed=0, texts=2000)
    print(f"guda-worker against transformers {transformers.__version__}, Unicode {unicodedata.unidata_version}")
    with tempfile.TemporaryDirectory() as folder:
        failures = tokenizers(args.guda_worker, args.texts, pathlib.Path(folder)) + towers(args.guda_worker, args.configs, args.seed, pathlib.Path(folder))
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
