#!/usr/bin/env python3
"""Writes tests/golden/clip_text from transformers 4.46.3: tiny random text towers as save_pretrained leaves them, and what they compute.

    python tests/golden/generate_clip_text.py     # writes next to itself
"""
import pathlib

import torch
from safetensors.torch import save_file
from transformers import CLIPConfig, CLIPModel, CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection, CLIPVisionConfig

HERE = pathlib.Path(__file__).parent / "clip_text"
VOCABULARY, LENGTH = 40, 9
START, END = 38, 39
COMMON = {"vocab_size": VOCABULARY, "max_position_embeddings": 12, "bos_token_id": START}
CONFIGS = {
    # Stable Diffusion 1.x: old end token 2 stands for the highest id, which also pads.
    "sd1": (CLIPTextModel, END, {"hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 2, "num_attention_heads": 4, "eos_token_id": 2}),
    # Stable Diffusion 2.x: GELU, "!" = 0 pads.
    "sd2": (CLIPTextModel, 0, {"hidden_size": 12, "intermediate_size": 40, "num_hidden_layers": 4, "num_attention_heads": 2, "hidden_act": "gelu",
                              "layer_norm_eps": 1e-3, "eos_token_id": END}),
    "projection": (CLIPTextModelWithProjection, END, {"hidden_size": 20, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 1,
                                                     "projection_dim": 6, "eos_token_id": END}),
    "both_towers": (CLIPModel, END, {"hidden_size": 8, "intermediate_size": 12, "num_hidden_layers": 3, "num_attention_heads": 2, "eos_token_id": END}),
}

torch.set_num_threads(1)
for seed, (name, (kind, padding, options)) in enumerate(CONFIGS.items()):
    torch.manual_seed(31 + seed)
    config = CLIPTextConfig(**COMMON, **options)
    if kind is CLIPModel:
        vision = CLIPVisionConfig(hidden_size=8, intermediate_size=8, num_hidden_layers=1, num_attention_heads=2, image_size=8, patch_size=8)
        config = CLIPConfig.from_text_vision_configs(config, vision, projection_dim=5)
    model = kind(config).eval()
    with torch.no_grad():
        for parameter in model.parameters():  # far from the flat initial weights, so that every layer matters
            parameter.add_(0.2 * torch.randn_like(parameter))
    model.save_pretrained(HERE / name, safe_serialization=True)
    ids = torch.full((3, LENGTH), padding)
    for row, words in enumerate((0, 4, LENGTH - 2)):
        ids[row, 0] = START
        ids[row, 1 : words + 1] = torch.randint(1, START, (words,))
        ids[row, words + 1] = END
    with torch.no_grad():
        if kind is CLIPModel:
            out = model.text_model(ids, output_hidden_states=True)
            extra = {"text_embeds": model.get_text_features(ids)}
        else:
            out = (model.text_model if kind is CLIPTextModelWithProjection else model)(ids, output_hidden_states=True)
            extra = {"text_embeds": model(ids).text_embeds} if kind is CLIPTextModelWithProjection else {}
        extra["penultimate"] = model.text_model.final_layer_norm(out.hidden_states[-2])  # diffusers' clip_skip = 1
    tensors = {"input_ids": ids, "last_hidden_state": out.last_hidden_state, "pooler_output": out.pooler_output, "hidden_states": torch.stack(out.hidden_states), **extra}
    save_file({key: value.contiguous() for key, value in tensors.items()}, HERE / name / "expected.safetensors")
