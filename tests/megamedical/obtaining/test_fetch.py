"""Downloads from a server that misbehaves: the file is whole and verified, or it is not there."""

import errno
import hashlib
import json
import shutil
import ssl
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from io import FileIO
from pathlib import Path

import pytest
import requests
import urllib3
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from misbehaving import (
    OTHER,
    SCANS,
    Site,
    chunked,
    hang_up,
    redirect,
    running_site,
    serve,
    status,
)

from megamedical.errors import ArchiveError, MegaMedicalError, Unobtainable
from megamedical.files.checksums import Digest, digest_of, read_sums, sha256_of
from megamedical.obtaining.fetch import fetch as download
from megamedical.obtaining.fetch import without_secrets


@pytest.fixture
def site(monkeypatch) -> Iterator[Site]:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with running_site() as server:
        yield server


@pytest.fixture
def target(tmp_path) -> Path:
    return tmp_path / "raw" / "acdc" / "archives" / "ACDC.zip"


def sha256(content: bytes, who: str = "the manifest of acdc") -> Digest:
    return Digest("sha256", hashlib.sha256(content).hexdigest(), who)


def beside(target: Path) -> list[str]:
    """What is in the folder of a file, but for its lock."""
    names = sorted(path.name for path in target.parent.iterdir())
    return [name for name in names if name != f".{target.name}.lock"]


def fetch(urls, target, *, expected=None, size=None, attempts=4, timeout=5.0, report=None):
    """Download without ever sleeping; the waits that were asked for."""
    waits: list[float] = []
    urls = [urls] if isinstance(urls, str) else urls
    download(
        urls,
        target,
        expected=expected,
        size=size,
        report=report,
        attempts=attempts,
        timeout=timeout,
        wait=waits.append,
    )
    return waits


def assert_only(target: Path, content: bytes) -> None:
    assert target.read_bytes() == content
    assert beside(target) == [target.name]


def part_of(target: Path) -> Path:
    return target.with_name(f"{target.name}.part")


# What goes well


def test_whole_file_arrives_and_progress_is_told(site, target):
    told = []
    url = site.url("/a.zip", serve())
    waits = fetch(
        url,
        target,
        expected=sha256(SCANS),
        size=len(SCANS),
        report=lambda arrived, length: told.append((arrived, length)),
    )
    assert waits == []
    assert_only(target, SCANS)
    assert told[-1] == (len(SCANS), len(SCANS))
    assert [arrived for arrived, _ in told] == sorted(arrived for arrived, _ in told)


def test_md5_is_checked_too(site, target):
    url = site.url("/a.zip", serve())
    md5 = Digest("md5", hashlib.md5(SCANS, usedforsecurity=False).hexdigest(), "the manifest")
    fetch(url, target, expected=md5)
    assert_only(target, SCANS)
    target.unlink()
    with pytest.raises(ArchiveError, match="md5"):
        fetch(url, target, expected=Digest("md5", "0" * 32, "the manifest"))
    assert not target.exists()


def test_redirects_are_followed(site, target):
    site.url("/there.zip", serve())
    fetch(site.url("/here.zip", redirect("/there.zip")), target)
    assert_only(target, SCANS)


def test_length_need_not_be_known(site, target):
    fetch(site.url("/a.zip", chunked(SCANS, whole=True)), target)
    assert_only(target, SCANS)


def test_transport_encoding_is_not_undone(site, target):
    """A server that says `Content-Encoding: gzip` of a `.nii.gz` means the file as it lies."""

    def answer(visit):
        assert visit.headers["Accept-Encoding"] == "identity"
        visit.send_response(200)
        visit.send_header("Content-Encoding", "gzip")
        visit.send_header("Content-Length", str(len(SCANS)))
        visit.end_headers()
        visit.wfile.write(SCANS)

    fetch(site.url("/scan.nii.gz", answer), target)
    assert_only(target, SCANS)


# Connections that break


def test_dropped_connection_is_resumed(site, target):
    url = site.url("/a.zip", serve(until=70_000), serve(until=150_000), serve())
    assert fetch(url, target, expected=sha256(SCANS)) == [1.0, 2.0]
    assert_only(target, SCANS)
    assert [span for _, span in site.asked] == [None, "bytes=70000-", "bytes=150000-"]


def test_stalled_connection_is_resumed(site, target):
    url = site.url("/a.zip", serve(until=140_000, stall=True), serve())
    fetch(url, target, timeout=0.2)
    assert_only(target, SCANS)
    assert site.asked[1][1] == f"bytes={2 * 64 * 1024}-"


def test_later_run_goes_on_where_this_one_ended(site, target):
    url = site.url("/a.zip?token=secret", serve(until=70_000))
    site.url("/a.zip", serve(until=70_000))
    with pytest.raises(Unobtainable, match=r"70\.0 kB of it are kept") as failure:
        fetch(url, target, attempts=1)
    assert "Run again later" in failure.value.remedy
    assert not target.exists()
    assert part_of(target).stat().st_size == 70_000
    assert "secret" not in target.with_name("ACDC.zip.part.json").read_text()
    site.url("/a.zip", serve())
    fetch(url, target, attempts=1)
    assert_only(target, SCANS)
    assert site.asked[-1][1] == "bytes=70000-"


def test_whole_part_is_checked_without_asking_again(site, target):
    url = site.url("/a.zip", serve(until=70_000))
    with pytest.raises(Unobtainable):
        fetch(url, target, attempts=1)
    part_of(target).write_bytes(SCANS)
    fetch(url, target, expected=sha256(SCANS))
    assert_only(target, SCANS)
    assert len(site.asked) == 1


def test_last_modified_guards_where_there_is_no_strong_etag(site, target):
    date = "Tue, 02 Jan 2018 00:00:00 GMT"
    first, then = (
        serve(etag='W/"weak"', modified=date, until=until) for until in (90_000, len(SCANS))
    )
    fetch(site.url("/a.zip", first, then), target, expected=sha256(SCANS))
    assert_only(target, SCANS)
    assert site.asked[1][1] == "bytes=90000-"
    assert site.conditions == [None, date]


@pytest.mark.parametrize(
    "second",
    [
        pytest.param(serve(ranges=False), id="no ranges"),
        pytest.param(serve(etag=None, ranges=False), id="neither ranges nor versions"),
    ],
)
def test_server_without_ranges_gives_the_whole(site, target, second):
    fetch(site.url("/a.zip", serve(until=70_000), second), target, expected=sha256(SCANS))
    assert_only(target, SCANS)


def test_nothing_is_continued_without_knowing_the_version(site, target):
    fetch(site.url("/a.zip", serve(etag=None, until=70_000), serve(etag=None)), target)
    assert_only(target, SCANS)
    assert [span for _, span in site.asked] == [None, None]


@pytest.mark.parametrize(
    ("changed", "content"),
    [
        pytest.param(serve(OTHER, etag='"v2"'), OTHER, id="told by the server"),
        pytest.param(serve(OTHER, etag='"v2"', if_range=False), OTHER, id="told by the ETag"),
        pytest.param(
            serve(OTHER + b"more", etag=None, if_range=False),
            OTHER + b"more",
            id="told by the length",
        ),
    ],
)
def test_changed_file_is_not_spliced(site, target, changed, content):
    fetch(site.url("/a.zip", serve(until=70_000), changed), target)
    assert_only(target, content)


def test_server_says_that_a_file_changed_without_being_asked_twice(site, target):
    url = site.url("/a.zip", serve(until=70_000), serve(OTHER, etag='"v2"'))
    assert fetch(url, target) == [1.0]
    assert len(site.asked) == 2


@pytest.mark.parametrize("span", ["bytes 60000-199999/200004", "bytes */200004", "", "lines 3-4"])
def test_continuation_from_elsewhere_is_refused(site, target, span):
    def answer(visit):
        visit.send_response(206)
        visit.send_header("Content-Range", span)
        visit.send_header("Content-Length", str(len(SCANS) - 70_000))
        visit.end_headers()
        visit.wfile.write(OTHER[70_000:])

    fetch(site.url("/a.zip", serve(until=70_000), answer, serve()), target)
    assert_only(target, SCANS)


def test_part_longer_than_the_file_is_dropped(site, target):
    url = site.url("/a.zip", serve(until=70_000))
    with pytest.raises(Unobtainable):
        fetch(url, target, attempts=1)
    part_of(target).write_bytes(SCANS + b"more")
    site.url("/a.zip", serve())
    fetch(url, target)
    assert_only(target, SCANS)


def test_garbled_sidecar_means_from_the_start(site, target):
    target.parent.mkdir(parents=True)
    part_of(target).write_bytes(b"who knows what")
    target.with_name("ACDC.zip.part.json").write_text('["not", "a", "version"]')
    fetch(site.url("/a.zip", serve()), target)
    assert_only(target, SCANS)
    assert site.asked == [("/a.zip", None)]


def test_hung_up_and_chunks_cut_off_are_tried_again(site, target):
    url = site.url(
        "/a.zip", hang_up, chunked(SCANS[:999], whole=False), chunked(b"", whole=True), serve()
    )
    assert fetch(url, target) == [1.0, 2.0, 4.0]
    assert_only(target, SCANS)


# Answers that are no file


@pytest.mark.parametrize("code", [429, 500, 502, 503, 504])
def test_busy_server_is_asked_again_when_it_says(site, target, code):
    soon = format_datetime(datetime.now(UTC) + timedelta(hours=2), usegmt=True)
    url = site.url(
        "/a.zip",
        status(code, Retry_After="7"),
        status(code, Retry_After=soon),
        status(code, Retry_After="whenever"),
        serve(),
    )
    assert fetch(url, target) == [7.0, 300.0, 4.0]
    assert_only(target, SCANS)


def test_attempts_are_bounded(site, target):
    url = site.url("/a.zip", status(503))
    with pytest.raises(Unobtainable, match="503 Service Unavailable"):
        fetch(url, target, attempts=5)
    assert len(site.asked) == 5


@pytest.mark.parametrize("code", [400, 401, 403, 404, 410, 204])
def test_refusal_moves_on_to_the_next_mirror_at_once(site, target, code):
    urls = [site.url("/gone.zip", status(code)), site.url("/a.zip", serve())]
    assert fetch(urls, target) == []
    assert_only(target, SCANS)
    assert [path for path, _ in site.asked] == ["/gone.zip", "/a.zip"]


def test_failure_lists_every_mirror_with_its_reason(site, target):
    urls = [
        site.url("/gone.zip", status(404)),
        site.url("/terms.zip", status(403)),
        site.url("/login.zip", serve(b"  <!DOCTYPE html><html>Sign in", kind="text/plain")),
        site.url("/landing.zip", serve(b"\n<!-- hi -->\n<html>Data", kind="x/y")),
        site.url("/circle.zip", redirect("/circle.zip")),
        "sftp://127.0.0.1/a.zip",
        "http://[bad/a.zip",
    ]
    with pytest.raises(Unobtainable) as failure:
        fetch(urls, target)
    lines = failure.value.problem.splitlines()
    assert lines[0] == "ACDC.zip could not be downloaded:"
    assert [line.partition(": ")[0].strip(" -") for line in lines[1:]] == urls
    for line, reason in zip(
        lines[1:],
        [
            "404 Not Found",
            "terms",
            "web page",
            "web page",
            "circles",
            "only those that begin with http, https, ftp, gdrive",
            "InvalidURL",
        ],
        strict=True,
    ):
        assert reason in line
    assert str(target.parent) in failure.value.remedy
    assert beside(target) == []


@pytest.mark.parametrize(
    ("error", "cause", "reason"),
    [
        (requests.exceptions.SSLError, ssl.SSLCertVerificationError, "certificate is not valid"),
        (requests.exceptions.SSLError, ssl.SSLEOFError, "no secure connection"),
        (requests.ConnectTimeout, urllib3.exceptions.ConnectTimeoutError, "no network"),
        (requests.exceptions.ProxyError, urllib3.exceptions.NewConnectionError, "no network"),
        (requests.ReadTimeout, ValueError, "nothing came for 5 s"),
        (requests.exceptions.InvalidSchema, ValueError, "InvalidSchema"),
    ],
)
def test_trouble_with_the_connection_is_told_apart(target, monkeypatch, error, cause, reason):
    def get(*_: object, **__: object):
        underlying = cause.__new__(cause, "the whole URL, ?token=secret")
        raise error("the whole URL, ?token=secret") from underlying

    monkeypatch.setattr(requests.Session, "get", get)
    with pytest.raises(Unobtainable, match=reason) as failure:
        fetch("https://host/a.zip?token=secret", target)
    assert "secret" not in str(failure.value)


def test_web_page_is_told_by_its_type(site, target):
    url = site.url("/a.zip", serve(b"Please log in.", kind="text/html; charset=utf-8"))
    with pytest.raises(Unobtainable, match="open it in a browser"):
        fetch(url, target)
    assert beside(target) == []


def test_web_page_does_not_destroy_what_has_arrived(site, target):
    page = serve(b"<html>Log in</html>", etag=None, ranges=False, kind="text/html")
    url = site.url("/a.zip", serve(until=70_000), page)
    with pytest.raises(Unobtainable, match="web page"):
        fetch(url, target)
    assert part_of(target).read_bytes() == SCANS[:70_000]


def test_no_network_is_said(target):
    urls = ["http://127.0.0.1:9/a.zip?token=secret", "http://user:word@127.0.0.1:9/b.zip"]
    with pytest.raises(Unobtainable, match="no network here") as failure:
        fetch(urls, target, attempts=2)
    assert "http://127.0.0.1:9/b.zip: it could not be reached (Connection refused)" in str(
        failure.value
    )
    assert "secret" not in str(failure.value)
    assert "word" not in str(failure.value)


def test_without_network_little_time_is_lost(target):
    waits: list[float] = []
    with pytest.raises(Unobtainable, match="no network here"):
        download(["http://127.0.0.1:9/a.zip"], target, expected=None, size=None, wait=waits.append)
    assert waits == [1.0]


def test_server_that_goes_down_midway_is_waited_for(site, target):
    def go_down(visit):
        serve(until=70_000)(visit)
        site.socket.close()
        site.over.set()

    url = site.url("/a.zip", go_down)
    with pytest.raises(Unobtainable, match=r"70\.0 kB of it are kept.*no network"):
        fetch(url, target, attempts=4)
    assert part_of(target).read_bytes() == SCANS[:70_000]


def test_whole_part_of_another_address_is_not_believed(site, target):
    url = site.url("/old.zip", serve(OTHER, until=70_000))
    with pytest.raises(Unobtainable):
        fetch(url, target, attempts=1)
    part_of(target).write_bytes(OTHER)
    fetch(site.url("/new.zip", serve()), target)
    assert_only(target, SCANS)


def test_no_secret_is_shown_whatever_fails(site, target):
    faults = [hang_up, status(404), status(503), serve(b"<html>"), serve(until=9), redirect("/a")]
    for number, fault in enumerate(faults):
        site.url(f"/{number}", fault)
    site.url("/a", redirect("/a"))
    base = f"127.0.0.1:{site.server_address[1]}"
    urls = [f"http://me:hidden@{base}/{n}?key=hidden#hidden" for n in range(len(faults))]
    with pytest.raises(MegaMedicalError) as failure:
        fetch(urls, target, size=len(SCANS))
    error: BaseException | None = failure.value
    assert "hidden" not in str(error)
    assert error.__cause__ is None


@settings(max_examples=50)
@given(
    host=st.from_regex(r"[a-z]{1,9}(\.[a-z]{2,3}){1,2}", fullmatch=True),
    path=st.from_regex(r"(/[a-zA-Z0-9@._-]{0,9}){1,3}", fullmatch=True),
    secret=st.from_regex(r"[A-Z0-9]{8}", fullmatch=True),
)
def test_shown_url_has_no_secret(host, path, secret):
    shown = without_secrets(
        f"https://{secret}:{secret}@{host}{path}?X={secret}&y@={secret}#{secret}"
    )
    assert shown == f"https://{host}{path}"


# Files that are not the right one


def test_wrong_bytes_are_never_trusted(site, target):
    url = site.url("/a.zip", serve(OTHER))
    with pytest.raises(ArchiveError) as failure:
        fetch(url, target, expected=sha256(SCANS, "SHA256SUMS"))
    found, expected = (hashlib.sha256(content).hexdigest()[:12] for content in (OTHER, SCANS))
    for word in ("ACDC.zip", found, expected, "SHA256SUMS"):
        assert word in failure.value.problem
    assert "--no-checksum" in failure.value.remedy
    assert beside(target) == []


def test_wrong_bytes_of_one_mirror_leave_the_next(site, target):
    urls = [site.url("/bad.zip", serve(OTHER)), site.url("/a.zip", serve())]
    fetch(urls, target, expected=sha256(SCANS))
    assert_only(target, SCANS)


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        pytest.param(serve(SCANS[:-1]), "199_?003 bytes", id="shorter"),
        pytest.param(
            chunked(SCANS[:-1], whole=True), "bytes long, expected", id="shorter, chunked"
        ),
        pytest.param(chunked(SCANS * 2, whole=True), "more than the expected", id="endless"),
    ],
)
def test_length_must_be_the_manifests(site, target, answer, reason):
    with pytest.raises(ArchiveError, match=reason.replace("199_?003", str(len(SCANS) - 1))):
        fetch(site.url("/a.zip", answer), target, size=len(SCANS))
    assert beside(target) == []


def test_content_length_that_lies_is_not_believed(site, target):
    url = site.url("/a.zip", serve(length=len(SCANS) + 5), serve(etag='"v2"'))
    fetch(url, target)
    assert_only(target, SCANS)


def test_mirror_that_a_part_came_from_goes_first(site, target):
    urls = [site.url("/first.zip", status(404)), site.url("/second.zip", serve(until=70_000))]
    with pytest.raises(Unobtainable):
        fetch(urls, target, attempts=1)
    site.url("/first.zip", serve())
    site.url("/second.zip", serve())
    fetch(urls, target)
    assert_only(target, SCANS)
    assert site.asked[2:] == [("/second.zip", "bytes=70000-")]


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    faults=st.lists(
        st.sampled_from(
            [hang_up, status(503), serve(OTHER, etag='"v0"', until=60_000)]
            + [serve(until=until) for until in (1, 65_536, 199_999)]
            + [serve(ranges=False, until=80_000), serve(etag=None, until=10)]
        ),
        max_size=4,
    )
)
def test_whatever_breaks_on_the_way_the_bytes_are_right(site, target, faults):
    shutil.rmtree(target.parent, ignore_errors=True)
    fetch(site.url("/a.zip", *faults, serve()), target, attempts=5)
    assert_only(target, SCANS)


# Full disks


def test_full_disk_is_seen_before_anything_is_written(site, target, monkeypatch):
    usage = shutil.disk_usage(target.parents[3])._replace(free=1000)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    with pytest.raises(
        ArchiveError, match=r"200\.0 kB or more are needed, 1\.0 kB are free"
    ) as full:
        fetch(site.url("/a.zip", serve()), target)
    assert str(target.parent) in full.value.problem
    assert "larger disk" in full.value.remedy
    assert part_of(target).stat().st_size == 0


def test_disk_that_fills_up_keeps_the_part(site, target, monkeypatch):
    class Full(FileIO):
        """A file on a disk with room for one chunk."""

        def write(self, chunk):
            if self.tell():
                raise OSError(errno.ENOSPC, "No space left on device")
            return super().write(chunk)

    open_ = Path.open
    with monkeypatch.context() as patch:
        patch.setattr(
            Path,
            "open",
            lambda path, mode="r", *rest, **named: (
                Full(path, mode) if mode == "ab" else open_(path, mode, *rest, **named)
            ),
        )
        with pytest.raises(ArchiveError, match="No space left in") as full:
            fetch(site.url("/a.zip", serve()), target)
    assert str(target.parent) in full.value.problem
    assert not target.exists()
    assert part_of(target).read_bytes() == SCANS[: 64 * 1024]
    fetch(site.url("/a.zip", serve()), target, expected=sha256(SCANS))
    assert_only(target, SCANS)
    assert site.asked[-1][1] == f"bytes={64 * 1024}-"


# Checksums


def test_digests(tmp_path):
    file = tmp_path / "a"
    file.write_bytes(SCANS)
    assert sha256_of(file) == hashlib.sha256(SCANS).hexdigest()
    assert digest_of(file, "md5") == hashlib.md5(SCANS, usedforsecurity=False).hexdigest()


def test_sums_are_read_in_both_notations(tmp_path):
    sums = tmp_path / "SHA256SUMS"
    sums.write_bytes(
        b"\xef\xbb\xbf"
        + b"a" * 64
        + b"  acdc/ACDC.zip\r\n\n"
        + b"B" * 64
        + b" *./msd/Task 04.tar\n"
    )
    assert read_sums(sums) == {"acdc/ACDC.zip": "a" * 64, "msd/Task 04.tar": "b" * 64}


@pytest.mark.parametrize(
    "line",
    [
        b"abc  acdc/a.zip",
        b"a" * 64,
        b"a" * 64 + b" acdc/a.zip",
        b"g" * 64 + b"  acdc/a.zip",
        b"b" * 64 + b"  acdc/ACDC.zip",
        b"a" * 64 + b"  acdc/\xff.zip",
        json.dumps({"acdc": 1}).encode(),
    ],
)
def test_malformed_line_is_named(tmp_path, line):
    sums = tmp_path / "SHA256SUMS"
    sums.write_bytes(b"a" * 64 + b"  acdc/ACDC.zip\n" + line + b"\n")
    with pytest.raises(ArchiveError, match="SHA256SUMS, line 2") as malformed:
        read_sums(sums)
    assert malformed.value.remedy


# Servers that say what cannot be


@pytest.mark.parametrize(
    "location", ["http://[bad", "http://a:99999999/", "file:///etc/passwd", "http:///x"]
)
def test_malformed_location_is_a_failure_in_words(site, target, location):
    urls = [site.url("/x", redirect(location)), site.url("/a.zip", serve())]
    fetch(urls, target)
    assert beside(target) == [target.name]


@pytest.mark.parametrize("address", ["169.254.169.254", "10.0.0.1", "192.168.1.1", "[fe80::1]"])
def test_redirect_to_elsewhere_inside_is_refused(site, target, address):
    with pytest.raises(Unobtainable, match="which is not followed"):
        fetch(site.url("/x", redirect(f"http://{address}/latest/meta-data")), target)


def test_redirect_to_this_machine_is_refused_to_others(monkeypatch):
    from megamedical.obtaining.partial_file import Failed
    from megamedical.obtaining.redirects import place_of, refuse_inward

    for address in ("127.0.0.1", "::1", "0.0.0.0", "::ffff:127.0.0.1"):  # noqa: S104
        with pytest.raises(Failed, match="this machine"):
            refuse_inward(place_of(address), "public")
        refuse_inward(place_of(address), "this machine")
    refuse_inward(place_of("8.8.8.8"), "public")


def with_headers(**headers: str):
    def answer(visit):
        visit.send_response(200)
        for name, value in headers.items():
            visit.send_header(name.replace("_", "-"), value)
        visit.end_headers()
        visit.wfile.write(SCANS)

    return answer


@pytest.mark.parametrize(
    "headers",
    [
        {"Content_Length": "9" * 5_000},
        {"Content_Length": "-5"},
        {"ETag": '"\xe9"', "Last_Modified": "\x01"},
        {"Content_Range": "bytes 5-9/9"},
    ],
)
def test_headers_that_cannot_be_are_not_believed(site, target, headers):
    fetch(site.url("/a.zip", with_headers(**headers)), target, expected=sha256(SCANS))
    assert_only(target, SCANS)


@pytest.mark.parametrize("value", ["9" * 5_000, "1e400", "-7", "Mon, 99 Jan 99999999 00:00:00 GMT"])
def test_retry_after_out_of_range(site, target, value):
    url = site.url("/a.zip", status(503, Retry_After=value), serve())
    assert fetch(url, target)[0] <= 300
    assert_only(target, SCANS)


def test_endless_body_of_a_redirect_is_not_read(site, target):
    def endless(visit):
        visit.send_response(302)
        visit.send_header("Location", "/a.zip")
        visit.end_headers()
        with suppress(OSError):
            while not visit.server.over.is_set():
                visit.wfile.write(bytes(65_536))

    site.url("/a.zip", serve())
    fetch(site.url("/x", endless), target)
    assert_only(target, SCANS)


def trickle(*, in_header: bool):
    def answer(visit):
        visit.send_response(200)
        if not in_header:
            visit.send_header("Content-Length", str(len(SCANS)))
            visit.end_headers()
        visit.flush_headers()
        with suppress(OSError):
            while not visit.server.over.wait(0.02):
                visit.wfile.write(b"x")

    return answer


@pytest.mark.parametrize("in_header", [True, False])
def test_a_trickle_times_out(site, target, in_header):
    with pytest.raises(Unobtainable, match=r"less than 64 kB in 0\.3 s"):
        fetch(site.url("/a.zip", trickle(in_header=in_header)), target, timeout=0.3)


def test_it_may_break_off_as_often_as_it_likes_while_it_moves_forward(site, target):
    cuts = [serve(until=until) for until in range(5_000, 200_000, 5_000)]
    waits = fetch(site.url("/a.zip", *cuts, serve()), target, expected=sha256(SCANS), attempts=3)
    assert len(waits) == len(cuts)
    assert max(waits) <= 2
    assert_only(target, SCANS)


@pytest.mark.parametrize("name", ["ACDC.zip", "ACDC.tar.gz", "ACDC.7z", "ACDC.rar", "ACDC.tar"])
def test_without_a_checksum_an_archive_must_look_whole(site, tmp_path, name):
    target = tmp_path / "raw" / name
    with pytest.raises(ArchiveError, match=r"no whole archive|does not begin as"):
        fetch(site.url("/a", serve(b"x" * 100_000)), target)
    assert beside(target) == []


def test_a_zip_without_its_end_is_not_whole(site, target):
    with pytest.raises(ArchiveError, match="no whole archive"):
        fetch(site.url("/a.zip", serve(SCANS[:-50])), target)
