"""What the server costs (make bench), most of it against the least that it could cost.

A floor does the same work by as little as will do it, and takes turns with the server, so that
what else the machine does meets both alike: of ratios, the median over the turns is told. Writes a
table; BENCH=name measures one thing again and leaves the other rows of the table as they are.
Exit status 1 if an answer was wrong or did not come; a value beyond its target is only said,
because it is noisy.
"""

import argparse
import pathlib
import shutil
import signal
import sys
import tempfile

import debates
import memory
import stream
import table
import web
from subject import Failed

MEASURES = {measure.__name__: measure for measure in (
    web.healthz, web.debate_get, web.cgi_start, memory.memory, stream.fanout, debates.debates,
    debates.provider, web.routes)}


def measured(measure, options):
    directory = pathlib.Path(tempfile.mkdtemp(prefix="aragora-bench-"))
    try:
        return measure(directory, options)
    finally:
        shutil.rmtree(directory)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("table", type=pathlib.Path)
    parser.add_argument("measures", nargs="*", metavar="measure",
                        help=f"of {', '.join(MEASURES)}; without any, all")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seconds", type=int, default=2)
    options = parser.parse_args()
    if unknown := set(options.measures) - MEASURES.keys():
        parser.error(f"no such measure: {', '.join(unknown)}; there are {', '.join(MEASURES)}")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    rows = table.read(options.table) if options.measures else {}
    options.table.unlink(missing_ok=True)
    try:
        for name in options.measures or MEASURES:
            rows |= {row["name"]: row for row in measured(MEASURES[name], options)}
    except Failed as failed:
        print(f"bench: {failed}", file=sys.stderr)
        return 1
    table.write(options.table, rows)
    return 0


if __name__ == "__main__":
    sys.exit(main())
