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
import argparse
import os
import sys
import tempfile

import torch
import torch.nn.functional as F
from safetensors import safe_open
from safetensors.torch import save_file

from stats import Collector, add_squares, load, windows


class FisherCollector(Collector):
    """Without what needs no gradients."""

    def linear(self, name, x, y):
        self.seen[name] = self.seen.get(name, 0) + x.reshape(-1, x.shape[-1]).shape[0]
        total = self.fisher.setdefault(name, torch.zeros(y.shape[-1], dtype=torch.float64))
        if y.requires_grad:
            y.register_hook(lambda g: add_squares(total, g))


def main():
    ap = argparse.ArgumentParser()
    ap.add_argument("model")
    ap.add_argument("--calib", action="append", required=True)
    ap.add_argument("--into", required=True)
    ap.add_argument("--calib-tokens", type=int, default=4096)
    ap.add_argument("--window", type=int, default=256)
    ap.add_argument("--batch", type=int, default=8)
    ap.add_argument("--seed", type=int, default=1)
    a = ap.parse_args()
    with safe_open(a.into, "pt") as file:
        metadata = file.metadata() or {}
        tensors = {name: file.get_tensor(name) for name in file.keys()}
    model, logits_of, encode = load(a.model)
    for parameter in model.parameters():
        parameter.requires_grad_(False)
    embedding = next(m for m in model.modules() if isinstance(m, torch.nn.Embedding))
    # Gradients have to start somewhere.
    embedding.weight.requires_grad_(True)
    collector, random = FisherCollector(model), torch.Generator().manual_seed(a.seed)
    ids = windows(a.calib, encode, a.window, a.calib_tokens)
    for start in range(0, len(ids), a.batch):
        batch = ids[start:start + a.batch]
        logits = logits_of(batch).float()
        flat = logits.reshape(-1, logits.shape[-1])
        labels = torch.multinomial(flat.detach().softmax(-1), 1, generator=random)[:, 0]
        F.cross_entropy(flat, labels, reduction="sum").backward()
        collector.tokens += batch.numel()
        embedding.weight.grad = None
        print(f"\r{collector.tokens} of {ids.numel()} tokens", end="", file=sys.stderr)
    print(file=sys.stderr)
    tensors.update(collector.tensors())
    metadata.update({"fisher_tokens": str(collector.tokens), "fisher_seed": str(a.seed)})
    # The old file stays until the new one is whole.
    with tempfile.TemporaryDirectory(dir=os.path.dirname(os.path.abspath(a.into))) as folder:
        path = os.path.join(folder, "stats.safetensors")
        save_file(tensors, path, metadata=metadata)
        os.replace(path, a.into)


if __name__ == "__main__":
    main()
