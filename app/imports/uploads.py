"""An uploaded file, kept between its preview and its confirmation."""

import json
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Unpack

from sqlalchemy import delete
from sqlalchemy.orm import Session

from app.access import sent_forms
from app.compose.text import inert
from app.imports.context import LineOutcome
from app.imports.file_rows import ImportRefused
from app.imports.files import ImportMoved, ImportOptions, ImportResult, import_file, preview_file
from app.locale import Both
from app.models import Upload
from app.refused import Code, Refused
from app.services import Services

KEPT_FOR = timedelta(days=1)
# The pages share one process: so many lines take about 160 MB while they are looked at.
MOST_LINES = 20_000


class NoSuchUpload(Refused):
    """It was imported or dropped, its day is over, or another admin uploaded it."""

    def __init__(self) -> None:
        super().__init__(
            Code.NO_SUCH_FILE, Both("このファイルはもうありません。", "The file is gone.")
        )


@dataclass(frozen=True, slots=True)
class UploadPreview:
    """What a kept file would do: `found` is `ImportResult.as_json`."""

    id: int
    what: str
    name: str
    overwrite_settings: bool
    found: dict[str, Any]


def keep(
    services: Services,
    user_id: int,
    what: str,
    name: str,
    data: bytes,
    *,
    now: datetime,
    form_key: str | None = None,
    **options: Unpack[ImportOptions],
) -> int:
    """Looks at the file and keeps it for a day; returns the id of its preview.

    Raises ImportRefused for a file of which no line can be read, or with more than MOST_LINES: it
    is not kept.
    """
    options["most_lines"] = MOST_LINES
    found = preview_file(services, what, data, now=now, **options)
    with services.db.write() as session:
        if (known := sent_forms.made_before(session, form_key, now)) is not None:
            return known
        upload = Upload(
            user_id=user_id,
            what=what,
            name=inert(name)[:200],
            overwrite_settings=options.get("overwrite_settings", False),
            data=zlib.compress(data, 1),
            preview=_packed(found),
            created_at=now,
        )
        session.add(upload)
        session.flush()
        sent_forms.made(session, form_key, upload.id)
        return upload.id


def preview(services: Services, user_id: int, upload_id: int, *, now: datetime) -> UploadPreview:
    """What was found when the file was last looked at. Raises NoSuchUpload."""
    with services.db.read() as session:
        upload = _get(session, user_id, upload_id, now)
    return UploadPreview(
        id=upload.id,
        what=upload.what,
        name=upload.name,
        overwrite_settings=upload.overwrite_settings,
        found=_unpacked(upload.preview),
    )


def confirm(
    services: Services, user_id: int, upload_id: int, *, who: str, now: datetime
) -> ImportResult:
    """Writes what the preview said, and nothing else; then the file is dropped.

    Raises NoSuchUpload; ImportMoved when a line would do something else by now: the preview is
    a new one then.
    """
    with services.db.read() as session:
        upload = _get(session, user_id, upload_id, now)
    found = _unpacked(upload.preview)
    data, expected = zlib.decompress(upload.data), _outcomes(found)
    try:
        chosen: ImportOptions = {**_chosen(upload, found), "who": who}
        result = import_file(services, upload.what, data, now=now, expected=expected, **chosen)
    except (ImportMoved, ImportRefused):
        _look_again(services, upload, data, now)
        raise ImportMoved from None
    drop(services, user_id, upload_id)
    return result


def drop(services: Services, user_id: int, upload_id: int) -> None:
    """Forgets the file."""
    with services.db.write() as session:
        session.execute(delete(Upload).where(Upload.id == upload_id, Upload.user_id == user_id))


def _look_again(services: Services, upload: Upload, data: bytes, now: datetime) -> None:
    chosen = _chosen(upload, _unpacked(upload.preview))
    again = preview_file(services, upload.what, data, now=now, **chosen)
    with services.db.write() as session:
        found = session.get(Upload, upload.id)
        if found is not None:
            found.preview = _packed(again)


def _chosen(upload: Upload, found: Mapping[str, Any]) -> ImportOptions:
    """What was chosen when the file came. The preview names the columns that were passed over, so
    they were allowed to be.
    """
    return {
        "overwrite_settings": upload.overwrite_settings,
        "skip_unknown": bool(found.get("skipped")),
        "most_lines": MOST_LINES,
    }


def _get(session: Session, user_id: int, upload_id: int, now: datetime) -> Upload:
    """The row, unless its day is over: no tick may have swept it yet."""
    upload = session.get(Upload, upload_id)
    if upload is None or upload.user_id != user_id or upload.created_at < now - KEPT_FOR:
        raise NoSuchUpload
    return upload


def _packed(result: ImportResult) -> bytes:
    return zlib.compress(json.dumps(result.as_json(), ensure_ascii=False).encode())


def _unpacked(stored: bytes) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(zlib.decompress(stored))
    return found


def _outcomes(found: Mapping[str, Any]) -> list[LineOutcome]:
    # JSON has no tuples.
    return [
        LineOutcome(**one | {"changes": tuple(map(tuple, one["changes"]))})
        for one in found["lines"]
    ]
