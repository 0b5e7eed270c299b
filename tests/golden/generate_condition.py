#!/usr/bin/env python3
"""Writes unet2dcondition_<name>.safetensors: outputs and gradients of diffusers' UNet2DConditionModel, as generate.py does
for UNet2DModel, with the same formulas of weights and inputs.

    python tests/golden/generate_condition.py          # writes next to itself
"""
import json
import pathlib

import diffusers
import torch
from diffusers import UNet2DConditionModel
from generate import uniform, weight_values
from safetensors.torch import save_file

HERE = pathlib.Path(__file__).parent
SMALL = dict(sample_size=8, in_channels=2, out_channels=2, norm_num_groups=4, layers_per_block=1,
             block_out_channels=[8, 16], cross_attention_dim=6, attention_head_dim=2,
             down_block_types=["CrossAttnDownBlock2D", "DownBlock2D"], up_block_types=["UpBlock2D", "CrossAttnUpBlock2D"])
CONFIGS = {
    # Stable Diffusion 1.x and 2.x in small.
    "sd1": dict(),
    "sd2": dict(use_linear_projection=True, attention_head_dim=[2, 4], upcast_attention=True, layers_per_block=2,
                sample_size=[8, 4]),
    # The class-conditional model of methods.md 3.1: a one-hot class, no text.
    "one_hot": dict(sample_size=16, in_channels=3, out_channels=3, block_out_channels=[8, 8, 8, 16], cross_attention_dim=16,
                    down_block_types=["DownBlock2D", "AttnDownBlock2D", "AttnDownBlock2D", "DownBlock2D"],
                    up_block_types=["UpBlock2D", "AttnUpBlock2D", "AttnUpBlock2D", "UpBlock2D"], attention_head_dim=4,
                    class_embed_type="projection", projection_class_embeddings_input_dim=11, dropout=0.3),
    "lists": dict(layers_per_block=[1, 2], transformer_layers_per_block=[2, 1], cross_attention_dim=[6, 6],
                  only_cross_attention=[True, False], num_class_embeds=5, act_fn="gelu", downsample_padding=0,
                  down_block_types=["CrossAttnDownBlock2D", "CrossAttnDownBlock2D"],
                  up_block_types=["CrossAttnUpBlock2D", "CrossAttnUpBlock2D"]),
    "no_mid": dict(mid_block_type=None, class_embed_type="timestep", act_fn="mish", freq_shift=1, flip_sin_to_cos=False),
    "plain_mid": dict(mid_block_type="UNetMidBlock2D", class_embed_type="simple_projection",
                      projection_class_embeddings_input_dim=3, resnet_time_scale_shift="scale_shift",
                      mid_block_scale_factor=1.5, center_input_sample=True),
    "identity": dict(class_embed_type="identity", mid_block_scale_factor=1.4142135, norm_eps=1e-3,
                     attention_head_dim=[4, 2], down_block_types=["AttnDownBlock2D", "CrossAttnDownBlock2D"],
                     up_block_types=["CrossAttnUpBlock2D", "AttnUpBlock2D"]),
}


def labels_of(config, batch):
    if config.get("num_class_embeds"):
        return torch.tensor([0, 4, 2][:batch])
    kind, length = config.get("class_embed_type"), config.get("projection_class_embeddings_input_dim")
    if kind == "timestep":
        return torch.tensor([3.0, 250.0, 17.0][:batch])
    if kind == "projection":
        return torch.nn.functional.one_hot(torch.tensor([0, 10, 4][:batch]), length).float()
    if kind == "simple_projection":
        return torch.from_numpy(uniform(9003, batch * length)).reshape(batch, length)
    if kind == "identity":
        return torch.from_numpy(uniform(9003, batch * 4 * config["block_out_channels"][0])).reshape(batch, -1)
    return None


def main():
    for number, (name, options) in enumerate(CONFIGS.items()):
        config = {**SMALL, **options}
        seed = 20000 + 1000 * number
        model = UNet2DConditionModel(**config).eval()
        model.load_state_dict(weight_values(model, seed))
        batch, size = 3, config["sample_size"]
        height, width = size if isinstance(size, list) else (size, size)
        sample = 1.7 * torch.from_numpy(uniform(9001, batch * config["in_channels"] * height * width))
        sample = sample.reshape(batch, config["in_channels"], height, width)
        target = torch.from_numpy(uniform(9002, batch * config["out_channels"] * height * width)).reshape_as(
            torch.empty(batch, config["out_channels"], height, width))
        timestep, labels = torch.tensor([0, 37, 990]), labels_of(config, batch)
        width = config["cross_attention_dim"]
        width = width[0] if isinstance(width, list) else width
        context = None if name == "one_hot" else torch.from_numpy(uniform(9004, batch * 5 * width)).reshape(batch, 5, width)
        out = model(sample, timestep, encoder_hidden_states=context, class_labels=labels).sample
        loss = torch.nn.functional.mse_loss(out, target)
        loss.backward()
        tensors = {"sample": sample, "timestep": timestep, "target": target, "out": out.detach(),
                   "loss": loss.detach().reshape(1)}
        if labels is not None:
            tensors["class_labels"] = labels
        if context is not None:
            tensors["context"] = context
        for key, p in model.named_parameters():
            tensors["grad." + key] = p.grad
        file = HERE / f"unet2dcondition_{name}.safetensors"
        save_file({k: v.contiguous() for k, v in tensors.items()}, file,
                  metadata={"config": json.dumps(config), "weight_seed": str(seed)})
        file.chmod(0o644)


if __name__ == "__main__":
    assert diffusers.__version__ == "0.31.0" and torch.__version__.startswith("2.11"), "pinned references"
    torch.set_num_threads(1)
    main()
