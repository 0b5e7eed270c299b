"""`guda attribute`: pictures of one's own scored with the models of a finished run; asked again it answers from what is there."""
import json
import os
import shutil
import struct
import subprocess
import sys
import tempfile
import time
import zlib
from pathlib import Path

import numpy as np

GUDA = Path(os.environ["GUDA_BIN_DIR"]) / "guda"
RECIPE = Path(os.environ["GUDA_SOURCE_DIR"]) / "jobs" / "recipes" / "digits-smoke.yaml"
FAST = ["--heartbeat", "0.2/1/3"]


def guda(*arguments, code=0):
    done = subprocess.run([GUDA, *arguments], capture_output=True, text=True, timeout=300)
    if done.returncode != code:
        sys.exit(f"guda {' '.join(map(str, arguments))} ended with {done.returncode} instead of {code}:\n{done.stdout}\n{done.stderr}")
    return done


def write_png(path, pixels, depth=8):
    """Grey PNG."""
    rows = b"".join(b"\0" + (bytes(row) if depth == 8 else b"".join(struct.pack(">H", v) for v in row)) for row in pixels)
    chunk = lambda kind, data: struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
    header = struct.pack(">IIBBBBB", len(pixels[0]), len(pixels), depth, 0, 0, 0, 0)
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b""))
    return path


def size_of_png(path):
    head = path.read_bytes()[:24]
    assert head.startswith(b"\x89PNG"), path
    return struct.unpack(">II", head[16:24])


def lives(run):
    return sorted(p.relative_to(run) for p in run.glob("attributions/*/journal/*.bin"))


def check_answer(run, picture, work):
    results = (run / "results.h5").read_bytes()
    first = guda("attribute", run, picture, "--json", "--png", work / "answer.png", *FAST)
    answer = json.loads(first.stdout)
    assert answer["schema"] == 1 and answer["method"] == "retrack_exact" and answer["unit"] == "nats", answer
    (image,) = answer["images"]
    assert image["image"] == str(picture) and isinstance(image["undecided"], bool)
    groups = image["groups"]
    assert sorted(g["group"] for g in groups) == [str(k) for k in range(10)]
    assert groups == sorted(groups, key=lambda g: -g["score"]) and all(g["stderr"] > 0 for g in groups)
    width, height = size_of_png(work / "answer.png")
    assert width > 200 and height > 100, (width, height)
    assert (run / "results.h5").read_bytes() == results, "attribute changed the run's own results"
    return answer


def check_again(run, picture, answer):
    before = lives(run)
    assert len(before) == 1, before
    started = time.time()
    again = guda("attribute", run, picture, "--json", *FAST)
    print(f"the same question again: {1000 * (time.time() - started):.0f} ms")
    assert json.loads(again.stdout) == answer and lives(run) == before, "a life was started although nothing was left to do"
    # The view is rebuilt from journal and rows when it is gone; still nothing to compute.
    (view,) = run.glob("attributions/*/results.h5")
    view.unlink()
    assert json.loads(guda("attribute", run, picture, "--json", *FAST).stdout) == answer and lives(run) == before
    text = guda("attribute", run, picture, "--top", "10", *FAST).stdout
    lines = text.splitlines()
    assert len(lines) == 11 and str(picture) in lines[0] and "retrack_exact" in lines[0], text
    for line, group in zip(lines[1:], answer["images"][0]["groups"]):
        assert line.split()[1] == group["group"] and f"{group['score']:.4f}" in line and f"{group['stderr']:.4f}" in line, line
    assert ("undecided" in text) == answer["images"][0]["undecided"], text


def check_method_and_formats(run, picture, work):
    array = np.frombuffer(zlib.decompress(picture.read_bytes().split(b"IDAT")[1].split(b"IEND")[0][:-8]), np.uint8).reshape(8, 9)[:, 1:]
    np.save(work / "bytes.npy", array)
    np.save(work / "floats.npy", (array / np.float32(127.5) - 1).astype("<f4"))
    copy = shutil.copy(picture, work / "copy.png")
    answer = json.loads(guda("attribute", run, picture, copy, work / "bytes.npy", work / "floats.npy", "--method", "logo", "--draws", "2",
                             "--json", *FAST).stdout)
    assert answer["method"] == "logo" and len(answer["images"]) == 4
    top = [image["groups"][0]["group"] for image in answer["images"]]
    assert [Path(image["image"]).name for image in answer["images"]] == ["mine.png", "copy.png", "bytes.npy", "floats.npy"]
    print(f"the same pixels under four names, each with noise of its own: {top}")


def check_race(run, picture):
    """A race takes rounds, resumes like everything else, and says what it spent and whether it knows."""
    ask = ["attribute", run, picture, "--until", "top1", "--slots", "24", "--json", *FAST]
    first = guda(*ask)
    (image,) = json.loads(first.stdout)["images"]
    assert 16 <= image["slots"] <= 24 and len(image["groups"]) == 10, image
    assert "the race to top1" in first.stderr, first.stderr
    before = lives(run)
    again = guda(*ask)
    assert json.loads(again.stdout)["images"] == [image] and lives(run) == before, again.stderr
    told = guda("attribute", run, picture, "--until", "top1", "--slots", "24", *FAST).stdout
    assert "slots a group" in told and ("more --slots" in told) == image["undecided"], told
    assert "choose 26" in guda("attribute", run, picture, "--until", "top1", "--slots", "25", code=2).stderr
    assert "--until must be" in guda("attribute", run, picture, "--until", "top2", code=2).stderr


def check_refusals(run, picture, work):
    wide = write_png(work / "wide.png", [[0] * 9 for _ in range(8)])
    deep = write_png(work / "deep.png", [[0] * 8 for _ in range(8)], depth=16)
    text = work / "text.png"
    text.write_text("no picture at all")
    photo = work / "photo.jpg"
    photo.write_bytes(b"\xff\xd8\xff")
    hot = work / "hot.npy"
    np.save(hot, np.full((8, 8), 3, "<f4"))
    before = sorted(run.rglob("*"))
    said = guda("attribute", run, picture, wide, deep, text, photo, hot, work / "missing.png", *FAST, code=2).stderr
    for part in ["wide.png: is 1 channel(s) of 9 x 8 pixels", "guda does not resize", "deep.png: has 16 bits a channel; save it with 8",
                 "text.png: no readable PNG", "photo.jpg: is neither .png nor .npy", "hot.npy: holds 3", "missing.png: no such file"]:
        assert part in said, f"not said: {part!r}\n{said}"
    assert "mine.png" not in said, said
    assert sorted(run.rglob("*")) == before, "a refusal left something behind"
    said = guda("attribute", run, picture, "--method", "knn", code=2).stderr
    assert "knn" in said and "logo, retrack_exact" in said, said
    assert "2 to 64" in guda("attribute", run, picture, "--draws", "1", code=2).stderr
    assert "no run directory" in guda("attribute", work, picture, code=2).stderr
    assert "missing images" in guda("attribute", run, code=2).stderr


def main():
    with tempfile.TemporaryDirectory() as scratch:
        work = Path(scratch)
        recipe = RECIPE.read_text().split("methods:")[0] + (
            "methods:\n  - method: logo\n  - {method: guda, unlearn: {op: retrack_exact, steps: 2, retain_batch: 8, forget_batch: 8, warmup_steps: 1}}\n"
            "  - method: knn\ncomparison: {reference: logo, bootstrap: 50}\nretention: {keep: all}\n")
        (work / "small.yaml").write_text(recipe)
        run = work / "run"
        guda("run", work / "small.yaml", "--run-dir", run, *FAST)
        picture = write_png(work / "mine.png", [[min(255, 36 * abs(r - c)) for c in range(8)] for r in range(8)])
        check_refusals(run, picture, work)
        answer = check_answer(run, picture, work)
        check_again(run, picture, answer)
        check_method_and_formats(run, picture, work)
        check_race(run, picture)


if __name__ == "__main__":
    main()
