"""A model of diffusers and guda-worker eval-model on the same tensors; needs torch, so import parity_python first."""
import json
import subprocess

import torch
from safetensors.torch import load_file, save_file


def difference(got, reference):
    """Largest absolute difference over the largest absolute reference."""
    if got.shape != reference.shape:
        return float("inf")
    return ((got - reference).abs().max() / reference.abs().max().clamp_min(1e-12)).item()


def agrees(worker, model, tensors, evaluate, tolerance, folder, what):
    """Saves `model` in `folder`, has guda-worker evaluate it on `tensors` and write it back, and compares both with
    evaluate(model) -> {name: tensor}: equal names, numbers within `tolerance` relative, weights written back with the same
    bits. Prints one line that begins with `what`."""
    config = json.dumps(dict(model.config))
    with torch.no_grad():
        model.eval().save_pretrained(folder / "theirs", safe_serialization=True)
        reference = evaluate(model)
        save_file(tensors, folder / "in.safetensors")
        command = [worker, "eval-model", folder / "theirs", "--input", folder / "in.safetensors", "--output",
                   folder / "out.safetensors", "--save", folder / "ours"]
        done = subprocess.run([str(c) for c in command], capture_output=True, text=True)
        if done.returncode != 0:
            print(f"{what}: guda-worker failed: {done.stderr}\n{config}")
            return False
        got = load_file(folder / "out.safetensors")
        again = type(model).from_pretrained(folder / "ours", use_safetensors=True, low_cpu_mem_usage=False).eval()
        back = evaluate(again)
    named = got.keys() == reference.keys()
    forward = max(difference(got[k], reference[k]) for k in reference) if named else float("inf")
    returned = max(difference(back[k], reference[k]) for k in reference)
    theirs, ours = model.state_dict(), again.state_dict()
    same_weights = theirs.keys() == ours.keys() and all(torch.equal(theirs[k], ours[k]) for k in theirs)
    good = forward <= tolerance and returned <= tolerance and same_weights
    print(f"{what}: forward {forward:.1e}, written back {returned:.1e}{'' if good else '  FAILED ' + config}")
    return good
