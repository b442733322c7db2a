"""CSRF protection: a form that another site sent is refused; one of ours whose session ended is kept.

A form is taken when the browser itself says that our own pages sent it (app/web/origin.py), so one
that lay open over night, or over a sign-in in another tab, is simply taken; or, where it says
nothing, when it carries the session's token. All others are refused, and nothing of them is shown:
a page of ours that offers to send a forged form would do what the forger cannot.

A form of our own that came after its session had ended comes back with everything that was typed
to be seen, and one button that says what it will do.
"""

from typing import NamedTuple

from flask import Flask, g, make_response, render_template, request
from flask.typing import ResponseReturnValue
from flask_wtf.csrf import CSRFError, CSRFProtect

from app.links import has_one_spelling
from app.locale import Both
from app.people import setting_names
from app.web.origin import Origin, origin

# Their links say who is asking and no cookie is looked at: no other site can send their forms.
TOKEN_PAGES = frozenset({"report", "stop"})
# Asking for a sign-in mail is open to a visitor who is not signed in: no token, but not for
# other sites, whose visitors would each ask from a network of their own.
_SIGNED_OUT = frozenset({"login.ask"})
_CHANGES_NOTHING = frozenset({"GET", "HEAD", "OPTIONS"})
_WAS = "was."  # see app/web/edited.py
_UNSEEN = frozenset({"csrf_token", "form"})  # the only fields no person filled in
_protect = CSRFProtect()


def register(app: Flask) -> None:
    """Look at every form before its page does; templates have `csrf_token()`."""
    app.config.update(
        WTF_CSRF_CHECK_DEFAULT=False,  # `_check` decides when
        WTF_CSRF_TIME_LIMIT=None,  # as long as the session
        WTF_CSRF_SSL_STRICT=False,  # Origin says more than Referer, which our pages hold back
    )
    _protect.init_app(app)
    app.before_request(_check)


def is_token_page() -> bool:
    """Whether the page was opened by a mail's link."""
    return request.blueprint in TOKEN_PAGES


class Field(NamedTuple):
    """One field of a form as it is given back."""

    name: str
    label: Both
    value: str
    words: Both  # the value as people read it


def page() -> ResponseReturnValue:
    """The form of a member who is not signed in any more, to be sent again after signing in.

    Only for forms that `_check` let pass: our own.
    """
    action = request.form.get("action", "")
    endpoint = request.endpoint or ""
    shown = render_template(
        "signed_out.html",
        fields=_fields(),
        form_key=request.form.get("form"),
        files=bool(request.files),
        does=DOES.get(f"{endpoint}:{action}") or DOES.get(endpoint) or _SEND,
        action=request.full_path.rstrip("?"),
    )
    return make_response(shown, 401)


def _fields() -> list[Field]:
    """What the form would change, each field followed by what it was.

    A field that stands as it was when the form was opened changes nothing, and is left out.
    """
    form = request.form
    found = []
    for name, value in form.items(multi=True):
        was = f"{_WAS}{name}"
        alone = name.startswith(_WAS) and name.removeprefix(_WAS) not in form
        if alone or not (name in _UNSEEN or name.startswith(_WAS) or form.get(was) == value):
            found.append(_field(name, value))
            found += [_field(was, form[was])] if was in form else []
    return found


def _field(name: str, value: str) -> Field:
    key = name.removeprefix(_WAS)
    return Field(name, _label(name), value, setting_names.shown_value(key, value))


def _label(name: str) -> Both:
    known = _LABELS.get(name) or setting_names.name_of(name.removeprefix(_WAS))
    if not name.startswith(_WAS):
        return known
    return Both(f"{known.ja}(変更前)", f"{known.en} (before)")


def _check() -> ResponseReturnValue | None:
    harmless = request.method in _CHANGES_NOTHING
    if harmless or request.endpoint is None or is_token_page():
        return None
    sent_by = origin()
    if sent_by is Origin.OURS or (sent_by is Origin.UNKNOWN and _is_trusted()):
        return None
    g.me = None  # no cookie is read, and none is set: it is not the visitor who asks
    return make_response(render_template("elsewhere.html"), 403)


def _is_trusted() -> bool:
    if request.endpoint in _SIGNED_OUT:
        return True
    token = request.form.get("csrf_token", "")
    if not token or not has_one_spelling(token):
        return False
    try:
        _protect.protect()
    except CSRFError:
        return False
    return True


_SEND = Both("もう一度送る", "Send it again")
# What the button of a form that is given back does, by endpoint (and by the form's `action`).
DOES: dict[str, Both] = {
    "home.new": Both("タスクを追加する", "Add the task"),
    "home.task": Both("タスクの変更を保存する", "Save the changes of the task"),
    "home.task:cancel": Both("タスクを取りやめにする", "Cancel the task"),
    "settings.index": Both("自分の設定を保存する", "Save my settings"),
    "settings.look_ahead": Both("予定を確認する", "See what it brings"),
    "settings.days_off": Both("自分の休暇を追加する", "Add to my leave"),
    "settings.days_off:remove": Both("自分の休暇を取り消す", "Remove my leave"),
    "tokens.index": Both("API トークンを作る", "Make the API token"),
    "tokens.revoke": Both("API トークンを取り消す", "Revoke the API token"),
    "tokens.revoke_any": Both("メンバーの API トークンを取り消す", "Revoke a member's API token"),
    "data.index": Both("自分のデータを削除する", "Delete my data"),
    "login.enter": Both("サインインする", "Sign in"),
    "login.out": Both("サインアウトする", "Sign out"),
    "login.out_everywhere": Both("すべてのブラウザーでサインアウトする", "Sign out everywhere"),
    "outbox.resend": Both("メールをもう一度送る", "Send the mail again"),
    "outbox.resend_all": Both("選んだメールをすべて送り直す", "Send all these mails again"),
    "outbox.cancel": Both("メールを送らずに取り消す", "Cancel the mail"),
    "team.ask": Both("メンバーにいま知らせる", "Remind the member now"),
    "admin.pause": Both("すべての送信を止める", "Stop all sending"),
    "admin.resume": Both("送信を再開する", "Start sending"),
    "admin.accept_clock": Both(
        "このマシンの時計は正しいと認める", "Say that this machine's clock is right"
    ),
    "admin.confirm": Both("設定の変更は正しいと認める", "Confirm the changed settings"),
    "admin.new_member": Both("メンバーを追加する", "Add the member"),
    "admin.member": Both("メンバーの変更を保存する", "Save the changes of the member"),
    "admin.rename": Both("メンバーのアドレスを変える", "Change the member's address"),
    "admin.new_task": Both("メンバーのタスクを追加する", "Add the member's task"),
    "admin.pass_on": Both("タスクを引き継ぐ", "Pass the task on"),
    "admin.teams": Both("チームを追加する", "Add the team"),
    "admin.team": Both("チームの名前を変える", "Rename the team"),
    "admin.team:remove": Both("チームを削除する", "Remove the team"),
    "admin.settings": Both("組織の設定を保存する", "Save the organisation's defaults"),
    "admin.for_everybody": Both("全員に組織の値を使う", "Use the organisation's for everybody"),
    "admin.days_off": Both("休みの日を追加する", "Add days off"),
    "admin.days_off:remove": Both("休みの日を取り消す", "Remove days off"),
    "admin.imports": Both("ファイルの内容を確認する", "Look at the file"),
    "admin.preview": Both("ファイルを取り込む", "Import the file"),
    "admin.preview:drop": Both("取り込みをやめる", "Drop the file"),
}
_LABELS: dict[str, Both] = {
    "action": Both("操作", "Action"),
    "back": Both("戻り先", "Back to"),
    "first": Both("最初の日", "First day"),
    "last": Both("最後の日", "Last day"),
    "open_ended": Both("当面の間", "Until further notice"),
    "overwrite_settings": Both("本人の設定も上書き", "Overwrite settings of members"),
    "page": Both("ページ", "Page"),
    "q": Both("検索の言葉", "Search"),
    "text": Both("文章", "Text"),
    "what": Both("種類", "Kind"),
}
