#!/usr/bin/env python3
"""make.py: writes the files of PyTorch that the tests use, and what is in them as JSON, into the folder of this script.

Needs torch; those here were made by torch 1.13. `newer.pt` and `big.pt` are what later versions write: the records that they add
(`byteorder`, `.format_version`, `.storage_alignment`, `.data/serialization_id`) are added by PyTorch's own writer.
"""
import collections
import json
import os

import torch

here = os.path.dirname(os.path.abspath(__file__))
torch.manual_seed(1)


def path(name):
    return os.path.join(here, name)


def state():
    tied = torch.randn(6, 4)
    packed = torch.randn(3, 4, 4)
    return collections.OrderedDict(
        [
            ("emb.weight", tied),
            ("head.weight", tied),
            ("qkv.0", packed[0]),
            ("qkv.1", packed[1]),
            ("qkv.2", packed[2]),
            ("half", torch.randn(5, 3).to(torch.float16)),
            ("brain", torch.randn(3, 5).to(torch.bfloat16)),
            ("double", torch.randn(2, dtype=torch.float64)),
            ("long", torch.arange(7)),
            ("byte", torch.arange(9, dtype=torch.uint8)),
            ("flag", torch.tensor([True, False, True])),
            ("complex", torch.complex(torch.randn(2), torch.randn(2))),
            ("scalar", torch.tensor(3.5)),
            ("empty", torch.zeros(0, 4)),
            ("turned", torch.randn(4, 3).t()),
            ("part", torch.randn(8)[2:5]),
            ("row", torch.randn(4, 4)[:, 1]),
            ("param", torch.nn.Parameter(torch.randn(3))),
        ]
    )


NAMES = {"float32": "F32", "float16": "F16", "bfloat16": "BF16", "float64": "F64", "int64": "I64", "uint8": "U8", "bool": "BOOL", "complex64": "C64"}


def truth(tensors):
    """name: [dtype, shape, the row-major bytes in hex]"""
    out = {}
    for name, t in tensors.items():
        t = t.detach().contiguous()
        flat = t.view(torch.int16).numpy() if t.dtype == torch.bfloat16 else t.numpy()
        out[name] = [NAMES[str(t.dtype).split(".")[1]], list(t.shape), flat.tobytes().hex()]
    return out


def add_records(source, target, records):
    reader = torch._C.PyTorchFileReader(source)
    writer = torch._C.PyTorchFileWriter(target)
    names = [n for n in reader.get_all_records() if n != "version"]
    for name in names:
        data = reader.get_record(name)
        writer.write_record(name, data, len(data))
    for name, data in records:
        writer.write_record(name, data, len(data))
    writer.write_end_of_file()


def main():
    tensors = state()
    expected = {"state.pt": truth(tensors)}
    torch.save(tensors, path("state.pt"))
    later = [("byteorder", b"little"), (".format_version", b"1"), (".storage_alignment", b"64"), (".data/serialization_id", b"1" * 40)]
    add_records(path("state.pt"), path("newer.pt"), later)
    expected["newer.pt"] = expected["state.pt"]
    swapped = collections.OrderedDict(a=torch.randn(3), b=torch.arange(4, dtype=torch.uint8))
    expected["big.pt"] = {}
    torch.save(swapped, path("little.tmp"))
    add_records(path("little.tmp"), path("big.pt"), [("byteorder", b"big")])
    os.remove(path("little.tmp"))

    model = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.BatchNorm1d(4), torch.nn.Linear(4, 2))
    optimizer = torch.optim.Adam(model.parameters())
    model(torch.randn(5, 3)).sum().backward()
    optimizer.step()
    checkpoint = {"model": model.state_dict(), "optimizer": optimizer.state_dict(), "step": 3, "lr": 0.5, "history": [torch.ones(2), 1]}
    torch.save(checkpoint, path("checkpoint.pth"))
    expected["checkpoint.pth"] = truth({"model." + k: v for k, v in model.state_dict().items()})
    torch.save(model, path("module.pt"))
    expected["module.pt"] = truth(model.state_dict())
    torch.save(torch.arange(6).reshape(2, 3), path("tensor.pt"))
    expected["tensor.pt"] = truth({"tensor": torch.arange(6).reshape(2, 3)})
    torch.save(tensors, path("legacy.pt"), _use_new_zipfile_serialization=False)
    expected["legacy.pt"] = expected["state.pt"]
    torch.jit.save(torch.jit.script(model), path("script.pt"))
    expected["script.pt"] = truth(model.state_dict())

    # A pickle that runs code when it is loaded: it must come back as it is and do nothing.
    class Evil:
        def __reduce__(self):
            return (os.system, ("touch /tmp/mcodec-was-here",))

    torch.save({"a": torch.ones(4), "evil": Evil()}, path("evil.pt"))
    expected["evil.pt"] = truth({"a": torch.ones(4)})

    folder = path("shards")
    os.makedirs(folder, exist_ok=True)
    halves = [{"a.weight": torch.randn(4, 4), "a.bias": torch.randn(4)}, {"b.weight": torch.randn(4, 4)}]
    index = {"metadata": {"total_size": 144}, "weight_map": {}}
    for i, half in enumerate(halves):
        name = f"pytorch_model-0000{i + 1}-of-00002.bin"
        torch.save(half, os.path.join(folder, name))
        index["weight_map"].update({key: name for key in half})
    with open(os.path.join(folder, "pytorch_model.bin.index.json"), "w") as f:
        json.dump(index, f, indent=2)
    with open(os.path.join(folder, "config.json"), "w") as f:
        f.write("{}\n")
    with open(path("expected.json"), "w") as f:
        json.dump({"torch": torch.__version__, "files": expected}, f, indent=1)
        f.write("\n")


main()
