#!/usr/bin/env python3
"""Compares `mcodec eval` with Transformers on the same texts, by the same protocol. Not part of the tests: it needs torch and Transformers.

usage: transformers_reference.py MODEL_DIR --text FILE [--text FILE ...] [--mcodec BIN] [--file M.mcodec] [--window N] [--predictions N]
       transformers_reference.py --families [--mcodec BIN | --write-vectors evaluation/tests/families.json]

The first judges a folder with both (with --file, that mcodec file with mcodec, and what it decodes to is to be the folder); the second
makes a small random model of each family and judges it on random bytes; with --write-vectors only what Transformers says is kept. Exit code 1 if bits per byte differ by
more than 1e-3 (of random models: nats per token by more than 1e-4).
"""
import argparse
import json
import math
import os
import subprocess
import sys
import tempfile

import torch
import torch.nn.functional as F


@torch.no_grad()
def reference(model, tokens, window, predictions, stride=None):
    """Sum of nats and number of predictions."""
    stride = stride or window
    nats, count, start = 0.0, 0, 0
    while start + 1 < len(tokens) and (predictions is None or count < predictions):
        end = min(start + window, len(tokens) - 1)
        first = 0 if start == 0 else window - stride
        if count and (end - start < window or (predictions and count + end - start - first > predictions)):
            break
        ids = torch.tensor([tokens[start:end + 1]])
        logits = model(ids[:, :-1]).logits[0].float()
        nats += F.cross_entropy(logits[first:], ids[0, 1 + first:], reduction="sum").item()
        count += end - start - first
        start += stride
    return nats, count


def mcodec(binary, model, texts, window, predictions, stride=None):
    command = [binary, "eval", model, "--json", "--quiet", "--window", str(window)]
    command += ["--predictions", str(predictions)] if predictions else []
    command += ["--stride", str(stride)] if stride else []
    command += [part for text in texts for part in ("--text", text)]
    return json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)


def judge_folder(a):
    from transformers import AutoModelForCausalLM, AutoTokenizer
    model = AutoModelForCausalLM.from_pretrained(a.model, dtype=torch.float32).eval()
    if os.path.exists(os.path.join(a.model, "tokenizer.json")):
        tokenizer = AutoTokenizer.from_pretrained(a.model)
        tokens_of = lambda data: tokenizer(data.decode("utf-8", "replace"), add_special_tokens=False)["input_ids"]
    else:
        tokens_of = list
    found = mcodec(a.mcodec, a.file or a.model, a.text, a.window, a.predictions)
    worst = 0.0
    for path, score in zip(a.text, found["texts"]):
        with open(path, "rb") as file:
            tokens = tokens_of(file.read())
        nats, count = reference(model, tokens, a.window, a.predictions)
        bits = nats / math.log(2) / score["bytes"]
        worst = max(worst, abs(bits - score["bits_per_byte"]))
        print(f"{os.path.basename(path)}: mcodec {score['bits_per_byte']:.6f} Transformers {bits:.6f} bits/byte, {count} predictions (mcodec {score['predictions']})")
        if count != score["predictions"]:
            sys.exit("the numbers of predictions differ")
    print(f"largest difference {worst:.2e} bits/byte")
    return worst < 1e-3


def families():
    import transformers as t
    common = dict(vocab_size=256, hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2, max_position_embeddings=128)
    experts = dict(num_experts=4, num_experts_per_tok=2, moe_intermediate_size=24)
    llama3 = dict(rope_type="llama3", factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0, original_max_position_embeddings=32, rope_theta=5e4)
    return {
        "llama": t.LlamaConfig(**common), "llama with scaled positions": t.LlamaConfig(**common, rope_parameters=llama3, tie_word_embeddings=True),
        "llama with biases": t.LlamaConfig(**common, attention_bias=True, mlp_bias=True, head_dim=16),
        "mistral": t.MistralConfig(**common, sliding_window=24, head_dim=16), "qwen2": t.Qwen2Config(**common), "qwen3": t.Qwen3Config(**common, head_dim=16),
        "qwen2 that slides": t.Qwen2Config(**common, use_sliding_window=True, sliding_window=16, max_window_layers=1),
        "gemma": t.GemmaConfig(**common, head_dim=16), "gemma2": t.Gemma2Config(**common, head_dim=16, sliding_window=16, query_pre_attn_scalar=24),
        "gemma3": t.Gemma3TextConfig(**{**common, "num_hidden_layers": 7}, head_dim=16, sliding_window=16, query_pre_attn_scalar=24),
        "mixtral": t.MixtralConfig(**common, num_local_experts=4), "qwen2_moe": t.Qwen2MoeConfig(**common, **experts, shared_expert_intermediate_size=40),
        "qwen2_moe, every other layer": t.Qwen2MoeConfig(**common, **experts, shared_expert_intermediate_size=40, decoder_sparse_step=2, norm_topk_prob=True),
        "qwen3_moe": t.Qwen3MoeConfig(**common, **experts, norm_topk_prob=True, head_dim=16),
    }


def noise(name, count):
    """Numbers from -1 to 1 that only the name tells; evaluation/tests/families.rs makes the same."""
    import numpy as np
    state = 0xcbf29ce484222325
    for byte in name.encode():
        state = (state ^ byte) * 0x100000001b3 % 2**64
    with np.errstate(over="ignore"):
        z = np.uint64(state) + np.arange(count, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        z = z ^ (z >> np.uint64(31))
    return (z >> np.uint64(40)).astype(np.float32) / np.float32(1 << 23) - np.float32(1)


def made(name, shape, gemma):
    """Weights that only the name tells."""
    import numpy as np
    values = noise(name, int(np.prod(shape))) * np.float32(0.25 if len(shape) > 1 else 0.5)
    return (values + np.float32(1 if name.endswith("norm.weight") and not gemma else 0)).reshape(shape)


def made_model(config, folder):
    """A model of this form with such weights, put into a folder; and the shapes of its tensors."""
    from safetensors.numpy import load_file, save_file
    from transformers import AutoModelForCausalLM
    # Its random weights tell names and shapes.
    AutoModelForCausalLM.from_config(config, dtype=torch.float32).save_pretrained(folder)
    path = os.path.join(folder, "model.safetensors")
    shapes = {k: list(v.shape) for k, v in load_file(path).items()}
    save_file({k: made(k, shape, config.model_type.startswith("gemma")) for k, shape in shapes.items()}, path, metadata={"format": "pt"})
    return AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval(), shapes


def made_text():
    """Bytes that such models are judged on."""
    return bytes(((noise("text", 97 * 3) + 1) * 128).astype("uint8"))


def judge_families(a):
    good, vectors = True, []
    for name, config in families().items():
        with tempfile.TemporaryDirectory() as folder:
            model, shapes = made_model(config, folder)
            data = made_text()
            text = os.path.join(folder, "text.bin")
            with open(text, "wb") as file:
                file.write(data)
            with open(os.path.join(folder, "config.json")) as file:
                vector = {"name": name, "config": json.load(file), "tensors": shapes}
            for stride in (None, 32):
                nats, count = reference(model, list(data), 96, None, stride)
                vector["nats_strided" if stride else "nats"] = nats / count
                if a.write_vectors:
                    continue
                found = mcodec(a.mcodec, folder, [text], 96, None, stride)["all"]
                difference = abs(nats / count - found["nats_per_token"])
                good &= difference < 1e-4 and count == found["predictions"]
                print(f"{name}, stride {stride}: mcodec {found['nats_per_token']:.6f} Transformers {nats / count:.6f} nats, difference {difference:.1e}")
            vectors.append(vector)
    if a.write_vectors:
        with open(a.write_vectors, "w") as file:
            file.write("[\n" + ",\n".join(json.dumps(v) for v in vectors) + "\n]\n")
    return good


def main():
    ap = argparse.ArgumentParser()
    ap.add_argument("model", nargs="?")
    ap.add_argument("--text", action="append", default=[])
    ap.add_argument("--families", action="store_true")
    ap.add_argument("--write-vectors")
    ap.add_argument("--mcodec", default="target/debug/mcodec")
    ap.add_argument("--file")
    ap.add_argument("--window", type=int, default=512)
    ap.add_argument("--predictions", type=int)
    a = ap.parse_args()
    if not a.families and not (a.model and a.text):
        ap.error("a model folder and a text, or --families")
    sys.exit(0 if (judge_families(a) if a.families else judge_folder(a)) else 1)


if __name__ == "__main__":
    main()
