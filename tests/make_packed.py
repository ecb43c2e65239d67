#!/usr/bin/env python3
"""make_packed.py MODEL_DIR OUT_DIR [--layers N]: folders of packed weights as AutoGPTQ, AutoAWQ, compressed-tensors, bitsandbytes and MLX lay
them out, rounded to nearest from a Llama folder's linear layers, to measure how such folders are coded. Needs numpy, ml_dtypes and safetensors.
"""
import argparse
import json
import os

import ml_dtypes  # noqa: F401, so that numpy knows bfloat16
import numpy as np
from safetensors import safe_open
from safetensors.numpy import save_file

NF4 = np.array([-1.0, -0.6961928, -0.5250731, -0.3949175, -0.2844414, -0.1847734, -0.0910500, 0.0, 0.0795803, 0.1609302, 0.2461123, 0.3379152, 0.4407098, 0.5626170,
                0.7229568, 1.0], np.float32)


def affine(w, group, bits):
    """Codes, scales and zero points of rows cut into groups."""
    rows, columns = w.shape
    x = w.reshape(rows, columns // group, group)
    low, high = np.minimum(x.min(-1), 0), np.maximum(x.max(-1), 0)
    most = (1 << bits) - 1
    scale = np.maximum((high - low) / most, 1e-8).astype(np.float16)
    s = scale.astype(np.float32)
    zero = np.clip(np.round(-low / s), 0, most)
    codes = np.clip(np.round(x / s[..., None]) + zero[..., None], 0, most)
    return codes.reshape(rows, columns).astype(np.uint32), scale, zero.astype(np.uint32)


def pack(codes, bits, order=None):
    """Codes of the last axis in words of 32 bits, the first lowest unless `order` tells which stands where."""
    per = 32 // bits
    x = codes.reshape(*codes.shape[:-1], codes.shape[-1] // per, per)
    if order is not None:
        x = x[..., order]
    return (x << (np.arange(per, dtype=np.uint32) * bits)).sum(-1, dtype=np.uint32)


def gptq(name, w, bits=4, group=64):
    codes, scale, zero = affine(w, group, bits)
    index = (np.arange(w.shape[1]) // group).astype(np.int32)
    return {f"{name}.qweight": pack(codes, bits).T.copy().view(np.int32), f"{name}.qzeros": pack(zero.T.copy(), bits).view(np.int32),
            f"{name}.scales": scale.T.copy(), f"{name}.g_idx": index}


def awq(name, w, bits=4, group=64):
    codes, scale, zero = affine(w, group, bits)
    order = [0, 2, 4, 6, 1, 3, 5, 7]
    return {f"{name}.qweight": pack(codes.T.copy(), bits, order).view(np.int32), f"{name}.qzeros": pack(zero.T.copy(), bits, order).view(np.int32), f"{name}.scales": scale.T.copy()}


def compressed(name, w, bits=4, group=64):
    rows, columns = w.shape
    x = w.reshape(rows, columns // group, group)
    scale = np.maximum(np.abs(x).max(-1) / 7.5, 1e-8).astype(ml_dtypes.bfloat16)
    codes = np.clip(np.round(x / scale.astype(np.float32)[..., None]), -8, 7) + 8
    return {f"{name}.weight_packed": pack(codes.reshape(rows, columns).astype(np.uint32), bits).view(np.int32), f"{name}.weight_scale": scale,
            f"{name}.weight_shape": np.array(w.shape, np.int64)}


def nf4(name, w, block=64):
    x = w.reshape(-1, block)
    largest = np.maximum(np.abs(x).max(-1), 1e-8).astype(np.float32)
    at = np.searchsorted((NF4[1:] + NF4[:-1]) / 2, (x / largest[:, None]).reshape(-1)).astype(np.uint8)
    state = json.dumps({"quant_type": "nf4", "blocksize": block, "dtype": "bfloat16", "shape": list(w.shape)}).encode()
    return {f"{name}.weight": (at[0::2] << 4 | at[1::2]).reshape(-1, 1), f"{name}.weight.absmax": largest, f"{name}.weight.quant_map": NF4,
            f"{name}.weight.quant_state.bitsandbytes__nf4": np.frombuffer(state, np.uint8).copy()}


def mlx(name, w, bits=4, group=64):
    rows, columns = w.shape
    x = w.reshape(rows, columns // group, group)
    low, high = x.min(-1), x.max(-1)
    scale = np.maximum((high - low) / ((1 << bits) - 1), 1e-8).astype(np.float16)
    bias = low.astype(np.float16)
    codes = np.clip(np.round((x - bias.astype(np.float32)[..., None]) / scale.astype(np.float32)[..., None]), 0, (1 << bits) - 1)
    return {f"{name}.weight": pack(codes.reshape(rows, columns).astype(np.uint32), bits), f"{name}.scales": scale, f"{name}.biases": bias}


def main():
    ap = argparse.ArgumentParser()
    ap.add_argument("model")
    ap.add_argument("out")
    ap.add_argument("--layers", type=int, default=4)
    a = ap.parse_args()
    layers = {}
    with safe_open(os.path.join(a.model, "model.safetensors"), "numpy") as file:
        for name in file.keys():
            part = name.split(".")
            if name.endswith("_proj.weight") and int(part[2]) < a.layers:
                layers[name[:-len(".weight")]] = file.get_tensor(name).astype(np.float32)
    quantisation = {"gptq": {"quant_method": "gptq", "bits": 4, "group_size": 64}, "awq": {"quant_method": "awq", "bits": 4, "group_size": 64},
                    "compressed": {"quant_method": "compressed-tensors", "format": "pack-quantized"}, "nf4": {"quant_method": "bitsandbytes", "bnb_4bit_quant_type": "nf4"}}
    for kind, make in (("gptq", gptq), ("awq", awq), ("compressed", compressed), ("nf4", nf4), ("mlx", mlx)):
        tensors = {}
        for name, w in layers.items():
            tensors.update(make(name, w))
        folder = os.path.join(a.out, kind)
        os.makedirs(folder, exist_ok=True)
        save_file(tensors, os.path.join(folder, "model.safetensors"), metadata={"format": "mlx" if kind == "mlx" else "pt"})
        with open(os.path.join(folder, "config.json"), "w") as file:
            said = {"quantization": {"group_size": 64, "bits": 4}} if kind == "mlx" else {"quantization_config": quantisation[kind]}
            json.dump({"model_type": "llama", **said}, file)


if __name__ == "__main__":
    main()
