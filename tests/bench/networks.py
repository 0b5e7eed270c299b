"""The UNets of the rows models, growth, worker-start and sd-*, and programs that stay up to be measured."""

import os
import subprocess

SMALL = {"layers_per_block": 1, "down_block_types": ["DownBlock2D"] * 2, "up_block_types": ["UpBlock2D"] * 2, "norm_num_groups": 8, "add_attention": False}
ATTENTION = ["DownBlock2D", "AttnDownBlock2D", "AttnDownBlock2D", "DownBlock2D"]
MODELS = {
    "digits": {"sample_size": 8, "in_channels": 1, "out_channels": 1, "block_out_channels": [16, 32], **SMALL},
    "16px": {"sample_size": 16, "in_channels": 3, "out_channels": 3, "block_out_channels": [24, 48], **SMALL},
    "cifar": {"sample_size": 32, "in_channels": 3, "out_channels": 3, "block_out_channels": [128, 256, 256, 256], "layers_per_block": 3,
              "attention_head_dim": 8, "norm_num_groups": 32, "dropout": 0.3, "down_block_types": ATTENTION,
              "up_block_types": [name.replace("Down", "Up") for name in reversed(ATTENTION)]}}


CROSS = ["CrossAttnDownBlock2D"] * 3 + ["DownBlock2D"]
SD15 = {"_class_name": "UNet2DConditionModel", "sample_size": 64, "in_channels": 4, "out_channels": 4, "block_out_channels": [320, 640, 1280, 1280],
        "layers_per_block": 2, "cross_attention_dim": 768, "attention_head_dim": 8, "norm_num_groups": 32, "down_block_types": CROSS,
        "up_block_types": [name.replace("Down", "Up") for name in reversed(CROSS)]}


class Side:
    """A program that answers every line with a number: microseconds an image, or what it says."""

    def __init__(self, *command, threads="1"):
        self.process = subprocess.Popen([str(word) for word in command], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                                        env={**os.environ, "OMP_NUM_THREADS": threads, "TORCHINDUCTOR_COMPILE_THREADS": "1"})

    def __call__(self, what, size):
        print(what, *size, file=self.process.stdin, flush=True)
        answer = self.process.stdout.readline()
        if not answer:
            raise RuntimeError(f"{self.process.args[0]} ended with {self.process.wait()}")
        return float(answer)

    def close(self):
        self.process.stdin.close()
        self.process.wait()
