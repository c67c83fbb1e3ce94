"""What can be asked of a desk, and what it answers."""

from __future__ import annotations

import errno
import gzip
from collections.abc import Callable
from importlib import resources
from typing import Any

import numpy as np
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response

from megamedical.errors import MegaMedicalError, SubjectError
from universeg.desk.desk import Desk, UnknownScanError
from universeg.desk.masks import Masks, NoSuchPlaceError, Patch
from universeg.desk.overview import opened, overview
from universeg.desk.predicting.agenda import Agenda
from universeg.desk.predicting.tuning import Tunings
from universeg.desk.record import ConflictError
from universeg.desk.results.errand import Errand
from universeg.desk.server.bodies import (
    EditBody,
    FinishBody,
    LabelsBody,
    NewLabelBody,
    Nothing,
    ResultsBody,
    TuneBody,
)
from universeg.desk.server.guard import Door, Guard

_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
_FAST = 1  # level of gzip; more costs time that a person waits
_FULL = (errno.ENOSPC, errno.EDQUOT)


def application(desk: Desk, agenda: Agenda, tunings: Tunings, errand: Errand, door: Door) -> Guard:
    """The server of a desk, guarded."""
    app = FastAPI(openapi_url=None, docs_url=None, redoc_url=None)
    _serve_page(app)
    _serve_scans(app, desk, agenda, tunings)
    _take_work(app, desk, agenda, tunings)
    _take_tunings(app, desk, agenda, tunings)
    _take_errands(app, errand)
    _explain(app)
    return Guard(app, door)


def _serve_page(app: FastAPI) -> None:
    """The page; only what lies in its folder, by name, is there to be asked for."""
    folder = resources.files("universeg.desk") / "page"
    files = {
        each.name: each.read_bytes()
        for each in folder.iterdir()
        if each.name[each.name.rfind(".") :] in _TYPES
    }

    def answer(name: str) -> Response:
        if name not in files:
            return _said(404, "There is no such page")
        return Response(files[name], media_type=_TYPES[name[name.rfind(".") :]])

    app.get("/")(lambda: answer("index.html"))
    app.get("/page/{name}")(answer)


def _serve_scans(app: FastAPI, desk: Desk, agenda: Agenda, tunings: Tunings) -> None:
    @app.get("/api/desk")
    def look(since: int = -1, opened: str = "") -> dict[str, Any]:
        agenda.looks_at(opened)
        return overview(desk, agenda, tunings, since)

    @app.get("/api/scans/{identity}")
    def open_scan(identity: str) -> dict[str, Any]:
        agenda.looks_at(identity)  # so that its prediction begins while its picture is on its way
        return opened(desk, identity)

    @app.get("/api/scans/{identity}/thumbnail")
    def thumbnail(identity: str) -> Response:
        return Response(  # read at once: a file may be another one by the time that it is sent
            desk.thumbnail(identity).read_bytes(),
            media_type="image/png",
            headers={"cache-control": "private, max-age=3600"},
        )

    @app.get("/api/scans/{identity}/image/{plane}/{index}")
    def image(identity: str, plane: str, index: int) -> Response:
        content, kind = desk.shown(identity).slice_of((plane, index))
        return (
            _packed(content, {})
            if kind.endswith("octet-stream")
            else Response(content, media_type=kind)
        )

    @app.get("/api/scans/{identity}/masks/{plane}/{index}")
    def masks(identity: str, plane: str, index: int, found: bool = False) -> Response:
        record = desk.record(identity)
        shape = desk.shape(identity)
        with record.lock:
            standing = record.standing
            told = {"x-revision": str(standing.revision), "x-version": str(standing.version)}
            layers = desk.found_masks(identity) if found else desk.masks(identity)
            return _slice_of(layers, (plane, index), told, shape)


def _take_work(app: FastAPI, desk: Desk, agenda: Agenda, tunings: Tunings) -> None:
    @app.post("/api/scans/{identity}/edits")
    def edit(identity: str, body: EditBody) -> dict[str, Any]:
        patches = [Patch(each.label, each.box, each.runs) for each in body.patches]
        cut = (body.plane, body.index)
        revision = desk.edit(identity, body.revision, cut, patches)
        return {"revision": revision, "version": desk.record(identity).standing.version}

    @app.post("/api/scans/{identity}/finish")
    def finish(identity: str, body: FinishBody) -> dict[str, Any]:
        desk.finish(identity, body.revision)
        return overview(desk, agenda, tunings)

    @app.post("/api/scans/{identity}/predict")
    def predict(identity: str, body: Nothing) -> dict[str, Any]:
        del body
        agenda.ask(identity)
        return overview(desk, agenda, tunings)

    @app.put("/api/labels")
    def set_labels(body: LabelsBody) -> dict[str, Any]:
        desk.set_labels(body.labels, body.overlap)
        return overview(desk, agenda, tunings)

    @app.post("/api/labels")
    def add_label(body: NewLabelBody) -> dict[str, Any]:
        desk.add_label(body.name)
        return overview(desk, agenda, tunings)


def _take_tunings(app: FastAPI, desk: Desk, agenda: Agenda, tunings: Tunings) -> None:
    @app.post("/api/tuning")
    def tune(body: TuneBody) -> dict[str, Any]:
        tunings.begin(body.seconds, agenda.labelled)
        return overview(desk, agenda, tunings)

    @app.post("/api/tuning/stop")
    def stop(body: Nothing) -> dict[str, Any]:
        del body
        tunings.stop()
        return overview(desk, agenda, tunings)

    @app.post("/api/tuning/back")
    def back(body: Nothing) -> dict[str, Any]:
        del body
        tunings.back()
        return overview(desk, agenda, tunings)


def _take_errands(app: FastAPI, errand: Errand) -> None:
    @app.get("/api/results")
    def results() -> dict[str, Any]:
        return errand.told()

    @app.post("/api/results")
    def write_results(body: ResultsBody) -> dict[str, Any]:
        errand.begin(unseen=body.unseen, patients=body.patients)
        return errand.told()


def _explain(app: FastAPI) -> None:
    """Every trouble in a sentence, and none with a traceback."""

    def on(kind: type[Exception], status: int) -> None:
        def answer(_: Request, error: Exception) -> Response:
            problem = str(getattr(error, "problem", "") or getattr(error, "reason", ""))
            return _said(status, problem, getattr(error, "remedy", ""))

        app.add_exception_handler(kind, answer)

    on(MegaMedicalError, 400)
    on(SubjectError, 422)
    on(NoSuchPlaceError, 422)
    on(UnknownScanError, 404)
    on(ConflictError, 409)

    @app.exception_handler(OSError)
    def on_disk(_: Request, error: OSError) -> Response:
        if error.errno in _FULL:
            return _said(507, "The disk is full", "Make room; what you drew is sent again then.")
        return _said(500, f"It could not be written: {error.strerror or error}")

    @app.exception_handler(RequestValidationError)
    def on_body(_: Request, error: RequestValidationError) -> Response:
        first = error.errors()[0]
        return _said(422, f"{'.'.join(map(str, first['loc']))}: {first['msg']}")

    @app.exception_handler(Exception)
    def on_fault(_: Request, error: Exception) -> Response:
        return _said(500, f"A fault of the desk itself ({type(error).__name__}: {error})")

    @app.exception_handler(ValueError)
    def on_value(_: Request, error: ValueError) -> Response:
        return _said(422, str(error))


def _slice_of(layers: Masks, cut: Any, told: dict[str, str], shape: tuple[int, ...]) -> Response:  # noqa: ANN401
    """The bits of each label that shows anything, label after label, padded to whole bytes."""
    if layers.shape != shape:
        layers = Masks(shape)
    shown = {label: layers.shown(label, cut) for label in layers.labels}
    some = {label: pixels for label, pixels in shown.items() if pixels.any()}
    if not some:
        layers.shown(0, cut)  # raises where there is no such slice
    bits = b"".join(np.packbits(pixels).tobytes() for pixels in some.values())
    return _packed(bits, {**told, "x-labels": ",".join(map(str, some))})


def _packed(content: bytes, headers: dict[str, str]) -> Response:
    return Response(
        gzip.compress(content, _FAST, mtime=0),
        media_type="application/octet-stream",
        headers={**headers, "content-encoding": "gzip"},
    )


def _said(status: int, problem: str, remedy: str = "") -> JSONResponse:
    return JSONResponse({"problem": problem, "remedy": remedy}, status_code=status)


Handler = Callable[[Request, Exception], Response]
