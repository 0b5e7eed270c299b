#!/usr/bin/env python3
"""Live comparison of guda-worker eval-model with diffusers' AutoencoderKL and UNet2DConditionModel on random configurations.

    live_stable_diffusion.py [GUDA_WORKER] [--configs N] [--seed S]      # default: $GUDA_BIN_DIR/guda-worker

As live_unet2d.py. Exit code 0: all within 1e-5 relative; 1: a difference; 77: skipped, because the packages are not there.
"""
import pathlib
import random
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
import parity_python  # noqa: E402
import diffusers  # noqa: E402
import torch  # noqa: E402
from diffusers import AutoencoderKL, UNet2DConditionModel  # noqa: E402
from parity_model import agrees  # noqa: E402

TOLERANCE = 1e-5
ACTIVATIONS = ["silu", "swish", "mish", "gelu", "relu"]


def random_autoencoder(rng, batch):
    """A model, tensors for it, what to compare."""
    levels, groups = rng.randint(1, 3), rng.choice([1, 2, 4])
    channels, latent = rng.randint(1, 4), rng.randint(1, 5)
    model = AutoencoderKL(
        in_channels=channels, out_channels=rng.randint(1, 4), down_block_types=["DownEncoderBlock2D"] * levels,
        up_block_types=["UpDecoderBlock2D"] * levels, block_out_channels=[4 * rng.randint(1, 8) for _ in range(levels)],
        layers_per_block=rng.randint(1, 3), act_fn=rng.choice(ACTIVATIONS), latent_channels=latent, norm_num_groups=groups,
        sample_size=rng.choice([8, 16]), scaling_factor=rng.choice([0.18215, 0.5]), force_upcast=rng.random() < 0.5,
        use_quant_conv=rng.random() < 0.7, use_post_quant_conv=rng.random() < 0.7, mid_block_add_attention=rng.random() < 0.7)
    tensors = {"sample": torch.randn(batch, channels, 8, 16), "latents": torch.randn(batch, latent, 4, 3)}

    def evaluate(model):
        moments = model.encode(tensors["sample"]).latent_dist
        return {"mean": moments.mean, "logvar": moments.logvar, "decoded": model.decode(tensors["latents"]).sample}

    return model, tensors, evaluate


def random_unet(rng, batch):
    levels, width = rng.randint(1, 3), rng.randint(3, 12)
    kind, label = rng.choice([({}, None), ({"num_class_embeds": 7}, lambda: torch.randint(0, 7, (batch,))),
                              ({"class_embed_type": "timestep"}, lambda: torch.rand(batch) * 900 + 1),
                              ({"class_embed_type": "projection", "projection_class_embeddings_input_dim": 5},
                               lambda: torch.randn(batch, 5))])
    channels = rng.randint(1, 4)
    model = UNet2DConditionModel(
        sample_size=8, in_channels=channels, out_channels=rng.randint(1, 4), norm_num_groups=rng.choice([1, 2, 4]),
        down_block_types=[rng.choice(["DownBlock2D", "CrossAttnDownBlock2D"]) for _ in range(levels)],
        up_block_types=[rng.choice(["UpBlock2D", "CrossAttnUpBlock2D"]) for _ in range(levels)],
        mid_block_type=rng.choice(["UNetMidBlock2DCrossAttn"] * 3 + ["UNetMidBlock2D", None]),
        block_out_channels=[8 * rng.randint(1, 4) for _ in range(levels)], layers_per_block=rng.randint(1, 2),
        cross_attention_dim=width, attention_head_dim=rng.choice([1, 2, 4]), use_linear_projection=rng.random() < 0.5,
        transformer_layers_per_block=rng.randint(1, 2), act_fn=rng.choice(ACTIVATIONS), norm_eps=rng.choice([1e-5, 1e-3]),
        only_cross_attention=rng.random() < 0.3, upcast_attention=rng.random() < 0.5, freq_shift=rng.choice([0, 1]),
        flip_sin_to_cos=rng.random() < 0.5, downsample_padding=rng.choice([0, 1]), mid_block_scale_factor=rng.choice([1, 1.5]),
        resnet_time_scale_shift=rng.choice(["default", "scale_shift"]), center_input_sample=rng.random() < 0.3, **kind)
    tensors = {"sample": torch.randn(batch, channels, 8, 8), "timestep": torch.randint(0, 1000, (batch,)),
               "encoder_hidden_states": torch.randn(batch, rng.randint(1, 9), width)}
    if label:
        tensors["class_labels"] = label()
    return model, tensors, lambda model: {"out": model(**tensors).sample}


def main():
    args = parity_python.arguments_with_worker(configs=12, seed=0)
    print(f"guda-worker against diffusers {diffusers.__version__}, torch {torch.__version__}")
    torch.set_num_threads(1)
    rng = random.Random(args.seed)
    torch.manual_seed(args.seed)
    good = 0
    for number in range(args.configs):
        for kind in [random_autoencoder, random_unet]:
            model, tensors, evaluate = kind(rng, batch=1 + number % 3)
            with tempfile.TemporaryDirectory() as folder:
                good += agrees(args.guda_worker, model, tensors, evaluate, TOLERANCE, pathlib.Path(folder),
                               f"{type(model).__name__} {number}")
    print(f"{good} of {2 * args.configs} models agree within {TOLERANCE}")
    return 0 if good == 2 * args.configs else 1


if __name__ == "__main__":
    sys.exit(main())
