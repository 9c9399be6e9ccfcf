#!/bin/sh
# Installs the packages of requirements.txt, once, into a Python environment under build/, and
# prints that environment's folder of programs.
set -eu
cd "$(dirname "$0")/../.."
wanted=tests/contract/requirements.txt
folder=build/contract/venv

if ! cmp -s "$wanted" "$folder/installed"; then
    rm -rf "$folder"
    mkdir -p build/contract
    /usr/bin/python3 -m venv "$folder"
    "$folder/bin/pip" install -q --disable-pip-version-check -r "$wanted" >&2
    cp "$wanted" "$folder/installed"
fi
echo "$PWD/$folder/bin"
