"""The frame that shows a mail's HTML on our pages: sandboxed, so that it can do nothing."""

import re

from flask import Response

_TALLEST = 20_000  # pixels


def answer(html: str, sandbox: str = "") -> Response:
    """The frame's content.

    It was written by a program that reads other people's text: it may not run, load, submit or
    navigate anything but what `sandbox` allows.
    """
    response = Response(html, mimetype="text/html")
    response.headers["Content-Security-Policy"] = (
        f"sandbox {sandbox}; default-src 'none'; style-src 'unsafe-inline'; img-src data:; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'self'"
    )
    return response


def height(html: str) -> int:
    """About how many pixels the mail needs on a phone; it may run no script to tell us.

    Measured on our letters at 343 px, where a task with its choices takes some 330 px. A mail that
    needs more scrolls in its frame.
    """
    words = len(re.sub(r"(?s)<style.*?</style>|<[^>]*>|\s+", "", html))
    by_tasks, by_words = 560 + 330 * html.count("<h2"), 400 + words
    return min(max(by_tasks, by_words), _TALLEST)
