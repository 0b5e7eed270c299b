#!/usr/bin/env python3
"""Writes lora/: a LoRA as diffusers and peft save it, and what they predict with it.

    python tests/golden/generate_lora.py       # needs peft 0.13 beside the parity packages: pip install --no-deps peft==0.13.2
"""
import json
import pathlib

import diffusers
import peft
import torch
from diffusers import StableDiffusionPipeline, UNet2DConditionModel
from diffusers.utils import convert_state_dict_to_diffusers
from generate import uniform, weight_values
from generate_condition import SMALL
from peft import LoraConfig
from peft.utils import get_peft_model_state_dict
from safetensors.torch import save_file

HERE = pathlib.Path(__file__).parent / "lora"
RANK, SEED = 3, 31000


def main():
    HERE.mkdir(exist_ok=True)
    config = {**SMALL, "layers_per_block": 1}
    model = UNet2DConditionModel(**config).eval()
    model.load_state_dict(weight_values(model, SEED))
    tensors = {"sample": 1.7 * torch.from_numpy(uniform(9001, 3 * 2 * 64)).reshape(3, 2, 8, 8), "timestep": torch.tensor([0, 37, 990]),
               "context": torch.from_numpy(uniform(9004, 3 * 5 * 6)).reshape(3, 5, 6)}

    def predict():
        with torch.no_grad():
            return model(tensors["sample"], tensors["timestep"], encoder_hidden_states=tensors["context"]).sample

    tensors["without"] = predict()
    model.add_adapter(LoraConfig(r=RANK, lora_alpha=RANK, target_modules=["to_k", "to_q", "to_v", "to_out.0"]))
    pairs = sorted((name, p) for name, p in model.named_parameters() if "lora_" in name)
    for i, (_, p) in enumerate(pairs):
        p.data = torch.from_numpy(uniform(SEED + 500 + i, p.numel())).reshape(p.shape)
    tensors["out"] = predict()
    layers = convert_state_dict_to_diffusers(get_peft_model_state_dict(model))
    StableDiffusionPipeline.save_lora_weights(HERE, unet_lora_layers=layers)
    save_file({k: v.contiguous() for k, v in tensors.items()}, HERE / "reference.safetensors",
              metadata={"config": json.dumps(config), "weight_seed": str(SEED)})
    for file in HERE.iterdir():
        file.chmod(0o644)


if __name__ == "__main__":
    assert diffusers.__version__ == "0.31.0" and peft.__version__.startswith("0.13"), "pinned references"
    torch.set_num_threads(1)
    main()
