#!/usr/bin/env python3
"""Real mail programs against the built server, a file for each: every function
`test_...` of every other file here is run with a fresh server and a scratch
directory. A program that is not installed is named as skipped.

usage: run.py PATH-TO-PILLARBOX [FILE...]
"""

import importlib
import os
import shutil
import sys
import tempfile
import time
from pathlib import Path

FOLDER = Path(__file__).resolve().parent
sys.path.insert(0, str(FOLDER))
import server


def main():
    server.PROGRAM = os.path.abspath(sys.argv[1])
    failed = skipped = passed = 0
    for name in sys.argv[2:] or sorted(path.stem for path in FOLDER.glob("*.py") if path.stem not in ("run", "server")):
        client = importlib.import_module(name)
        search = os.environ["PATH"] + ":/usr/sbin"
        if client.PROGRAM and not shutil.which(client.PROGRAM, path=search):
            print(f"client {name}: skipped, {client.PROGRAM} is not installed")
            skipped += 1
            continue
        for test in (value for key, value in sorted(vars(client).items()) if key.startswith("test_")):
            shown = f"{name} {test.__name__.removeprefix('test_')}"
            started = time.monotonic()
            with tempfile.TemporaryDirectory() as directory:
                scratch = Path(directory)
                try:
                    with server.Server(scratch / "server") as running:
                        test(running, scratch)
                    print(f"client {shown}: ok, {time.monotonic() - started:.1f} s", flush=True)
                    passed += 1
                except Exception as error:  # each failure is reported, then the next runs
                    print(f"client {shown}: FAILED: {error!r}", flush=True)
                    failed += 1
    print(f"clients: {passed} passed, {failed} failed, {skipped} skipped")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
