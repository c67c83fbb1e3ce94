#!/bin/sh
# Does the wheel work on its own? Usage: tests/wheel.sh FOLDER-WITH-ONE-WHEEL
set -eu
wheel=$(cd "$1" && ls "$PWD"/megamedical-*.whl | tail -n 1)
constraints=$(cd "$(dirname "$0")/.." && pwd)/constraints.txt
if python3 -m zipfile -l "$wheel" | grep safetensors; then
  echo "The wheel is Apache-2.0: weights under other terms are fetched." >&2
  exit 1
fi
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
cd "$place"
python3 -m venv env
env/bin/pip install --quiet --constraint "$constraints" "$wheel"
env/bin/megamedical --version
env/bin/megamedical list --json | grep -q acdc
env/bin/megamedical build synthetic --tasks 2 --subjects 5 --workers 0 --store store
env/bin/megamedical verify --store store
env/bin/megamedical preview --store store --out preview.png
test -s preview.png
echo "The wheel works on its own."
