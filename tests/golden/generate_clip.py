#!/usr/bin/env python3
"""Writes tests/golden/clip from transformers 4.46.3: a tiny random CLIP, its features, and CLIPImageProcessor's pixels.

    python tests/golden/generate_clip.py     # writes next to itself
"""
import pathlib

import numpy as np
import torch
from PIL import Image
from safetensors.torch import save_file
from transformers import CLIPConfig, CLIPImageProcessor, CLIPModel, CLIPTextConfig, CLIPVisionConfig

HERE = pathlib.Path(__file__).parent / "clip"
SIDE = 24

torch.manual_seed(11)
torch.set_num_threads(1)
config = CLIPConfig.from_text_vision_configs(
    CLIPTextConfig(vocab_size=16, hidden_size=8, intermediate_size=8, num_hidden_layers=1, num_attention_heads=2, max_position_embeddings=4),
    CLIPVisionConfig(hidden_size=24, intermediate_size=40, num_hidden_layers=3, num_attention_heads=3, image_size=SIDE, patch_size=8),
    projection_dim=12)
model = CLIPModel(config).eval()
with torch.no_grad():
    for parameter in model.parameters():  # far from the flat initial weights, so that every layer matters
        parameter.add_(0.2 * torch.randn_like(parameter))
model.save_pretrained(HERE, safe_serialization=True)

rng = np.random.default_rng(3)
processor = CLIPImageProcessor(size={"shortest_edge": SIDE}, crop_size={"height": SIDE, "width": SIDE})
out = {}
for name, shape in {"small": (8, 8, 3), "large": (64, 64, 3), "wide": (40, 57, 3)}.items():
    image = rng.integers(0, 256, shape, dtype=np.uint8)
    out[f"{name}.image"] = torch.from_numpy(image).permute(2, 0, 1).contiguous()
    out[f"{name}.pixels"] = processor(Image.fromarray(image), return_tensors="pt")["pixel_values"][0].contiguous()
pixels = torch.stack([out[f"{name}.pixels"] for name in ("small", "large", "wide")])
with torch.no_grad():
    out["pooled"] = model.vision_model(pixels).pooler_output.contiguous()
    out["projected"] = model.get_image_features(pixels).contiguous()
save_file(out, HERE / "expected.safetensors")
