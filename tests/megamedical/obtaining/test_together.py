"""One archive, downloaded by two processes at once: one does it, the other finds it done."""

from __future__ import annotations

import subprocess
import sys

from misbehaving import SCANS, running_site

FETCH = """
import sys
from pathlib import Path
from megamedical.obtaining.fetch import fetch
def tell(line):
    print(line, flush=True)
fetch([sys.argv[1]], Path(sys.argv[2]), expected=None, size=None, tell=tell)
print("done", flush=True)
"""


def test_the_second_waits_and_finds_it_whole(tmp_path, monkeypatch):
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with running_site() as site:
        import threading

        begun, may_go_on = threading.Event(), threading.Event()

        def answer(visit):
            visit.send_response(200)
            visit.send_header("Content-Length", str(len(SCANS)))
            visit.end_headers()
            visit.wfile.write(SCANS[:70_000])
            begun.set()
            may_go_on.wait(60)
            visit.wfile.write(SCANS[70_000:])

        target = tmp_path / "raw" / "a.zip"
        command = [sys.executable, "-c", FETCH, site.url("/a.zip", answer), str(target)]

        def start() -> subprocess.Popen:
            return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)

        with start() as first:
            assert begun.wait(60)
            with start() as second:
                said = second.stdout.readline()
                assert said.startswith("waiting for the download of a.zip: ")
                assert f"process {first.pid} of " in said
                may_go_on.set()
                assert first.stdout.read() == "done\n"
                assert second.stdout.read() == "done\n"
        assert target.read_bytes() == SCANS
        assert len(site.asked) == 1
