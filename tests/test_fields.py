"""What a template asks of a field stands on the page: hints for keyboards and browsers, limits."""

import re

import pytest
from flask import Flask, render_template_string

_PARTS = '{% import "_parts.html" as ui with context %}'


@pytest.mark.parametrize(
    ("call", "tag"),
    [
        ('ui.field("one", "One", type="email", inputmode="email", maxlength=9)', "input"),
        ('ui.area("one", "One", inputmode="email", maxlength=9)', "textarea"),
        ('ui.select("one", "One", [("a", "A")], inputmode="email", maxlength=9)', "select"),
    ],
)
def test_attributes_by_name_reach_the_field(app: Flask, call: str, tag: str) -> None:
    with app.test_request_context("/"):
        page = render_template_string(f"{_PARTS}{{{{ {call} }}}}")
    found = re.search(f"<{tag} [^>]*>", page)
    assert found is not None
    assert 'inputmode="email"' in found.group()
    assert 'maxlength="9"' in found.group()


def test_the_sign_in_page_lets_the_browser_fill_in_the_address(app: Flask) -> None:
    page = app.test_client().get("/login").text
    assert re.search(r'<input id="f-email"[^>]* autocomplete="email"[^>]* inputmode="email"', page)
