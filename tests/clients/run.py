#!/usr/bin/env python3
"""Real mail programs against the built server, a file for each: every function
`test_...` of every other file here is run with a fresh server and a scratch
directory. A program that is not installed is named as skipped.

A file that names a CLIENT has what that sends recorded. The capabilities it used are told
as a row of the README's table, which must have that row where it is of the same version.

usage: run.py PATH-TO-PILLARBOX [FILE...]
"""

import importlib.util
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
import traceback
from pathlib import Path

FOLDER = Path(__file__).resolve().parent
README = FOLDER.parents[1] / "README.md"
NO_TESTS = ("run", "server", "recording")
sys.path[:0] = [str(FOLDER), str(FOLDER.parent / "common")]
# What tests/run installed for the tests alone.
sys.path.append(str(FOLDER.parents[1] / os.environ.get("CARGO_TARGET_DIR", "target") / "python"))
import server


class Tally:
    def __init__(self):
        self.passed = self.failed = self.skipped = 0

    def check(self, shown, test):
        """Runs a test; each failure is reported, then the next runs."""
        started = time.monotonic()
        try:
            test()
        except Exception as error:
            self.failed += 1
            place = traceback.extract_tb(error.__traceback__)[-1]
            print(f"client {shown}: FAILED: {error!r} ({Path(place.filename).name}:{place.lineno})", flush=True)
            return
        self.passed += 1
        print(f"client {shown}: ok, {time.monotonic() - started:.1f} s", flush=True)

    def check_client(self, name):
        client = importlib.import_module(name)
        if lacks := lacking(client):
            print(f"client {name}: skipped, {lacks} is not installed")
            self.skipped += 1
            return
        recorded, used = hasattr(client, "CLIENT"), set()
        failed_before = self.failed

        def with_server(test):
            with tempfile.TemporaryDirectory() as directory:
                scratch = Path(directory)
                with server.Server(scratch / "server", recorded) as running:
                    test(running, scratch)
                if recorded:
                    used.update(running.recorder.used)

        for key, test in sorted(vars(client).items()):
            if key.startswith("test_"):
                self.check(f"{name} {key.removeprefix('test_')}", lambda: with_server(test))
        if recorded and self.failed == failed_before:
            self.check(f"{name} uses what the README says", lambda: compare(client, used))


def main():
    server.PROGRAM = os.path.abspath(sys.argv[1])
    os.environ["PATH"] += ":/usr/sbin"
    tally = Tally()
    files = sorted(path.stem for path in FOLDER.glob("*.py"))
    for name in sys.argv[2:] or (name for name in files if name not in NO_TESTS):
        tally.check_client(name)
    print(f"clients: {tally.passed} passed, {tally.failed} failed, {tally.skipped} skipped")
    return 1 if tally.failed else 0


def lacking(client):
    """What a client's tests need that is not there."""
    library = getattr(client, "LIBRARY", None)
    if client.PROGRAM and not shutil.which(client.PROGRAM):
        return client.PROGRAM
    return library if library and not importlib.util.find_spec(library) else None


def compare(client, used):
    """Tells what a client used; the README must say the same of the same version."""
    readme = README.read_text()
    known = re.findall(r"^\| `(\S.*?)` \|", readme, re.MULTILINE)
    assert used <= set(known), f"no capabilities of ours: {used - set(known)}"
    named = f"{client.CLIENT} {version(client)}".strip()
    row = f"| {named} | {', '.join(f'`{name}`' for name in known if name in used)} |"
    print(f"    {row}")
    told = re.findall(rf"^\| {re.escape(client.CLIENT)}(?: [0-9][0-9.]*)? \| .*\|$", readme, re.MULTILINE)
    assert len(told) == 1, f"the README has {len(told)} rows of {client.CLIENT}"
    if not told[0].startswith(f"| {named} |"):
        print(f"    not compared: the README has another version, {told[0].split('|')[1].strip()}")
    elif told[0] != row:
        raise AssertionError(f"the README says {told[0]}")


def version(client):
    if hasattr(client, "version"):
        return client.version()
    if not hasattr(client, "VERSION"):
        return ""
    done = subprocess.run(client.VERSION, capture_output=True, text=True, timeout=20)
    return re.search(r"\d[\d.]*\d", done.stdout + done.stderr)[0]


if __name__ == "__main__":
    sys.exit(main())
