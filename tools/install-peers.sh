#!/bin/sh
# Installs the Python peers of `mcodec bench models` and `bench images` into a virtual environment.
# usage: tools/install-peers.sh [DIR]    DIR: $MCODEC_PEERS, else ~/.cache/mcodec/peers
# About 2 GB of packages: ZipNN needs torch. PYTHON names the interpreter (3.10 to 3.13) if python3 is not the one.
set -eu

dir=${1:-${MCODEC_PEERS:-${HOME:?}/.cache/mcodec/peers}}
python=${PYTHON:-python3}

"$python" -m venv "$dir"
pip() { "$dir/bin/python" -m pip --disable-pip-version-check "$@"; }

# The build of torch for CPUs, where its index can be reached; else the one of PyPI, which does as well and is larger.
if ! pip install --quiet torch --index-url https://download.pytorch.org/whl/cpu; then
    echo "install-peers: no CPU build of torch to be had, taking the one of PyPI" >&2
    pip install --quiet torch
fi

# One by one: a peer without a wheel for this machine is left out, and the table says so.
pip install --quiet numpy ml_dtypes safetensors
for peer in pillow imagecodecs etcpak zipnn==0.5.4 zstandard==0.25.0 pcodec==1.1.0 blosc2==4.14.1 openzl==0.3.0 lmzip==1.3.0 ggml-python==0.0.45; do
    pip install --quiet "$peer" || echo "install-peers: $peer could not be installed; the table will say so" >&2
done

echo "install-peers: done. mcodec finds them at the default place, or with: export MCODEC_PEERS=$dir"
