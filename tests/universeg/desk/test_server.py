"""What the page asks for, what others are refused, and what is on disk after it."""

import errno
import json
import os

import numpy as np
import pytest
from made_desk import (
    HOST,
    ORIGIN,
    SHAPE,
    TOKEN,
    client_of,
    disc,
    entered,
    open_desk,
    patch,
    write_pictures,
    write_volumes,
)
from PIL import Image

from universeg.desk import record as record_module
from universeg.desk.catalogue import NoScansError, lay_out
from universeg.desk.record import Record
from universeg.prediction.inputs import inputs_at


@pytest.fixture
def desk(tmp_path):
    return open_desk(write_pictures(tmp_path / "scans"), tmp_path / "out")


@pytest.fixture
def client(desk):
    return entered(desk)


def first(client):
    return client.get("/api/desk").json()["scans"][0]["id"]


def body(pixels, revision=0, label=1):
    drawn = patch(pixels, label)
    patches = [{"label": label, "box": [*drawn.box], "runs": drawn.runs}]
    return {"revision": revision, "plane": "2d", "index": 0, "patches": patches}


def pixels_of(answer, shape=SHAPE):
    size = shape[0] * shape[1]
    bits = np.frombuffer(answer.content, np.uint8).reshape(-1, -(-size // 8))
    labels = [int(label) for label in answer.headers["x-labels"].split(",") if label]
    layers = np.unpackbits(bits, axis=1, count=size).astype(bool).reshape(-1, *shape)
    return dict(zip(labels, layers, strict=True))


class TestDrawing:
    def test_what_is_drawn_is_shown_again(self, client, desk):
        scan = first(client)
        said = client.post(f"/api/scans/{scan}/edits", json=body(disc())).json()
        assert said["revision"] == 1
        shown = pixels_of(client.get(f"/api/scans/{scan}/masks/2d/0"))
        np.testing.assert_array_equal(shown[1], disc())
        on_disk = Record(desk.work / scan, "0").masks(SHAPE)
        np.testing.assert_array_equal(on_disk.layer(1), disc())

    def test_done_joins_the_support(self, client, desk):
        scan = first(client)
        client.post(f"/api/scans/{scan}/edits", json=body(disc()))
        answer = client.post(f"/api/scans/{scan}/finish", json={"revision": 1}).json()
        assert answer["scans"][0]["state"] == "corrected"
        assert desk.support() == [(scan, 2)]
        task = client.agenda.next_task()
        assert scan not in task.scans and len(task.scans) == 2

    def test_a_second_window_gets_a_sentence(self, client):
        scan = first(client)
        client.post(f"/api/scans/{scan}/edits", json=body(disc()))
        answer = client.post(f"/api/scans/{scan}/edits", json=body(~disc()))
        assert answer.status_code == 409
        assert "another window" in answer.json()["problem"]

    def test_a_full_disk_gets_a_sentence(self, client, monkeypatch):
        def full(_):
            raise OSError(errno.ENOSPC, "No space left on device")

        monkeypatch.setattr(record_module.os, "fsync", full)
        answer = client.post(f"/api/scans/{first(client)}/edits", json=body(disc()))
        assert (answer.status_code, answer.json()["problem"]) == (507, "The disk is full")

    def test_labels_are_added_renamed_and_taken_away(self, client, desk):
        scan = first(client)
        labels = client.post("/api/labels", json={"name": "<b>nucleus</b>"}).json()["labels"]
        assert [label["name"] for label in labels] == ["cell", "<b>nucleus</b>"]
        client.post(f"/api/scans/{scan}/edits", json=body(disc(), label=2))
        twice = [labels[0], labels[1] | {"name": "Cell"}]
        answer = client.put("/api/labels", json={"labels": twice, "overlap": False})
        assert answer.status_code == 400
        answer = client.put("/api/labels", json={"labels": labels[:1], "overlap": True})
        assert answer.json()["overlap"] is True
        assert pixels_of(client.get(f"/api/scans/{scan}/masks/2d/0")) == {}
        assert client.post(f"/api/scans/{scan}/edits", json=body(disc(), 1, 2)).status_code == 400
        assert json.loads((desk.folder / "desk.json").read_text())["overlap"] is True

    def test_there_is_nothing_to_learn_from_yet(self, client):
        answer = client.post(f"/api/scans/{first(client)}/predict", json={})
        assert (answer.status_code, answer.json()["problem"]) == (
            400,
            "There is nothing to learn from yet",
        )

    def test_where_nothing_has_changed_little_is_said(self, client):
        change = client.get("/api/desk").json()["change"]
        assert client.get(f"/api/desk?since={change}").json() == {"change": change}

    def test_a_slice_has_its_values(self, tmp_path):
        client = entered(open_desk(write_volumes(tmp_path / "v"), tmp_path / "o"))
        scan = first(client)
        about = client.get(f"/api/scans/{scan}").json()
        assert about["planes"]["coronal"] == {"count": 24, "size": [10, 20], "mm": [3, 2]}
        answer = client.get(f"/api/scans/{scan}/image/axial/5")
        values = np.frombuffer(answer.content, "<u2").reshape(24, 20)
        scale = (about["high"] - about["low"]) / 65535
        expected = inputs_at(tmp_path / "v")[0].read()[0].voxels[5]
        np.testing.assert_allclose(values * scale + about["low"], expected, atol=scale)

    def test_a_picture_of_one_bit_a_pixel_is_shown(self, tmp_path):
        (tmp_path / "s").mkdir()
        Image.fromarray(disc()).save(tmp_path / "s" / "bits.png")
        assert Image.open(tmp_path / "s" / "bits.png").mode == "1"
        client = entered(open_desk(tmp_path / "s", tmp_path / "o"))
        scan = first(client)
        assert client.get(f"/api/scans/{scan}").json()["high"] == 1
        values = np.frombuffer(client.get(f"/api/scans/{scan}/image/2d/0").content, "<u2")
        np.testing.assert_array_equal(values.reshape(disc().shape) > 0, disc())
        assert client.get(f"/api/scans/{scan}/thumbnail").status_code == 200

    def test_a_fault_of_its_own_is_told_in_a_sentence(self, client, monkeypatch):
        monkeypatch.setattr("universeg.desk.desk.read_shown", lambda _: 1 / 0)
        answer = client.get(f"/api/scans/{first(client)}/thumbnail")
        assert answer.status_code == 500
        assert "A fault of the desk itself (ZeroDivisionError" in answer.json()["problem"]

    def test_thumbnails_are_small_pictures(self, client):
        answer = client.get(f"/api/scans/{first(client)}/thumbnail")
        assert answer.headers["content-type"] == "image/png"
        assert answer.content.startswith(b"\x89PNG")


class TestStrangers:
    """Whoever is not the page that the token opened is refused."""

    def test_without_the_token_nothing_is_told(self, desk):
        client = client_of(desk)
        for path in ("/", "/api/desk", "/page/main.js", "/?token=wrong", "/?token=", "/docs"):
            answer = client.get(path)
            assert answer.status_code == 401, path
            assert "cell" not in answer.text

    def test_the_token_is_changed_for_a_cookie_of_this_site_alone(self, desk):
        answer = client_of(desk).get(f"/?token={TOKEN}", follow_redirects=False)
        assert (answer.status_code, answer.headers["location"]) == (303, "/")
        cookie = answer.headers["set-cookie"]
        assert "HttpOnly" in cookie and "SameSite=Strict" in cookie

    def test_a_wrong_cookie_is_none(self, desk):
        client = client_of(desk)
        for value in ("", "x", TOKEN[:-1], TOKEN + "x", "ü"):
            headers = {"cookie": f"desk-8421={value}".encode()}
            assert client.get("/api/desk", headers=headers).status_code == 401

    @pytest.mark.parametrize("host", ["evil.example", "evil.example:8421", "127.0.0.1", ""])
    def test_by_another_name_it_is_not_there(self, client, host):
        """As after DNS rebinding, where the browser takes this machine for another site."""
        assert client.get("/api/desk", headers={"host": host}).status_code == 421

    @pytest.mark.parametrize("origin", ["http://evil.example", "null", "http://127.0.0.1:1", ""])
    def test_another_page_may_not_ask(self, client, origin):
        scan = first(client)
        headers = {"origin": origin}
        answer = client.post(f"/api/scans/{scan}/edits", json=body(disc()), headers=headers)
        assert answer.status_code == 403
        assert client.get("/api/desk", headers=headers).status_code == 403

    def test_another_site_may_not_ask_without_an_origin(self, client):
        headers = {"sec-fetch-site": "cross-site"}
        assert client.get("/api/desk", headers=headers).status_code == 403
        client.headers.pop("origin")
        assert client.post("/api/labels", json={"name": "x"}).status_code == 403

    def test_a_form_of_another_site_is_no_json(self, client):
        for kind in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data"):
            answer = client.post("/api/labels", content=b"{}", headers={"content-type": kind})
            assert answer.status_code == 415

    def test_every_answer_forbids_what_the_page_does_not_need(self, client):
        for path in ("/", "/page/main.js", "/api/desk", "/nothing", "/?token=wrong"):
            headers = client.get(path).headers
            policy = headers["content-security-policy"]
            assert "default-src 'none'" in policy and "unsafe" not in policy, path
            assert "frame-ancestors 'none'" in policy
            assert headers["x-content-type-options"] == "nosniff"
            assert headers["referrer-policy"] == "no-referrer"

    def test_the_page_says_nothing_that_the_policy_forbids(self, client):
        page = client.get("/").text
        assert " style=" not in page and "<style" not in page and " onclick" not in page
        assert "http://" not in page and "https://" not in page


class TestHostileRequests:
    """Nothing but the scans is read, nothing but their work is written, and nothing is endless."""

    @pytest.mark.parametrize(
        "path",
        [
            "/page/../desk.py",
            "/page/..%2fdesk.py",
            "/page/%2e%2e%2fdesk.py",
            "/page/LICENSE",
            "/api/scans/../../etc/passwd",
            "/api/scans/..%2f..%2fetc%2fpasswd/thumbnail",
            "/api/scans/nobody/image/2d/0",
            "/api/scans/nobody/masks/2d/0",
            "/openapi.json",
        ],
    )
    def test_no_other_file_is_read(self, client, path):
        assert client.get(path).status_code == 404

    @pytest.mark.parametrize(
        "place", ["2d/1", "2d/-1", "axial/0", "..%2f/0", "2d/x", "2d/99999999999999999999"]
    )
    def test_no_other_slice_is_there(self, client, place):
        for what in ("image", "masks"):
            answer = client.get(f"/api/scans/{first(client)}/{what}/{place}")
            assert answer.status_code in (404, 422)

    @pytest.mark.parametrize(
        "wrong",
        [
            {},
            {"revision": -1},
            {"revision": 1e99},
            {"index": 10**30},
            {"plane": "axial"},
            {"plane": "x" * 1000},
            {"more": 1},
            {"patches": [{"label": 1, "box": [0, 10**9, 0, 10**9], "runs": [10**18]}]},
            {"patches": [{"label": 1, "box": [0, 2, 0, 2], "runs": [3]}]},
            {"patches": [{"label": 1, "box": [0, 2, 0, 2], "runs": [-4, 8]}]},
            {"patches": [{"label": 0, "box": [0, 2, 0, 2], "runs": [4]}]},
            {"patches": [{"label": 99, "box": [0, 2, 0, 2], "runs": [4]}]},
            {"patches": [{"label": 1, "box": [0, 2, 0, 2], "runs": [4], "path": "/etc"}]},
            {"patches": [{"label": 1, "box": [39, 41, 0, 2], "runs": [4]}]},
        ],
    )
    def test_what_makes_no_sense_is_not_drawn(self, client, desk, wrong):
        scan = first(client)
        sent = body(disc()) | wrong if wrong else {}
        answer = client.post(f"/api/scans/{scan}/edits", json=sent)
        assert answer.status_code in (400, 422), answer.text
        assert desk.record(scan).standing.revision == 0
        assert not (desk.work / scan / "edits.jsonl").exists()

    def test_a_request_is_not_endless(self, client):
        headers = {"content-length": str(10**12), "content-type": "application/json"}
        assert client.post("/api/labels", content=b"{}", headers=headers).status_code == 413

        def endless():
            for _ in range(40):
                yield b" " * (1 << 20)

        answer = client.post(
            "/api/labels", content=endless(), headers={"content-type": "application/json"}
        )
        assert answer.status_code >= 400

    def test_json_may_be_nested_or_broken(self, client):
        for content in (b"[" * 100_000, b"{", b"\xff\xfe", b"null", b'{"name": NaN}'):
            headers = {"content-type": "application/json"}
            answer = client.post("/api/labels", content=content, headers=headers)
            assert 400 <= answer.status_code < 500, content[:10]

    def test_links_are_not_followed_out_of_the_folder(self, tmp_path, capsys):
        scans = write_pictures(tmp_path / "scans")
        write_pictures(tmp_path / "secret", 1)
        (scans / "link.png").symlink_to(tmp_path / "secret" / "0.png")
        (scans / "inside.png").symlink_to(scans / "0.png")
        entries = lay_out(scans, print)
        assert [each.name for each in entries.values()] == ["0", "1", "2", "inside"]
        assert "link.png is a link that leads out" in capsys.readouterr().out

    def test_a_scan_that_becomes_a_link_is_not_read(self, client, tmp_path):
        write_pictures(tmp_path / "secret", 1)
        scan = tmp_path / "scans" / "0.png"
        scan.unlink()
        scan.symlink_to(tmp_path / "secret" / "0.png")
        for what in ("", "/thumbnail", "/image/2d/0"):
            answer = client.get(f"/api/scans/{first(client)}{what}")
            assert answer.status_code == 422
            assert "leads out of the folder" in answer.json()["problem"]

    def test_a_name_is_only_a_name(self, tmp_path):
        scans = write_pictures(tmp_path / "scans", 1)
        os.rename(scans / "0.png", scans / "<img src=x onerror=alert(1)>.png")  # noqa: PTH104
        client = entered(open_desk(scans, tmp_path / "out"))
        (scan,) = client.get("/api/desk").json()["scans"]
        assert scan["name"] == "<img src=x onerror=alert(1)>"
        assert scan["id"].isalnum()

    def test_a_folder_without_scans_is_told(self, tmp_path):
        (tmp_path / "notes.txt").write_text("none")
        with pytest.raises(NoScansError, match="holds no scan"):
            lay_out(tmp_path, print)


def test_the_address_has_the_token_and_a_name_that_is_known(desk):
    door = client_of(desk).door
    assert door.address == f"{ORIGIN}/?token={TOKEN}"
    assert HOST in door.hosts
