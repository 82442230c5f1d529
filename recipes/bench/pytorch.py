"""The networks of `arcface-mx bench step` and `bench embed` in PyTorch, eager, to compare with.

Run: /path/to/python recipes/bench/pytorch.py --network iresnet50 --training

The interpreter needs torch and numpy; nothing here imports arcface_mx. Prints images per second and
processor time per image, as medians of the repetitions.
"""

# mypy: allow-untyped-defs, no-check-untyped-defs

import argparse
import math
import os
import statistics
import time

import numpy as np
import torch
from torch import nn
from torch.nn import functional

UNITS = {"iresnet18": (2, 2, 2, 2), "iresnet50": (3, 4, 14, 3)}
# As in arcface_mx/bench/networks.py: backbone, width, image size, embedding size, batch size, classes.
NETWORKS = {
    "recipe": ("iresnet18", 0.25, 32, 128, 128, 1000),
    "iresnet50": ("iresnet50", 1.0, 112, 512, 8, 10572),
    "mobilefacenet": ("mobilefacenet", 1.0, 112, 512, 16, 10572),
}


def setup(network, training):
    """A function that embeds a fixed random batch or trains on it, and the number of images."""
    backbone, width, side, size, batch, classes = NETWORKS[network]
    torch.manual_seed(0)
    random = np.random.default_rng(0)
    images = torch.from_numpy(random.integers(0, 256, (batch, 3, side, side)).astype(np.float32))
    labels = torch.from_numpy(random.integers(0, classes, batch))
    model = mobilefacenet(width, side, size) if backbone == "mobilefacenet" else iresnet(backbone, width, side, size)
    if not training:
        model.eval()

        def forward():
            with torch.no_grad():
                model((images - 127.5) / 128)

        return forward, batch
    centres = nn.Parameter(torch.randn(classes, size) / math.sqrt(size))
    optimizer = torch.optim.SGD(list(model.parameters()) + [centres], lr=0.1, momentum=0.9, weight_decay=5e-4)

    def step():
        optimizer.zero_grad(set_to_none=True)
        arcface(model((images - 127.5) / 128), centres, labels).backward()
        optimizer.step()

    return step, batch


def arcface(embedding, centres, labels, scale=64.0, margin=0.5):
    cosine = functional.linear(functional.normalize(embedding), functional.normalize(centres))
    rows = torch.arange(len(labels))
    target = cosine[rows, labels].clamp(-1 + 1e-7, 1 - 1e-7)
    logits = cosine.clone()
    logits[rows, labels] = torch.cos(torch.acos(target) + margin)
    return functional.cross_entropy(logits * scale, labels)


def iresnet(network, width, side, size):
    filters = [max(1, round(width * count)) for count in (64, 64, 128, 256, 512)]

    class Unit(nn.Module):
        def __init__(self, inside, outside, first):
            super().__init__()
            self.body = nn.Sequential(
                nn.BatchNorm2d(inside, 2e-5),
                nn.Conv2d(inside, outside, 3, 1, 1, bias=False),
                nn.BatchNorm2d(outside, 2e-5),
                nn.PReLU(outside),
                nn.Conv2d(outside, outside, 3, 2 if first else 1, 1, bias=False),
                nn.BatchNorm2d(outside, 2e-5),
            )
            self.shortcut = nn.Identity()
            if first:
                self.shortcut = nn.Sequential(
                    nn.Conv2d(inside, outside, 1, 2, bias=False), nn.BatchNorm2d(outside, 2e-5)
                )

        def forward(self, x):
            return self.body(x) + self.shortcut(x)

    layers = [nn.Conv2d(3, filters[0], 3, 1, 1, bias=False), nn.BatchNorm2d(filters[0], 2e-5), nn.PReLU(filters[0])]
    inside = filters[0]
    for count, outside in zip(UNITS[network], filters[1:]):
        for unit in range(count):
            layers.append(Unit(inside, outside, unit == 0))
            inside, side = outside, (side + 1) // 2 if unit == 0 else side
    layers += [nn.BatchNorm2d(inside, 2e-5), nn.Dropout(0.4), nn.Flatten()]
    return nn.Sequential(*layers, nn.Linear(inside * side * side, size), nn.BatchNorm1d(size, 2e-5))


def mobilefacenet(width, side, size):
    def channels(count):
        return max(1, round(width * count))

    def linear(inside, outside, kernel, stride=1, pad=0, depthwise=False):
        groups = inside if depthwise else 1
        return [
            nn.Conv2d(inside, outside, kernel, stride, pad, groups=groups, bias=False),
            nn.BatchNorm2d(outside, 1e-3),
        ]

    def conv(inside, outside, kernel, stride=1, depthwise=False):
        return linear(inside, outside, kernel, stride, kernel // 2, depthwise) + [nn.PReLU(outside)]

    def bottleneck(inside, expanded, outside, stride):
        steps = conv(inside, expanded, 1) + conv(expanded, expanded, 3, stride, True) + linear(expanded, outside, 1)
        return nn.Sequential(*steps)

    class Residual(nn.Module):
        def __init__(self, count, expanded):
            super().__init__()
            self.body = bottleneck(count, expanded, count, 1)

        def forward(self, x):
            return x + self.body(x)

    inside, left = channels(64), side
    layers = conv(3, inside, 3, 2) + conv(inside, inside, 3, 1, True)
    for first, expanded, blocks, outside in ((128, 128, 4, 64), (256, 256, 6, 128), (512, 256, 2, 128)):
        layers.append(bottleneck(inside, channels(first), channels(outside), 2))
        inside = channels(outside)
        layers += [Residual(inside, channels(expanded)) for _ in range(blocks)]
    for _ in range(4):
        left = (left + 1) // 2
    last = channels(512)
    layers += conv(inside, last, 1) + linear(last, last, left, depthwise=True) + [nn.Flatten()]
    return nn.Sequential(*layers, nn.Linear(last, size), nn.BatchNorm1d(size, 2e-5))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--network", choices=list(NETWORKS), default="recipe")
    parser.add_argument("--training", action="store_true", help="a training step; otherwise a forward pass")
    parser.add_argument("--repetitions", type=int, default=5)
    args = parser.parse_args()
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS") or os.cpu_count()))
    run, images = setup(args.network, args.training)
    seconds, cpu = [], []
    for _ in range(args.repetitions + 1):
        start, cpu_start = time.perf_counter(), time.process_time()
        run()
        seconds.append(time.perf_counter() - start)
        cpu.append(time.process_time() - cpu_start)
    rate, cost = images / statistics.median(seconds[1:]), 1e3 * statistics.median(cpu[1:]) / images
    print(f"PyTorch {torch.__version__}, {args.network}: {rate:.3g} images/s, {cost:.3g} CPU ms per image")


if __name__ == "__main__":
    main()
