"""`token`: keys with which programs call the API."""

from dataclasses import asdict
from datetime import date

import click

from app import clock
from app.access import api_tokens
from app.access.api_tokens import Scope
from app.cli.language import say, t
from app.cli.shell import DAY, ROW_ID, Shell, as_json, email_argument, flag, group, option, who
from app.cli.show import show_json, show_table
from app.members import roster

token = group("token", "API のトークン", "tokens of the API")

_HEADERS = (
    t("番号", "id"), t("持ち主", "owner"), t("名前", "name"), t("先頭", "begins with"),
    t("範囲", "scopes"), t("期限", "until"), t("最後に使った日時", "last used"), t("状態", "state"),
)  # fmt: skip


@token.entry("create", "トークンを1つ作る", "make one token")
@email_argument
@click.argument("name", metavar="NAME")
@option("--scope", "できること: read,report,send,data のうちから", "what it may do: of read,report,send,data",
        "scopes", metavar="SCOPE[,SCOPE…]", default=str(Scope.READ), show_default=True)  # fmt: skip
@option("--expires", "最後の日(既定は1年後)", "its last day (a year from now)", "last", type=DAY)
@flag(
    "--test", "試験用: これで送るメールは送られない", "for trying out: what it sends goes nowhere"
)
@click.pass_obj
def create(
    shell: Shell, email: str, name: str, *, scopes: str, last: date | None, test: bool
) -> None:
    """The key is shown this once."""
    services = shell.services()
    wanted = [scope.strip() for scope in scopes.split(",") if scope.strip()]
    key = api_tokens.create(
        services, email, name, wanted, who=who(), now=clock.now(), expires_on=last, test=test
    )
    click.echo(key)
    say(
        "このトークンが表示されるのは、この1回だけです。プログラムの秘密情報として保存してください。",
        "It is shown this once. Keep it where that program keeps its secrets.",
    )


@token.entry("list", "トークンの一覧", "list the tokens")
@option("--user", "この人の分だけ", "only this member's", "email", metavar="EMAIL")
@as_json
@click.pass_obj
def list_tokens(shell: Shell, email: str | None, json_wanted: bool) -> None:
    """The newest first."""
    services = shell.services()
    member_id = roster.known_id(services, email) if email is not None else None
    found = api_tokens.listing(services, clock.now(), member_id)
    if json_wanted:
        show_json([asdict(one) for one in found])
    elif found:
        show_table(_HEADERS, (_row(one) for one in found))
    else:
        say("トークンはありません。", "There are no tokens.")


def _row(one: api_tokens.TokenRow) -> tuple[object, ...]:
    used = f"{one.last_used_at:%Y-%m-%d %H:00Z}" if one.last_used_at else None
    state = t("終わり", "ended") if one.ended else t("有効", "valid")
    return (
        one.id, one.owner, one.name, f"{one.shown}…", ",".join(one.scopes), one.expires_on, used,
        state + (t("、試験用", ", for trying out") if one.test else ""),
    )  # fmt: skip


@token.entry("revoke", "トークンを使えなくする", "end a token")
@click.argument("token_id", metavar="ID", type=ROW_ID)
@click.pass_obj
def revoke(shell: Shell, token_id: int) -> None:
    """At once; twice is as good as once."""
    api_tokens.revoke(shell.services(), token_id, who=who(), now=clock.now())
    say(f"トークン {token_id} を取り消しました。", f"Token {token_id} is revoked.")
