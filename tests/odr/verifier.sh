#!/bin/sh
# Installs the public verifier of Open Decision Receipts, once, into a Python environment under
# build/, and prints the path of that environment's Python.
set -eu
cd "$(dirname "$0")/../.."
version=0.2.0
folder=build/odr/venv-$version

if [ ! -e "$folder/installed" ]; then
    rm -rf "$folder"
    /usr/bin/python3 -m venv "$folder"
    "$folder/bin/pip" install -q --disable-pip-version-check "aragora-verify==$version" >&2
    : > "$folder/installed"
fi
echo "$PWD/$folder/bin/python"
