#!/usr/bin/env python3
"""Adds how much the outputs of a model's layers matter to statistics that `mcodec stats` collected.

usage: fisher.py MODEL_DIR --calib FILE [--calib FILE ...] --into stats.safetensors [--calib-tokens 4096] [--window 256] [--seed 1]

Gradients need torch; Gram matrices do not, and come from `mcodec stats`. For each window of the texts: a forward pass, one label a position
drawn from the model's own distribution, and the gradient of the sum of their negative log likelihoods. The file then also has

  WEIGHT.fisher         f32 [out]      sum over tokens of the squared gradient at each output of the layer, divided by the tokens it saw
  EMBEDDING.fisher, EMBEDDING.gram_diagonal: as stats.py has them

and what it had before. A few thousand tokens are enough for these; Gram matrices need more.
Needs torch and safetensors; Transformers for folders with a tokenizer.
"""
import os
import tempfile

import torch
from safetensors import safe_open
from safetensors.torch import save_file

from stats import Collector, add_squares, arguments_of, collect


class FisherCollector(Collector):
    """Without what needs no gradients."""

    def linear(self, name, x, y):
        self.seen[name] = self.seen.get(name, 0) + x.reshape(-1, x.shape[-1]).shape[0]
        total = self.fisher.setdefault(name, torch.zeros(y.shape[-1], dtype=torch.float64))
        if y.requires_grad:
            y.register_hook(lambda g: add_squares(total, g))


def main():
    ap = arguments_of(4096)
    ap.add_argument("--into", required=True)
    a = ap.parse_args()
    with safe_open(a.into, "pt") as file:
        metadata = file.metadata() or {}
        tensors = {name: file.get_tensor(name) for name in file.keys()}
    collector = collect(a, FisherCollector)
    tensors.update(collector.tensors())
    metadata.update({"fisher_tokens": str(collector.tokens), "fisher_seed": str(a.seed)})
    # The old file stays until the new one is whole.
    with tempfile.TemporaryDirectory(dir=os.path.dirname(os.path.abspath(a.into))) as folder:
        path = os.path.join(folder, "stats.safetensors")
        save_file(tensors, path, metadata=metadata)
        os.replace(path, a.into)


if __name__ == "__main__":
    main()
