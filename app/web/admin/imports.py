"""`/admin/import`: a file, what each of its lines would do, and the confirmation that imports it.

Files to fill in are here too.
"""

from collections.abc import Sequence
from functools import partial
from typing import Any

from flask import Blueprint, Response, abort, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from app import clock
from app.imports import uploads
from app.imports.file_rows import ImportRefused
from app.imports.files import ImportMoved
from app.imports.templates import FORMS, template
from app.imports.uploads import NoSuchUpload, UploadPreview
from app.locale import Both
from app.models import Role
from app.people import setting_names
from app.people.columns import FILES
from app.people.table import LineFault
from app.services import Services
from app.util.grouped import grouped
from app.web import form_key, request_args
from app.web.access import admin, myself
from app.web.locale import current

_PER_PAGE = 100
_UPLOAD = "<int:upload_id>"
WHAT = {what: kind.name for what, kind in FILES.items()}
_TYPES = {
    "csv": "text/csv; charset=utf-8",
    "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
}
_VERDICTS = ("faulty", "new", "changed", "unchanged")


def add(blueprint: Blueprint, services: Services) -> None:
    """The pages of an import."""

    @blueprint.route("/import", methods=["GET", "POST"])
    @admin
    def imports() -> ResponseReturnValue:
        if request.method == "GET":
            return _form()
        what, file = request.form.get("what", ""), request.files.get("file")
        if what not in WHAT or file is None or not file.filename:
            return _form(missing=True), 422
        try:
            upload_id = uploads.keep(
                services,
                myself().id,
                what,
                file.filename,
                file.read(),
                overwrite_settings="overwrite_settings" in request.form,
                skip_unknown="skip_unknown" in request.form,
                now=clock.now(),
                form_key=form_key.sent(),
            )
        except ImportRefused as error:
            return _form(error.faults), 422
        return redirect(url_for(".preview", upload_id=upload_id), 303)

    @blueprint.get("/import/template/<what>.<form>")
    @admin
    def import_template(what: str, form: str) -> ResponseReturnValue:
        if what not in FILES or form not in FORMS:
            abort(404)
        name = f'attachment; filename="{what}.{form}"'
        return Response(
            template(what, form, current()),
            content_type=_TYPES[form],
            headers={"Content-Disposition": name},
        )

    @blueprint.route(f"/import/{_UPLOAD}", methods=["GET", "POST"])
    @admin
    def preview(upload_id: int) -> ResponseReturnValue:
        if request.method == "GET":
            return _preview(uploads.preview(services, myself().id, upload_id, now=clock.now()))
        if request.form.get("action") == "drop":
            uploads.drop(services, myself().id, upload_id)
            return redirect(url_for(".imports"), 303)
        try:
            done = uploads.confirm(
                services, myself().id, upload_id, who=myself().email, now=clock.now()
            )
        except NoSuchUpload:
            return redirect(url_for(".imports", done="gone"), 303)
        except ImportMoved:
            return redirect(url_for(".preview", upload_id=upload_id, moved=1), 303)
        counts: dict[str, Any] = {
            "added": done.added,
            "changed": done.changed,
            "unchanged": done.unchanged,
        }
        return redirect(url_for(".imports", done="imported", **counts), 303)


def _form(faults: Sequence[LineFault] = (), *, missing: bool = False) -> str:
    return render_template(
        "admin/import.html",
        what=request.form.get("what", "members"),
        overwrite="overwrite_settings" in request.form,
        skip="skip_unknown" in request.form,
        kinds=WHAT,
        files=FILES.values(),
        faults=faults,
        missing=missing,
        done=request_args.choice("done", ("imported", "gone")),
        counts={name: request_args.number(name) or 0 for name in ("added", "changed", "unchanged")},
    )


def _preview(found: UploadPreview) -> str:
    rows = _rows(found)
    counts = {verdict: sum(row["verdict"] == verdict for row in rows) for verdict in _VERDICTS}
    show = request_args.choice("show", _VERDICTS)
    chosen = [row for row in rows if show in ("", row["verdict"])]
    start = min(request_args.number("start") or 0, len(chosen))
    here: dict[str, Any] = {"upload_id": found.id, "show": show or None}
    more = start + _PER_PAGE < len(chosen)
    return render_template(
        "admin/import_preview.html",
        upload=found,
        result=found.found,
        kinds=WHAT,
        counts=counts,
        show=show,
        rows=chosen[start : start + _PER_PAGE],
        first=url_for(".preview", **here) if start else None,
        next=url_for(".preview", **here, start=start + _PER_PAGE) if more else None,
        moved="moved" in request.args,
        names=_names(found.what),
        word=partial(_word, found.what),
        admins=[row["key"] for row in rows if row["admin"]],
    )


def _names(what: str) -> dict[str, Both]:
    """What the columns are called; a member's manager is one of a file as of a form."""
    own = {one.key: one.name for one in FILES[what].columns}
    return {"days": setting_names.name_of("days"), **own}


def _word(what: str, column: str, value: str) -> Both:
    """A cell's value as people call it."""
    words = {one.key: one.words for one in FILES[what].columns}.get(column)
    return words.name(value) if words else Both(value, value)


def _rows(found: UploadPreview) -> list[dict[str, Any]]:
    """Every line of the file: what it does, or all that is wrong with it.

    `admin`: it makes a member an admin. `typed`: by column, what the file has where a person
    does not see in it what is written.
    """
    result = found.found
    faulty = grouped((fault["line"], fault) for fault in result["faults"])
    warned = grouped((warning["line"], warning) for warning in result["warnings"])
    rows: list[dict[str, Any]] = [
        {"line": line, "verdict": "faulty", "key": "", "changes": [], "faults": all_of}
        for line, all_of in faulty.items()
    ]
    rows += [one | {"faults": []} for one in result["lines"] if one["line"] not in faulty]
    typed: dict[int, dict[str, str]] = {}
    for line, column, cell, _ in result.get("hidden", ()):
        typed.setdefault(line, {})[column] = cell
    order = {one.key: n for n, one in enumerate(FILES[found.what].columns)}
    for row in rows:
        row["warnings"] = warned.get(row["line"], [])
        row["changes"] = sorted(row["changes"], key=lambda one: order.get(one[0], 0))
        row["typed"] = typed.get(row["line"], {})
        row["admin"] = any(
            column == "role" and after == Role.ADMIN for column, _, after in row["changes"]
        )
    return sorted(rows, key=lambda row: int(row["line"]))
