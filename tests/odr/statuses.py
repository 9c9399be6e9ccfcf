"""Runs the public verifier over many files in one process; for the Python that verifier.sh makes.

statuses.py FOLDER [OPTION]... prints the exit status for each *.json of the folder, as one object.
"""

import contextlib
import io
import json
import pathlib
import sys

from aragora_verify.cli import main


def status(path, options):
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        return main([str(path), *options])


folder, *options = sys.argv[1:]
print(json.dumps({path.name: status(path, options) for path in pathlib.Path(folder).glob("*.json")}))
