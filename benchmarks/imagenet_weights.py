"""Compares EfficientNet-Lite0 in Keras with PyTorch's answers and writes the numbers that the tests compare with.

Needs PyTorch besides fmnist, and the package with the weights. The network is written here a second time, with
PyTorch's functions and from the names in the file, so that a mistake in one of the two shows.

    python benchmarks/imagenet_weights.py
"""

from __future__ import annotations

import json
import math

import measured
import numpy as np
import torch
from torch.nn import functional

from fmnist import backend, models
from fmnist.config import preset
from fmnist.models import head
from fmnist.models.pretrained import load, locate

FIXTURE = measured.ROOT / "tests" / "support" / "data" / "efficientnet-lite0.json"
SIZES = (64, 96, 224)
# Blocks that do not follow from the file: the first of a group with stride 2.
STRIDED = (1, 3, 5, 11)


def image() -> np.ndarray:
    """Return a grey image without any symmetry: uint8 (1, 28, 28, 1)."""
    rows, columns = np.mgrid[:28, :28]
    waves = 128 + 60 * np.sin(rows / 2.5) * np.cos(columns / 4) + 3 * columns - 2 * rows
    return np.rint(waves).clip(0, 255).astype(np.uint8)[None, :, :, None]


def convolve(x: torch.Tensor, weight: torch.Tensor, stride: int = 1) -> torch.Tensor:
    """Convolve with zeros around, the odd one at the end; as many groups as the kernel leaves."""
    pad = []
    for side, kernel in zip(x.shape[:1:-1], weight.shape[:1:-1], strict=True):
        total = max((math.ceil(side / stride) - 1) * stride + kernel - side, 0)
        pad += [total // 2, total - total // 2]
    return functional.conv2d(functional.pad(x, pad), weight, stride=stride, groups=x.shape[1] // weight.shape[1])


def original(state: dict[str, torch.Tensor], pixels: np.ndarray, size: int) -> np.ndarray:
    """Return the 1,280 features before the last layer, float32 (N, 1280)."""

    def normalize(x: torch.Tensor, name: str) -> torch.Tensor:
        mean, variance, weight, bias = (
            state[f"{name}.{part}"] for part in ("running_mean", "running_var", "weight", "bias")
        )
        return functional.batch_norm(x, mean, variance, weight, bias, eps=1e-3)

    x = torch.from_numpy(pixels.astype(np.float32)).permute(0, 3, 1, 2).expand(-1, 3, -1, -1)
    x = functional.interpolate(x, (size, size), mode="bilinear", align_corners=False)
    x = functional.relu6(normalize(convolve((x - 127) / 128, state["_conv_stem.weight"], 2), "_bn0"))
    for number in range(16):
        block, before = f"_blocks.{number}", x
        if f"{block}._expand_conv.weight" in state:
            x = functional.relu6(normalize(convolve(x, state[f"{block}._expand_conv.weight"]), f"{block}._bn0"))
        stride = 2 if number in STRIDED else 1
        x = convolve(x, state[f"{block}._depthwise_conv.weight"], stride)
        x = functional.relu6(normalize(x, f"{block}._bn1"))
        x = normalize(convolve(x, state[f"{block}._project_conv.weight"]), f"{block}._bn2")
        if x.shape == before.shape:
            x = x + before
    x = functional.relu6(normalize(convolve(x, state["_conv_head.weight"]), "_bn1"))
    return x.mean(dim=(2, 3)).numpy()


def main() -> int:
    """Compare, print, write the fixture."""
    measured.parser(__doc__).parse_args()
    backend.prepare()
    path = locate("efficientnet_lite0", "imagenet")
    state = torch.load(path, map_location="cpu")
    rows = {}
    for size in SIZES:
        wanted = original(state, image(), size)
        config = preset("transfer", image_size=size)
        model = models.build(config.model)
        load(model, config, tuple("0123456789"))
        found = backend.Predictor(head.split(model)[0])(image())
        difference = float(np.abs(found - wanted).max())
        print(f"{size:3} px: features up to {wanted.max():.3f}, largest difference {difference:.1e}")
        rows[str(size)] = [round(float(value), 6) for value in wanted[0, ::80]]
    FIXTURE.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
