#!/usr/bin/env python3
"""Mailboxes of other servers, taken over: every function `test_...` of every file
here is run with a scratch directory of its own. What cannot run is named as skipped.

usage: run.py PATH-TO-PILLARBOX [FILE...]
"""

import importlib
import os
import shutil
import subprocess
import sys
import tempfile
import time
import traceback
from pathlib import Path

FOLDER = Path(__file__).resolve().parent
sys.path[:0] = [str(FOLDER), str(FOLDER.parent / "common")]
import servers

TESTS = ("there_and_back", "answers", "courier")


def missing(test):
    """What a test needs and this machine lacks."""
    search = os.environ["PATH"] + ":/usr/sbin"
    lacking = [f"{program} is not installed" for program in test.PROGRAMS if not shutil.which(program, path=search)]
    if "dovecot" in test.PROGRAMS and not lacking:
        version = subprocess.run(["dovecot", "--version"], capture_output=True, text=True, check=True).stdout
        if not version.startswith("2.3."):
            lacking.append(f"its configuration is for Dovecot 2.3, here is {version.split()[0]}")
        if os.getuid() != 0:
            lacking.append("only root can start it")
    return ", ".join(lacking)


def main():
    servers.PROGRAM = os.path.abspath(sys.argv[1])
    passed = failed = skipped = 0
    for name in sys.argv[2:] or TESTS:
        test = importlib.import_module(name)
        if lacking := missing(test):
            print(f"takeover {name}: skipped, {lacking}")
            skipped += 1
            continue
        for key, function in [(key, value) for key, value in vars(test).items() if key.startswith("test_")]:
            shown = f"{name} {key.removeprefix('test_')}"
            started = time.monotonic()
            with tempfile.TemporaryDirectory() as directory:
                root = Path(directory)
                root.chmod(0o755)
                try:
                    said = function(root)
                    print(f"takeover {shown}: ok{f', {said}' if said else ''}, {time.monotonic() - started:.1f} s", flush=True)
                    passed += 1
                except Exception as error:  # each failure is reported, then the next runs
                    traceback.print_tb(error.__traceback__)
                    print(f"takeover {shown}: FAILED: {error!r}", flush=True)
                    failed += 1
    print(f"takeover: {passed} passed, {failed} failed, {skipped} skipped")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
