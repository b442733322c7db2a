"""`admin`: make a member an admin, the first one or a further one."""

import click

from app import clock
from app.cli.language import say
from app.cli.shell import Shell, command, who
from app.links import SIGN_IN_MINUTES
from app.members import sign_in
from app.mime.address import read_mailbox


@command(
    "admin",
    "管理者にして、サインインのリンクを表示する",
    "make somebody an admin and print a sign-in link",
)
@click.argument("email", metavar="EMAIL")
@click.pass_obj
def admin(shell: Shell, email: str) -> None:
    """Needs no mail: the link is printed."""
    address = read_mailbox("EMAIL", email).address
    url = sign_in.make_admin(shell.services(), address, who(), clock.now())
    say(
        f"{address} は管理者です。{SIGN_IN_MINUTES}分以内に、1回だけ使えるリンクです:",
        f"{address} is an admin. This link works once, within {SIGN_IN_MINUTES} minutes:",
    )
    click.echo(url)
