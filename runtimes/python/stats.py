#!/usr/bin/env python3
"""Statistics of a language model for `mcodec encode --bits R --stats FILE`: what its linear layers read, and how much their outputs matter.

usage: stats.py MODEL_DIR --calib FILE [--calib FILE ...] -o stats.safetensors [--calib-tokens 32768] [--window 256] [--seed 1]

Calibration texts are cut into windows, sampled evenly over all of them. For each window: a forward pass, one label a position drawn from
the model's own distribution, and the gradient of the sum of their negative log likelihoods. The file then has, with n tokens in all:

  INPUT.gram            f32 [in, in]   sum over tokens of x x^T, divided by n, x what the layers of this input read (an expert: of its tokens)
  INPUT.gram_diagonal   f32 [in]       in its place where only the diagonal is known
  WEIGHT.fisher         f32 [out]      sum over tokens of the squared gradient at each output of the layer, divided by the tokens it saw

and in its metadata, for each weight whose INPUT is not itself, that INPUT under the weight's name. WEIGHT is the tensor's name.
An embedding's INPUT has the squared gradient of each of its columns, its rows the share of tokens that were looked up.
The model is loaded by Transformers where there is a tokenizer, and from the folder's own `moe.py` (bytes as tokens) otherwise.
Needs torch and safetensors; Transformers for folders with a tokenizer.
"""
import argparse
import json
import os
import sys

import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file


def load(folder):
    """(model that gives logits, encoder of bytes to tokens)."""
    if os.path.exists(os.path.join(folder, "tokenizer.json")):
        from transformers import AutoModelForCausalLM, AutoTokenizer
        tokenizer = AutoTokenizer.from_pretrained(folder)
        model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
        return model, (lambda ids: model(ids).logits), lambda data: tokenizer(data.decode("utf-8", "replace"), add_special_tokens=False)["input_ids"]
    sys.path.insert(0, folder)
    from moe import LM
    with open(os.path.join(folder, "config.json")) as file:
        model = LM(json.load(file))
    model.load_state_dict({k: v.float() for k, v in load_file(os.path.join(folder, "model.safetensors")).items()})
    return model.eval(), model, list


def windows(paths, encode, size, tokens):
    """Windows of `size` tokens, spread evenly over all texts."""
    all_of_them = []
    for path in paths:
        with open(path, "rb") as file:
            ids = torch.tensor(encode(file.read()))
        all_of_them += [ids[i:i + size] for i in range(0, len(ids) - size + 1, size)]
    if not all_of_them:
        sys.exit(f"the calibration texts have no {size} tokens")
    count = max(1, min(len(all_of_them), tokens // size))
    return torch.stack([all_of_them[i * len(all_of_them) // count] for i in range(count)])


def add_squares(total, gradient):
    total += gradient.reshape(-1, gradient.shape[-1]).double().square().sum(0)


class Collector:
    def __init__(self, model):
        self.gram, self.fisher, self.seen, self.input_of = {}, {}, {}, {}
        self.tokens, self.last = 0, {}
        for name, module in model.named_modules():
            if isinstance(module, torch.nn.Linear):
                module.register_forward_hook(lambda m, args, y, name=name + ".weight": self.linear(name, args[0], y))
            elif isinstance(module, torch.nn.Embedding):
                module.register_forward_hook(lambda m, args, y, name=name + ".weight": self.embedding(name, m, args[0], y))

    def linear(self, name, x, y):
        x = x.detach().reshape(-1, x.shape[-1])
        if name not in self.input_of:
            # Layers that read one tensor share its Gram matrix.
            self.input_of[name] = self.last.get((x.data_ptr(), x.shape), (name,))[0] if len(x) else name
        if self.input_of[name] == name:
            # With the tensor, so that its memory is not another's before the pass ends.
            self.last[x.data_ptr(), x.shape] = name, x
            self.gram[name] = self.gram.get(name, 0) + (x.T @ x).double()
        self.seen[name] = self.seen.get(name, 0) + len(x)
        self.fisher.setdefault(name, torch.zeros(y.shape[-1], dtype=torch.float64))
        if y.requires_grad:
            y.register_hook(lambda g: add_squares(self.fisher[name], g))

    def embedding(self, name, module, ids, y):
        self.input_of[name] = name
        self.fisher[name] = self.fisher.get(name, 0) + torch.bincount(ids.reshape(-1), minlength=module.num_embeddings).double()
        self.seen[name] = self.seen.get(name, 0) + ids.numel()
        self.gram.setdefault(name, torch.zeros(y.shape[-1], dtype=torch.float64))
        if y.requires_grad:
            y.register_hook(lambda g: add_squares(self.gram[name], g))

    def tensors(self):
        out = {}
        for name, gram in self.gram.items():
            out[name + (".gram" if gram.dim() == 2 else ".gram_diagonal")] = (gram / self.tokens).float().contiguous()
        for name, f in self.fisher.items():
            out[name + ".fisher"] = (f / max(1, self.seen.get(name, 0))).float()
        return out


def collect(arguments, kind):
    """What a collector of this kind saw: a forward pass and gradients for each window of the texts."""
    model, logits_of, encode = load(arguments.model)
    for parameter in model.parameters():
        parameter.requires_grad_(False)
    embedding = next(m for m in model.modules() if isinstance(m, torch.nn.Embedding))
    # Gradients have to start somewhere.
    embedding.weight.requires_grad_(True)
    collector, random = kind(model), torch.Generator().manual_seed(arguments.seed)
    ids = windows(arguments.calib, encode, arguments.window, arguments.calib_tokens)
    for start in range(0, len(ids), arguments.batch):
        batch = ids[start:start + arguments.batch]
        collector.last = {}
        logits = logits_of(batch).float()
        flat = logits.reshape(-1, logits.shape[-1])
        labels = torch.multinomial(flat.detach().softmax(-1), 1, generator=random)[:, 0]
        F.cross_entropy(flat, labels, reduction="sum").backward()
        collector.tokens += batch.numel()
        embedding.weight.grad = None
        print(f"\r{collector.tokens} of {ids.numel()} tokens", end="", file=sys.stderr)
    print(file=sys.stderr)
    return collector


def arguments_of(tokens):
    """What both scripts are told; `tokens` is how many are run by default."""
    ap = argparse.ArgumentParser()
    ap.add_argument("model")
    ap.add_argument("--calib", action="append", required=True)
    ap.add_argument("--calib-tokens", type=int, default=tokens)
    ap.add_argument("--window", type=int, default=256)
    ap.add_argument("--batch", type=int, default=8)
    ap.add_argument("--seed", type=int, default=1)
    return ap


def main():
    ap = arguments_of(32768)
    ap.add_argument("-o", "--output", required=True)
    a = ap.parse_args()
    collector = collect(a, Collector)
    inputs = {name: other for name, other in collector.input_of.items() if name != other}
    metadata = {"tokens": str(collector.tokens), "window": str(a.window), "seed": str(a.seed), **inputs}
    save_file(collector.tensors(), a.output, metadata=metadata)


if __name__ == "__main__":
    main()
