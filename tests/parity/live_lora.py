#!/usr/bin/env python3
"""LoRA between guda and diffusers, both ways: theirs merged by guda-worker eval-model, and one that `guda run` trained loaded by diffusers.

    live_lora.py [GUDA_WORKER]      # default: $GUDA_BIN_DIR/guda-worker

Exit code 0: within 1e-5 relative; 1: a difference; 77: skipped, because the packages (cmake/requirements/parity.txt) are not there.
"""
import json
import pathlib
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "support"))
import parity_python  # noqa: E402
try:
    import peft
except ImportError as e:
    print(f"SKIPPED: {e}. Cure: ./run test fetches cmake/requirements/parity.txt")
    sys.exit(77)
import diffusers  # noqa: E402
import torch  # noqa: E402
from diffusers import StableDiffusionPipeline, UNet2DConditionModel  # noqa: E402
from diffusers.loaders import StableDiffusionLoraLoaderMixin  # noqa: E402
from diffusers.utils import convert_state_dict_to_diffusers  # noqa: E402
from parity_model import difference  # noqa: E402
from safetensors.torch import load_file, save_file  # noqa: E402

TOLERANCE = 1e-5
TARGETS = ["to_q", "to_k", "to_v", "to_out.0"]
TINY = ["training={steps: 8, batch: 16, warmup_steps: 2, optimizer: {lr: 1e-2}, parameters: {kind: lora, rank: 3, alpha: 5}}",
        "methods=[{method: logo}, {method: random}]", "retention.keep=all"]


def predict(model, tensors):
    with torch.no_grad():
        return model(tensors["sample"], tensors["timestep"], encoder_hidden_states=tensors["encoder_hidden_states"]).sample


def tensors_for(model):
    c = model.config
    return {"sample": torch.randn(2, c.in_channels, 8, 8), "timestep": torch.tensor([3, 700]),
            "encoder_hidden_states": torch.randn(2, 7, c.cross_attention_dim)}


def told(what, error):
    print(f"{what}: {error:.1e}{'' if error <= TOLERANCE else '  FAILED'}")
    return error <= TOLERANCE


def theirs(worker, folder):
    """Drawn at random, saved by diffusers, merged by guda."""
    model = UNet2DConditionModel(
        sample_size=8, in_channels=3, out_channels=3, block_out_channels=[8, 16], layers_per_block=1, norm_num_groups=4, cross_attention_dim=12,
        attention_head_dim=2, down_block_types=["CrossAttnDownBlock2D", "DownBlock2D"], up_block_types=["UpBlock2D", "CrossAttnUpBlock2D"]).eval()
    model.save_pretrained(folder / "unet")
    tensors = tensors_for(model)
    without = predict(model, tensors)
    model.add_adapter(peft.LoraConfig(r=3, lora_alpha=3, target_modules=TARGETS))
    for name, p in model.named_parameters():
        if "lora_" in name:
            torch.nn.init.normal_(p, std=0.3)
    layers = convert_state_dict_to_diffusers(peft.utils.get_peft_model_state_dict(model))
    StableDiffusionPipeline.save_lora_weights(folder, unet_lora_layers=layers)
    save_file(tensors, folder / "in.safetensors")
    subprocess.run([worker, "eval-model", folder / "unet", "--input", folder / "in.safetensors", "--output", folder / "out.safetensors",
                    "--lora", folder / "pytorch_lora_weights.safetensors"], check=True)
    wanted = predict(model, tensors)
    assert difference(without, wanted) > 1e-2, "the LoRA does nothing"
    return told("diffusers' LoRA merged by guda", difference(load_file(folder / "out.safetensors")["out"], wanted))


def ours(guda, folder):
    """Trained by guda run: beside the base model in diffusers it is the full model that guda published."""
    command = [guda, "run", ROOT / "tests/end_to_end/styles.yaml", "--run-dir", folder / "run", *(w for o in TINY for w in ("--set", o))]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    artifacts = {job["label"]: folder / "run/artifacts" / job["digest"] for job in json.loads((folder / "run/plan.json").read_text())["jobs"]}
    base, full = artifacts["train base"], artifacts["train full (seed 0, lora 3)"]
    model = UNet2DConditionModel.from_pretrained(base, use_safetensors=True, low_cpu_mem_usage=False).eval()
    merged = UNet2DConditionModel.from_pretrained(full, use_safetensors=True, low_cpu_mem_usage=False).eval()
    tensors = tensors_for(model)
    without = predict(model, tensors)
    state, alphas = StableDiffusionLoraLoaderMixin.lora_state_dict(str(full))
    StableDiffusionLoraLoaderMixin.load_lora_into_unet(state, alphas, model)
    wanted = predict(merged, tensors)
    assert difference(without, wanted) > 1e-3, "the LoRA does nothing"
    return told("guda's LoRA put beside the base by diffusers", difference(predict(model, tensors), wanted))


def main():
    worker = parity_python.arguments_with_worker().guda_worker
    print(f"guda-worker against diffusers {diffusers.__version__}, peft {peft.__version__}, torch {torch.__version__}")
    torch.set_num_threads(1)
    torch.manual_seed(0)
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        good = [theirs(worker, folder), ours(worker.parent / "guda", folder)]
    return 0 if all(good) else 1


if __name__ == "__main__":
    sys.exit(main())
