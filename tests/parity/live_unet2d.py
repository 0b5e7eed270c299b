#!/usr/bin/env python3
"""Live comparison of guda-worker eval-model with diffusers' UNet2DModel on random configurations.

    live_unet2d.py [GUDA_WORKER] [--configs N] [--seed S]      # default: $GUDA_BIN_DIR/guda-worker

Each configuration is saved by diffusers, evaluated by both, written back by guda-worker, loaded by diffusers again and
evaluated once more; its weights must be the same bits. Run with an interpreter that has torch, diffusers and safetensors, or name one in GUDA_PARITY_PYTHON.
Exit code 0: all within 1e-5 relative; 1: a difference; 77: skipped, because the packages are not there.
"""
import pathlib
import random
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
import parity_python  # noqa: E402
import diffusers  # noqa: E402
import torch  # noqa: E402
from diffusers import UNet2DModel  # noqa: E402
from parity_model import agrees  # noqa: E402

TOLERANCE = 1e-5


def random_config(rng):
    levels = rng.randint(1, 3)
    groups = rng.choice([1, 2, 4])
    embedding = rng.choice([{}, {}, {"num_class_embeds": 7}, {"class_embed_type": "timestep"},
                            {"class_embed_type": "identity"}])
    return {
        "sample_size": 8, "in_channels": rng.randint(1, 4), "out_channels": rng.randint(1, 4),
        "center_input_sample": rng.random() < 0.3, "time_embedding_type": rng.choice(["positional"] * 3 + ["fourier"]),
        "freq_shift": rng.choice([0, 1]), "flip_sin_to_cos": rng.random() < 0.5,
        "down_block_types": [rng.choice(["DownBlock2D", "AttnDownBlock2D"]) for _ in range(levels)],
        "up_block_types": [rng.choice(["UpBlock2D", "AttnUpBlock2D"]) for _ in range(levels)],
        "block_out_channels": [4 * rng.randint(1, 8) for _ in range(levels)], "layers_per_block": rng.randint(1, 3),
        "mid_block_scale_factor": rng.choice([1, 1.5]), "downsample_padding": rng.choice([0, 1]),
        "downsample_type": rng.choice(["conv", "resnet"]), "upsample_type": rng.choice(["conv", "resnet"]),
        "dropout": rng.choice([0.0, 0.2]), "act_fn": rng.choice(["silu", "swish", "mish", "gelu", "relu"]),
        "attention_head_dim": rng.choice([None, 2, 3, 4]), "norm_num_groups": groups,
        "attn_norm_num_groups": rng.choice([None, 1, 2]), "norm_eps": rng.choice([1e-5, 1e-3]),
        "resnet_time_scale_shift": rng.choice(["default", "scale_shift"]), "add_attention": rng.random() < 0.7,
        **embedding,
    }


def inputs_for(config, batch):
    width = 4 * config["block_out_channels"][0]
    tensors = {"sample": torch.randn(batch, config["in_channels"], 8, 8)}
    if config["time_embedding_type"] == "fourier":
        tensors["timestep"] = torch.rand(batch) * 50 + 0.5
    else:
        tensors["timestep"] = torch.randint(0, 1000, (batch,))
    if config.get("num_class_embeds"):
        tensors["class_labels"] = torch.randint(0, 7, (batch,))
    elif config.get("class_embed_type") == "timestep":
        tensors["class_labels"] = torch.rand(batch) * 900 + 1
    elif config.get("class_embed_type") == "identity":
        tensors["class_labels"] = torch.randn(batch, width)
    return tensors


def main():
    args = parity_python.arguments_with_worker(configs=20, seed=0)
    print(f"guda-worker against diffusers {diffusers.__version__}, torch {torch.__version__}")
    torch.set_num_threads(1)
    rng = random.Random(args.seed)
    torch.manual_seed(args.seed)
    good = 0
    for number in range(args.configs):
        config = random_config(rng)
        tensors = inputs_for(config, batch=1 + number % 3)
        with tempfile.TemporaryDirectory() as folder:
            good += agrees(args.guda_worker, UNet2DModel(**config), tensors, lambda model: {"out": model(**tensors).sample},
                           TOLERANCE, pathlib.Path(folder), f"config {number}")
    print(f"{good} of {args.configs} configurations agree within {TOLERANCE}")
    return 0 if good == args.configs else 1


if __name__ == "__main__":
    sys.exit(main())
