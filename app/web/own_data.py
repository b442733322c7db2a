"""`/settings/data`: what is stored about the signed-in member; download, delete."""

import csv
import io
import json

from flask import Blueprint, Response, render_template, request
from flask.typing import ResponseReturnValue

from app import clock
from app.imports.file_table import export_cell
from app.locale import Both
from app.maintenance import own_data
from app.members.admins import LastAdmin
from app.mime.address import address_key
from app.services import Services
from app.web import access
from app.web.access import myself, signed_in

_COLUMNS = ("task_ref", "title", "counts_for", "percent", "status", "text", "created_at")


def pages(services: Services) -> Blueprint:
    """The data of the signed-in member."""
    blueprint = Blueprint("data", __name__)

    @blueprint.route("/settings/data", methods=["GET", "POST"])
    @signed_in
    def index() -> ResponseReturnValue:
        if request.method == "GET":
            return render_template("data.html", fault=None)
        if address_key(request.form.get("email", "")) != address_key(myself().email):
            return render_template("data.html", fault=_OTHER), 422
        try:
            own_data.forget(services, myself().id, clock.now())
        except LastAdmin:
            return render_template("data.html", fault=_LAST), 409
        access.forget()
        return render_template("data_gone.html")

    @blueprint.get("/settings/data.json")
    @signed_in
    def as_json() -> ResponseReturnValue:
        found = own_data.export(services, myself().email)
        return _file(json.dumps(found, ensure_ascii=False, indent=1), "json", "application/json")

    @blueprint.get("/settings/reports.csv")
    @signed_in
    def as_csv() -> ResponseReturnValue:
        out = io.StringIO(newline="")
        lines = csv.writer(out)
        lines.writerow(_COLUMNS)
        for one in own_data.reports(services, myself().id):
            lines.writerow([export_cell(one[name]) for name in _COLUMNS])
        # The mark tells spreadsheets that it is UTF-8.
        return _file("\ufeff" + out.getvalue(), "csv", "text/csv; charset=utf-8")

    return blueprint


def _file(body: str, ending: str, kind: str) -> Response:
    response = Response(body, content_type=kind)
    response.headers["Content-Disposition"] = f"attachment; filename=task-progress.{ending}"
    return response


_OTHER = Both(
    "サインインしているアドレスと違います。確認のため、同じアドレスを入力してください。",
    "It is not the address you signed in with. Enter that one to confirm.",
)
_LAST = Both(
    "ただ一人の管理者のため、削除できません。先に `task-progress admin アドレス` で"
    "別の管理者を決めてください。",
    "You are the only admin. First make somebody else one: `task-progress admin ADDRESS`.",
)
