"""Where a desk listens, and whom it lets have its folder."""

import subprocess
import sys

import pytest
from made_desk import write_pictures
from places import ROOT

from megamedical.files.locking import InUseError, held
from universeg.desk.predicting.tasks import Settings
from universeg.desk.serving import DeskError, Opening, folder_beside, open_desk


def opening(tmp_path, **changes: object):
    scans = write_pictures(tmp_path / "scans", 1)
    asked = {"scans": scans, "folder": tmp_path / "out", "support": None} | changes
    return Opening(settings=Settings("none"), **asked)


def test_the_server_does_without_torch():
    """It takes seconds, and much memory, which only the processes that compute need."""
    rooms = ("universeg.cli", "universeg.desk.server.opening", "universeg.desk.server.app")
    said = f"import sys, {', '.join(rooms)}; print('torch' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", said], capture_output=True, text=True, cwd=ROOT, check=True
    )
    assert done.stdout.strip() == "False"


def test_others_are_not_let_in_without_tls(tmp_path):
    with pytest.raises(DeskError, match="everybody on the network") as refused:
        open_desk(opening(tmp_path, host="192.0.2.1"), print)
    assert "--tls-cert" in refused.value.remedy and "ssh -L" in refused.value.remedy
    assert not (tmp_path / "out").exists()


def test_a_certificate_is_looked_at_before_anybody_comes(tmp_path):
    (tmp_path / "a.pem").write_text("no certificate")
    tls = (tmp_path / "a.pem", tmp_path / "a.pem")
    with pytest.raises(DeskError, match="no certificate"):
        open_desk(opening(tmp_path, tls=tls), print)


def test_a_folder_that_another_desk_holds_is_refused(tmp_path):
    asked = opening(tmp_path)
    asked.folder.mkdir()
    lock = held(asked.folder / ".lock", what="the desk", doing="a desk", wait=False)
    with lock, pytest.raises(InUseError, match="a desk, process"):
        open_desk(asked, print)


def test_what_is_drawn_is_not_kept_among_the_scans(tmp_path):
    for inside in (tmp_path / "scans", tmp_path / "scans" / "out"):
        with pytest.raises(DeskError, match="lies among the scans"):
            open_desk(opening(tmp_path, folder=inside), print)
    assert folder_beside(tmp_path / "scans") == tmp_path / "scans-desk"
