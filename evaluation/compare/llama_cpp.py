#!/usr/bin/env python3
"""Judges what `mcodec decode --to gguf` writes with llama.cpp. Not part of the tests: it needs torch, Transformers, and llama.cpp with the binding of
the package llama-cpp-py-sync (made with 0.11739).

usage: llama_cpp.py FILE.mcodec --text FILE [--text FILE ...] [--mcodec BIN] [--window N] [--predictions N] [--dtype f32|f16|bf16|q8_0 ...]
       llama_cpp.py --families [--mcodec BIN]

The first writes an mcodec file of a model as GGUF files of these types (F32, F16 and Q8_0), cuts the texts as llama.cpp and as the folder's
tokenizer do, and judges them with llama.cpp and with `mcodec eval`, by the same protocol. The second makes a small random model of each family
and compares F32 files with Transformers. Exit code 1 if tokens differ, or bits per byte by more than 1e-3 (F32), 2e-3 (F16), 1e-2 (BF16) or 1%
(Q8_0); of random models, nats per token by more than 1e-4 where mcodec did not warn that llama.cpp does something otherwise.
"""
import argparse
import math
import os
import subprocess
import sys
import tempfile
import types

import numpy as np
import torch
from llama_cpp_py_sync._cffi_bindings import get_ffi, get_lib

from transformers_reference import families, made_model, made_text, mcodec, reference

TOLERANCES = {"f32": (1e-3, 0), "f16": (2e-3, 0), "bf16": (1e-2, 0), "q8_0": (0, 1e-2)}
F32 = 0


class LlamaCpp:
    """A GGUF file in llama.cpp, without a short-cut that would cost precision."""

    def __init__(self, path, window):
        self.lib, self.ffi = get_lib(), get_ffi()
        self.quiet = self.ffi.callback("void(enum ggml_log_level, const char *, void *)", self.told)
        self.lib.llama_log_set(self.quiet, self.ffi.NULL)
        self.lib.llama_backend_init()
        self.said = []
        params = self.lib.llama_model_default_params()
        params.n_gpu_layers = 0
        self.model = self.lib.llama_model_load_from_file(os.fsencode(path), params)
        if self.model == self.ffi.NULL:
            sys.exit(f"llama.cpp does not load {path}:\n" + "".join(self.said[-10:]))
        params = self.lib.llama_context_default_params()
        params.n_ctx = params.n_batch = params.n_ubatch = window
        params.type_k = params.type_v = F32
        params.flash_attn_type = 0
        params.n_threads = params.n_threads_batch = os.cpu_count() or 1
        self.context = self.lib.llama_init_from_model(self.model, params)
        if self.context == self.ffi.NULL:
            sys.exit(f"llama.cpp has no context for {path}:\n" + "".join(self.said[-10:]))
        self.vocabulary = self.lib.llama_model_get_vocab(self.model)
        self.tokens = self.lib.llama_vocab_n_tokens(self.vocabulary)

    def told(self, level, text, _):
        if level >= 3:
            self.said.append(self.ffi.string(text).decode("utf-8", "replace"))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.lib.llama_free(self.context)
        self.lib.llama_model_free(self.model)

    def tokenise(self, text):
        out = self.ffi.new(f"llama_token[{len(text) + 1}]")
        count = self.lib.llama_tokenize(self.vocabulary, text, len(text), out, len(text) + 1, False, False)
        return [out[i] for i in range(count)]

    def __call__(self, ids):
        ids = ids[0].tolist()
        self.lib.llama_memory_clear(self.lib.llama_get_memory(self.context), True)
        batch = self.lib.llama_batch_init(len(ids), 0, 1)
        batch.n_tokens = len(ids)
        for i, token in enumerate(ids):
            batch.token[i], batch.pos[i], batch.n_seq_id[i], batch.logits[i] = token, i, 1, 1
            batch.seq_id[i][0] = 0
        code = self.lib.llama_decode(self.context, batch)
        self.lib.llama_batch_free(batch)
        if code != 0:
            sys.exit(f"llama.cpp fails to decode: {code}")
        floats = self.ffi.buffer(self.lib.llama_get_logits(self.context), 4 * len(ids) * self.tokens)
        logits = np.frombuffer(floats, np.float32).reshape(1, len(ids), self.tokens).copy()
        return types.SimpleNamespace(logits=torch.from_numpy(logits))


def written(binary, file, dtype, folder):
    """The GGUF file, and what was said of it; no file if it was refused."""
    path = os.path.join(folder, f"{dtype}.gguf")
    command = [binary, "decode", file, "-o", path, "--to", "gguf"] + ([] if dtype == "q8_0" else ["--dtype", dtype])
    ended = subprocess.run(command, stderr=subprocess.PIPE, text=True)
    said = " ".join(ended.stderr.split())
    return (path if ended.returncode == 0 else None), said


def all_families():
    """Those of the other comparison, some of which llama.cpp does otherwise, and forms of these that it does alike."""
    import transformers as t
    all = families()
    common = {k: getattr(all["llama"], k) for k in ("vocab_size", "hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads", "num_key_value_heads", "max_position_embeddings")}
    sparse = dict(num_experts=4, num_experts_per_tok=2, moe_intermediate_size=24)
    scaled = lambda kind, **more: dict(rope_type=kind, factor=4.0, rope_theta=1e4, **more)
    all["llama with linear positions"] = t.LlamaConfig(**common, rope_parameters=scaled("linear"))
    all["qwen2 with yarn"] = t.Qwen2Config(**common, rope_parameters=scaled("yarn", original_max_position_embeddings=32))
    all["mistral that looks at all"] = t.MistralConfig(**common, sliding_window=None, head_dim=16)
    all["gemma2 as released"] = t.Gemma2Config(**common, head_dim=16, sliding_window=16, query_pre_attn_scalar=16)
    all["gemma3 as released"] = t.Gemma3TextConfig(**{**common, "num_hidden_layers": 7}, head_dim=16, sliding_window=16, query_pre_attn_scalar=16)
    all["qwen3_moe, not normed"] = t.Qwen3MoeConfig(**common, **sparse, norm_topk_prob=False, head_dim=16)
    return all


def judge_file(a):
    good = True
    found = mcodec(a.mcodec, a.file, a.text, a.window, a.predictions)
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run([a.mcodec, "decode", a.file, "-o", os.path.join(folder, "model"), "--quiet"], check=True)
        rules, tokens_of = os.path.join(folder, "model", "tokenizer.json"), list
        if os.path.exists(rules):
            from tokenizers import Tokenizer
            tokeniser = Tokenizer.from_file(rules)
            tokens_of = lambda data: tokeniser.encode(data.decode("utf-8", "replace"), add_special_tokens=False).ids
        for dtype in a.dtype or ["f32", "f16", "q8_0"]:
            path, said = written(a.mcodec, a.file, dtype, folder)
            if path is None:
                sys.exit(said)
            with LlamaCpp(path, a.window) as model:
                for text, score in zip(a.text, found["texts"]):
                    with open(text, "rb") as file:
                        data = file.read()
                    tokens = tokens_of(data)
                    if os.path.exists(rules):
                        own = model.tokenise(data.decode("utf-8", "replace").encode())
                        same = own == tokens
                        good &= same
                        at = next((i for i, (x, y) in enumerate(zip(own, tokens)) if x != y), min(len(own), len(tokens)))
                        print(f"{os.path.basename(text)}: {len(tokens)} tokens, " + ("the same in llama.cpp" if same else f"others in llama.cpp from {at} on: {own[at:at + 4]}, not {tokens[at:at + 4]}"))
                    nats, count = reference(model, tokens, a.window, a.predictions)
                    bits, wanted = nats / math.log(2) / score["bytes"], score["bits_per_byte"]
                    absolute, relative = TOLERANCES[dtype]
                    good &= abs(bits - wanted) <= absolute + relative * wanted and count == score["predictions"]
                    print(f"{os.path.basename(text)}: {dtype} in llama.cpp {bits:.6f}, mcodec {wanted:.6f} bits/byte ({100 * (bits / wanted - 1):+.3f}%), {count} predictions (mcodec {score['predictions']})")
            os.remove(path)
    return good


def judge_families(a):
    good = True
    for name, config in all_families().items():
        with tempfile.TemporaryDirectory() as folder:
            model_dir = os.path.join(folder, "model")
            model, _ = made_model(config, model_dir)
            tokens = list(made_text())
            nats, count = reference(model, tokens, 96, None)
            packed = os.path.join(folder, "m.mcodec")
            subprocess.run([a.mcodec, "encode", model_dir, "-o", packed, "--quiet"], check=True)
            gguf, said = written(a.mcodec, packed, "f32", folder)
            if gguf is None:
                print(f"{name}: refused: {said}")
                continue
            with LlamaCpp(gguf, 96) as there:
                found, same = reference(there, tokens, 96, None)
            difference = abs(found - nats) / count
            # What llama.cpp does otherwise is said.
            told = "llama.cpp" in said
            good &= same == count and (difference < 1e-4) != told
            print(f"{name}: llama.cpp {found / same:.6f} Transformers {nats / count:.6f} nats, difference {difference:.1e}" + (f", of which mcodec warns: {said}" if told else ""))
    return good


def main():
    ap = argparse.ArgumentParser()
    ap.add_argument("file", nargs="?")
    ap.add_argument("--text", action="append", default=[])
    ap.add_argument("--families", action="store_true")
    ap.add_argument("--mcodec", default="target/debug/mcodec")
    ap.add_argument("--window", type=int, default=512)
    ap.add_argument("--predictions", type=int)
    ap.add_argument("--dtype", action="append", choices=list(TOLERANCES))
    a = ap.parse_args()
    if not a.families and not (a.file and a.text):
        ap.error("an mcodec file and a text, or --families")
    sys.exit(0 if (judge_families(a) if a.families else judge_file(a)) else 1)


if __name__ == "__main__":
    main()
