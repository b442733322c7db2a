"""PURE. The words of each letter: one small function per letter, facts in, `MailMessage` out.

`templates/mail/NAME.ja.txt` and `NAME.en.txt` are the text part of the letter NAME, `NAME.ja.html`
and `NAME.en.html` say the same words in the look of `layout.html`; a note needs no template. What people wrote (titles,
reports, names) is data: on one line, without invisible characters, cut at a stated length.

Each letter is a module. What is here is asked for by programs that compose none, as beat, which
need no templates.
"""

from app.compose.text import message_id, show_date

__all__ = ["message_id", "show_date"]
