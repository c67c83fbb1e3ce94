"""A store behind a URL: built, checked, read and copied on S3; in words where that cannot be."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from miniatures import build_miniatures, contents
from tiny_store import Discs, write_store
from torch.utils.data import DataLoader

from megamedical import copy, open_store, verify
from megamedical.errors import StoreError
from universeg.training.data.cache import open_arrays


@pytest.fixture(scope="module")
def s3(monkeypatch_module):
    """A bucket of a server that answers to this machine alone."""
    pytest.importorskip("s3fs")
    server = pytest.importorskip("moto.server").ThreadedMotoServer(
        ip_address="127.0.0.1", port=0, verbose=False
    )
    server.start()
    host, port = server.get_host_and_port()
    for name, value in {
        "AWS_ENDPOINT_URL": f"http://{host}:{port}",
        "AWS_ACCESS_KEY_ID": "nobody",
        "AWS_SECRET_ACCESS_KEY": "nothing",
        "AWS_DEFAULT_REGION": "us-east-1",
    }.items():
        monkeypatch_module.setenv(name, value)
    import s3fs

    s3fs.S3FileSystem(skip_instance_cache=True).mkdir("bucket")
    yield "s3://bucket"
    server.stop()


@pytest.fixture(scope="module")
def monkeypatch_module():
    with pytest.MonkeyPatch.context() as patched:
        yield patched


def test_a_build_on_s3_is_the_one_on_disk(s3, tmp_path, mirror):
    asked = {"mirror": mirror, "raw": tmp_path / "raw"}
    build_miniatures("stare", store=tmp_path / "store", **asked)
    remote = build_miniatures("stare", store=f"{s3}/built", **asked)
    assert remote.is_complete
    assert verify(f"{s3}/built").problems == ()
    copy(f"{s3}/built", tmp_path / "back")
    assert contents(tmp_path / "back") == contents(tmp_path / "store")
    again = build_miniatures("stare", store=f"{s3}/built", **asked)
    assert all(group.was_there for group in again.groups)


@pytest.fixture(scope="module")
def both(s3, tmp_path_factory):
    """A store on the disk, and its copy on S3."""
    near = write_store(tmp_path_factory.mktemp("near") / "store", Discs("one"))
    copy(near.location.absolute, f"{s3}/copied")
    return near, open_store(f"{s3}/copied")


class TestReading:
    def test_examples(self, both):
        near, far = both
        for name in ("tasks", "examples", "subjects", "groups"):
            assert near.table(name).equals(far.table(name))
        task = next(iter(near))
        for mine, theirs in zip(near.read(task, "001-0"), far.read(task, "001-0"), strict=True):
            np.testing.assert_array_equal(mine, theirs)

    def test_what_training_reads(self, both):
        numbers = np.array([3, 0, 5, 3])
        near, far = (open_arrays(store, ["one/discs"])["one/discs"] for store in both)
        for mine, theirs in zip(near, far, strict=True):
            assert (mine.read(numbers) == theirs.read(numbers)).all()

    def test_by_workers_that_are_forked(self, both):
        asked = {"batch_size": 4, "num_workers": 1, "multiprocessing_context": "fork"}
        mine, theirs = (next(iter(DataLoader(store.dataset(), **asked))) for store in both)
        assert (mine.images == theirs.images).all()

    def test_a_lost_file_is_said(self, s3, both):
        assert len(both) == 2
        import s3fs

        s3fs.S3FileSystem(skip_instance_cache=True).rm("bucket/copied/one/discs/masks/c/0/0/0")
        assert any("masks/c/0/0/0 is missing" in line for line in verify(f"{s3}/copied").problems)


class TestInWords:
    def test_what_is_not_there(self, s3):
        with pytest.raises(StoreError, match="There is no store at s3://bucket/nothing"):
            open_store(f"{s3}/nothing")

    def test_a_url_of_no_kind(self, megamedical):
        said = megamedical("info", "--store", "nonsense://somewhere")
        assert said.exit_code == 1
        assert "nonsense://somewhere cannot be opened" in said.output

    @pytest.mark.parametrize("url, extra", [("s3://a/b", "s3"), ("gs://a/b", "gcs")])
    def test_an_extra_that_is_not_installed(self, url, extra):
        without = "import sys; sys.modules['s3fs'] = sys.modules['gcsfs'] = None; "
        code = f"{without}from megamedical.cli import app; app(['info', '--store', '{url}'])"
        ended = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=False
        )
        assert ended.returncode == 1
        assert f"pip install 'megamedical[{extra}]'" in ended.stderr
        assert len(ended.stderr.splitlines()) == 2

    def test_a_server_that_nobody_runs(self):
        code = "from megamedical.cli import app; app(['info', '--store', 's3://bucket/store'])"
        asked = {"AWS_ENDPOINT_URL": "http://127.0.0.1:9", "AWS_ACCESS_KEY_ID": "a"}
        asked |= {"AWS_SECRET_ACCESS_KEY": "b", "AWS_MAX_ATTEMPTS": "1", "PATH": ""}
        ended = subprocess.run(
            [sys.executable, "-c", code], env=asked, capture_output=True, text=True, check=False
        )
        pytest.importorskip("s3fs")
        assert ended.returncode == 1
        assert "cannot be reached" in ended.stderr
        assert "Traceback" not in ended.stderr
