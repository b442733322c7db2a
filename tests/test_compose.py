"""The letters: what they say, in both languages and both parts, whatever people wrote into them."""

import email
import os
import re
import sys
import time
import unicodedata
from collections import Counter
from datetime import UTC, date, datetime
from email import policy
from email.message import EmailMessage
from html.parser import HTMLParser
from itertools import groupby
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markupsafe import escape

from app import letters
from app.compose import message_id, rendering, show_date
from app.compose.colours import DARK, LIGHT
from app.compose.line_breaking import LINE, wrap
from app.compose.reminder import ReminderFacts, TaskLine, reminder
from app.compose.text import composed, inert, shorten
from app.mime.message import MailMessage, build, width
from app.models import Kind
from tests.letters import FRIDAY, KIMURA, LETTERS, MANY, SMITH, SUZUKI, TODAY, letter, task

GOLDEN = Path(__file__).parent / "golden"
NOW = datetime(2026, 11, 25, tzinfo=UTC)
BOTH_LANGUAGES = pytest.mark.parametrize("locale", ["ja", "en"])
EVERY_LETTER = pytest.mark.parametrize("facts", LETTERS.values(), ids=LETTERS)


class Reader(HTMLParser):
    """What a person sees of an HTML part, its links, and its headings."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.words: list[str] = []
        self.links: list[str] = []
        self.headings: list[str] = []
        self.tags: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in {"meta", "br"}:
            self.tags.append(tag)
        if tag == "a":
            self.links.append(dict(attrs)["href"] or "")
        if tag in {"h1", "h2"}:
            self.headings.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.tags.pop() == tag, "tags are closed in order"

    def handle_data(self, data: str) -> None:
        if not {"head", "div"} & set(self.tags):  # the div holds the preheader
            self.words.append(data)

    def seen(self) -> str:
        return "".join("".join(self.words).split())


def compose(facts: ReminderFacts) -> tuple[MailMessage, Reader]:
    message = reminder(facts)
    assert message.html is not None
    return message, Reader(message.html)


CHOICES = ("25", "50", "75", "done", "blocked", "same")


def task_url(facts: ReminderFacts, task: TaskLine) -> str:
    """The page of one task."""
    return f"{facts.report_url}?t={task.task_id}"


def links_of_text(message: MailMessage) -> list[str]:
    lines = (line.strip() for line in message.text.splitlines())
    return [line for line in lines if line.startswith("https://progress.example.jp/")]


def pages(links: list[str]) -> list[str]:
    """The links without the choice that fills the form; the choices of one task are one page."""
    return [page for page, _ in groupby(link.partition("&c=")[0] for link in links)]


def words_of_text(message: MailMessage) -> str:
    """The text part without what only a text part needs: numbers, links, colons before them."""
    lines = message.text.splitlines()
    links = set(links_of_text(message))
    kept = (
        re.sub(r"^\d+\. ", "", line)
        if following.strip() not in links
        else line.removesuffix(":").replace(" | ", "")
        for line, following in zip(lines, [*lines[1:], ""], strict=True)
        if line.strip() not in links and line != "-- "
    )
    return "".join("".join(kept).split())


def on_the_wire(message: MailMessage) -> bytes:
    fields = {**vars(message), "mail_from": "Task Progress <app@example.com>"}
    return build(MailMessage(**fields), date=NOW).data


def received(message: MailMessage) -> EmailMessage:
    """As the standard library reads it."""
    read = email.message_from_bytes(on_the_wire(message), policy=policy.default)
    assert isinstance(read, EmailMessage)
    return read


def html_of(mail: EmailMessage) -> str:
    html = mail.get_body(("html",))
    assert html is not None
    payload = html.get_payload(decode=True)
    assert isinstance(payload, bytes)
    return payload.decode().replace("\r\n", "\n")


# --- golden letters -----------------------------------------------------------------------


@EVERY_LETTER
def test_each_letter_is_the_one_reviewed_in_golden(
    facts: ReminderFacts, request: pytest.FixtureRequest
) -> None:
    name = request.node.callspec.id
    message = reminder(facts)
    fields = [f"to: {message.to}", f"subject: {message.subject}", f"id: {message.message_id}"]
    fields += [f"{field}: {value}" for field, value in message.headers.items()]
    made = {
        GOLDEN / f"reminder-{name}.txt": "\n".join(fields) + "\n\n" + message.text,
        GOLDEN / f"reminder-{name}.html": message.html or "",
    }
    for path, content in made.items():
        if os.environ.get("GOLDEN") == "write":
            path.write_text(content, encoding="utf-8")
        assert path.read_text(encoding="utf-8") == content, "GOLDEN=write, then review the diff"


# --- what a letter says -------------------------------------------------------------------


@EVERY_LETTER
def test_text_and_html_say_the_same_words_in_the_same_order(facts: ReminderFacts) -> None:
    message, page = compose(facts)
    assert words_of_text(message) == page.seen()


@EVERY_LETTER
def test_text_and_html_have_the_same_links_in_the_same_order(facts: ReminderFacts) -> None:
    message, page = compose(facts)
    assert links_of_text(message) == pages(page.links)


@EVERY_LETTER
def test_each_task_offers_its_choices_and_as_before_where_there_was_a_report(
    facts: ReminderFacts,
) -> None:
    _, page = compose(facts)
    for one in facts.tasks[:20]:
        url = task_url(facts, one)
        choices = [link.removeprefix(f"{url}&c=") for link in page.links if f"{url}&" in link]
        before = one.last_percent is not None and one.last_status != "done"
        assert choices == list(CHOICES if before else CHOICES[:-1])


@EVERY_LETTER
def test_all_links_of_a_letter_but_one_are_the_one_signed_address(facts: ReminderFacts) -> None:
    """A signature costs more than everything else about a link."""
    _, page = compose(facts)
    others = [link for link in page.links if not link.startswith(facts.report_url)]
    assert others == [facts.stop_url]
    assert page.links[-3:] == [f"{facts.report_url}/later", f"{facts.report_url}/off", *others]


@EVERY_LETTER
def test_only_links_make_a_line_of_the_text_long(facts: ReminderFacts) -> None:
    message = reminder(facts)
    long = [line for line in message.text.splitlines() if width(line) > LINE]
    assert all(line.strip().startswith("https://progress.example.jp/") for line in long)


@EVERY_LETTER
def test_a_letter_passes_the_checks_of_the_mailer_unchanged(facts: ReminderFacts) -> None:
    message = reminder(facts)
    read = received(message)
    assert read["Subject"] == message.subject
    assert read["List-Unsubscribe"] == f"<{facts.stop_url}>"
    assert read["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    assert read["Auto-Submitted"] == "auto-generated"
    assert html_of(read) == f"{message.html}\n"


def test_the_subject_begins_with_the_number_and_fits_an_inbox_line() -> None:
    for facts in LETTERS.values():
        subject = reminder(facts).subject
        assert width(subject) < 60
        assert subject.index(str(len(facts.tasks))) <= len("未報告のタスク")
    assert reminder(SUZUKI).subject == "未報告のタスク3件 11月25日(水)"
    assert reminder(SMITH).subject == "3 unreported tasks, Wed 25 Nov"


def test_the_preheader_continues_the_subject_with_the_titles() -> None:
    html = reminder(SUZUKI).html or ""
    preheader = html[html.index("<div") : html.index("</div>")]
    assert "監視ダッシュボード作成、単体テストの追加" in preheader
    assert "未報告" not in preheader


def test_the_first_line_says_what_matters() -> None:
    lines = reminder(SUZUKI).text.splitlines()
    assert lines[0] == "鈴木 一郎さん"
    assert lines[2] == "未報告のタスクが3件あります。1分で報告できます。"


def test_a_task_overdue_and_one_due_today_are_marked_with_mark_and_word() -> None:
    assert "◆ 期限切れ 11月20日(金)" in reminder(KIMURA).text
    assert "◇ 今日が期限 11月25日(水)" in reminder(KIMURA).text
    assert "◆ Overdue, was due Fri 20 Nov" in reminder(SMITH).text


def test_a_due_date_of_another_year_says_the_year() -> None:
    assert "期限 2027年1月8日(金)" in reminder(SUZUKI).text


def test_a_report_by_somebody_else_names_them() -> None:
    facts = letter(task("T-1", "題", last_on=FRIDAY, last_by="田中 美咲", last_percent=5))
    assert "前回 11月20日(金)・田中 美咲さん・5%" in reminder(facts).text


@BOTH_LANGUAGES
def test_help_is_offered_after_three_silent_workdays_and_not_before(locale: Any) -> None:
    offer = {"ja": "一言だけで大丈夫です", "en": "one line is enough"}[locale]
    two = letter(task("T-1", "a", silent=2), locale=locale)
    three = letter(task("T-1", "a", silent=1), task("T-2", "b", silent=3), locale=locale)
    assert offer not in reminder(two).text
    assert offer in reminder(three).text


def test_one_task_is_said_in_the_singular_and_needs_no_page_of_all() -> None:
    facts = letter(task("T-1", "a", silent=1), locale="en")
    text = reminder(facts).text
    assert "You have 1 unreported task." in text
    assert "Unreported for 1 workday\n" in text
    assert f"{facts.report_url}\n" not in text


def test_at_most_twenty_tasks_are_shown_and_the_others_are_one_link_away() -> None:
    message, page = compose(MANY)
    assert page.headings == ["h1"] + ["h2"] * 20
    assert "20. 契約更新 20社目 (T-020)" in message.text
    assert "契約更新 21社目" not in message.text
    assert f"ほか15件もまとめて報告する:\n{MANY.report_url}\n" in message.text


def test_five_thousand_tasks_make_a_letter_too() -> None:
    many = letter(*[task("T-1", "題")] * 5000)
    assert "ほか4980件もまとめて報告する" in reminder(many).text


def test_no_task_makes_no_letter() -> None:
    with pytest.raises(ValueError, match="No task is unreported"):
        reminder(letter())


def test_a_member_without_a_name_is_greeted_all_the_same() -> None:
    facts = letter(task("T-1", "題"), name="")
    message = reminder(facts)
    assert message.to == "suzuki.ichiro@example.jp"
    assert message.text.startswith("こんにちは。\n")
    assert "このメールのリンクから行った操作は、ご本人による" in message.text


@BOTH_LANGUAGES
def test_the_foot_says_where_a_reply_goes_and_whose_name_the_links_act_in(locale: Any) -> None:
    shown = letter(task("T-1", "a"), locale=locale)
    hidden = letter(task("T-1", "a"), locale=locale, reply_to_shown=None)
    foot = reminder(shown).text.split("\n-- \n")[1]
    assert "鈴木 一郎" in foot
    assert {"ja": "転送しないで", "en": "do not forward"}[locale] in foot
    assert "Support <support@example.com>" in foot
    assert shown.stop_url in foot
    assert {"ja": "差出人に届きます", "en": "to the sender"}[locale] in reminder(hidden).text


@BOTH_LANGUAGES
def test_an_asked_reminder_says_that_somebody_asked(locale: Any) -> None:
    facts = letter(task("T-1", "a"), kind="asked_reminder", n=2, locale=locale)
    message = reminder(facts)
    assert {"ja": "リーダーからの依頼", "en": "your lead asked"}[locale] in message.text
    assert message.message_id == "<asked_reminder.17.2026-11-25.2.7f3a9c@example.jp>"


def test_the_reminders_of_one_month_share_a_thread_and_the_next_month_begins_another() -> None:
    days = [date(2026, 11, 25), date(2026, 11, 30), date(2026, 12, 1)]
    threads = [
        reminder(letter(task("T-1", "題"), local_date=day)).headers["References"] for day in days
    ]
    assert threads[0] == threads[1] == "<reminder.17.2026-11.7f3a9c@example.jp>"
    assert threads[2] == "<reminder.17.2026-12.7f3a9c@example.jp>"


def test_a_message_id_is_made_of_the_dedupe_key_and_the_installation() -> None:
    made = message_id("reminder", 17, date(2026, 11, 24), 0, "7f3a9c@example.jp")
    assert made == "<reminder.17.2026-11-24.0.7f3a9c@example.jp>"


def test_dates_are_written_as_people_write_them() -> None:
    day = date(2026, 11, 3)
    assert show_date(day, "ja") == "11月3日(火)"
    assert show_date(day, "ja", with_year=True) == "2026年11月3日(火)"
    assert show_date(day, "en") == "Tue 3 Nov"
    assert show_date(day, "en", with_year=True) == "Tue 3 Nov 2026"


# --- what people wrote is data --------------------------------------------------------------

HOSTILE = [
    "<script>alert(1)</script>",
    "多言語対応 {{調査}} {{7*7}} {% raw %} ${x}",
    "バッチ処理の分割 (<b>重要</b>)",
    "[click](javascript:alert(1)) https://evil.example/ \"onmouseover='x'",
    "</h2></td></tr></table><!--[if mso]>",
]


@pytest.mark.parametrize("title", HOSTILE)
def test_markup_in_a_title_is_shown_and_does_nothing(title: str) -> None:
    facts = letter(task("T-1", title))
    message, page = compose(facts)
    assert f"1. {title} (T-1)" in message.text.replace("\n   ", " ")
    assert str(escape(title)) in (message.html or "")
    assert all(link.startswith((facts.report_url, facts.stop_url)) for link in page.links)


def test_line_ends_and_invisible_characters_are_taken_out() -> None:
    assert inert("一\r\n二\t三\u2028四\x85五\u3000六") == "一 二 三 四 五 六"
    assert inert("ex\u202egpj.exe\u200b\u2066\ufeff\x00\x1b[31m\ud800") == "exgpj.exe[31m"
    assert inert("\u200d\u200b\u200c") == ""
    assert inert("👩\u200d💻 葛\U000e0100城") == "👩\u200d💻 葛\U000e0100城"


def test_emoji_that_this_python_does_not_know_stay() -> None:
    assert inert("完了\U0001fae9\U0001fac6\u0378") == "完了\U0001fae9\U0001fac6"
    assert width("\U0001fae9") == 2


def test_what_is_written_of_parts_is_put_together_but_a_name_keeps_its_kanji() -> None:
    assert inert("か\u3099くは\u309a e\u0301") == "がくぱ é"
    assert inert("\ufa19谷か\u3099 \ufa1b島") == "\ufa19谷が \ufa1b島"
    assert inert("が" * 99 + "か\u3099" * 999) == "が" * 1098


def test_what_is_taken_for_whole_without_a_look_is_whole() -> None:
    taken = [c for c in map(chr, range(0xD800)) if composed(f"a{c}") == f"a{c}"]
    assert all(unicodedata.normalize("NFC", f"a{c}") == f"a{c}" for c in taken)


def test_marks_without_end_take_no_time() -> None:
    began = time.process_time()
    inert("a" + "\u0301\u0327" * 25_000)
    inert("a" + "\u0301" * 50_000)
    assert time.process_time() - began < 2


def test_a_title_of_nothing_visible_shows_its_ref() -> None:
    assert "1. T-1 (T-1)" in reminder(letter(task("T-1", "\u200b\u202e"))).text


def test_long_text_is_cut_by_columns_and_says_so() -> None:
    assert shorten("あ" * 40, 80) == "あ" * 40
    assert shorten("あ" * 41, 80) == "あ" * 39 + "…"
    assert shorten("a" * 81, 80) == "a" * 78 + "…"
    assert shorten("&" * 80, 80) == "&" * 23 + "…"  # five bytes each as HTML writes it


def test_a_cut_keeps_a_character_and_what_combines_with_it_together() -> None:
    assert shorten("あいあ\u3099うえ", 7) == "あい…"
    assert shorten("あ👩\u200d💻うえお", 7) == "あ…"
    assert shorten("あ👍🏽うえお", 6) == "あ…"
    assert shorten("ああ🇯🇵🇩🇪🇫🇷", 11) == "ああ…"
    assert shorten("ｶﾞ" * 12, 9) == "ｶﾞ…"


def test_wrapping_keeps_words_whole_and_obeys_the_japanese_rules() -> None:
    assert wrap("aaa bbb ccc", 8) == ["aaa bbb", "ccc"]
    assert wrap("あいうえ、お", 8) == ["あいう", "え、お"]
    assert wrap("あいう「え」", 8) == ["あいう", "「え」"]
    assert wrap("   あいうえお", 9) == ["   あいう", "   えお"]
    assert wrap("1. あいうえお", 9) == ["1. あいう", "   えお"]
    assert wrap("x" * 20, 8) == ["x" * 8, "x" * 8, "x" * 4]


@pytest.mark.parametrize(
    ("words", "columns"),
    [
        (["下の", "ボタンから", "報告できます。"], 14),
        (["このメールの", "リンクから", "行った", "操作は、"], 12),
        (["お送りした", "打ち合わせの", "資料を", "ご確認ください。"], 16),
        (["前回は", "11月19日(木)の", "10件でした。"], 15),
        (["「はい」を", "選んでください。"], 16),
    ],
)
def test_japanese_lines_break_between_phrases(words: list[str], columns: int) -> None:
    starts = {"".join(words[:n]) for n in range(len(words) + 1)}
    lines = wrap("".join(words), columns)
    assert len(lines) > 1
    assert all("".join(lines[:n]) in starts for n in range(len(lines)))


@given(st.text("あ漢ﾞ｡)ー」、ｯ～ｶa", max_size=60), st.integers(16, 40))
def test_no_line_begins_with_what_ends_a_word(text: str, columns: int) -> None:
    ends = re.compile("[ﾞ｡)ー」、ｯ～]")
    if max(map(len, re.findall("[^あ漢ｶa]*", text))) < 5:  # more than fits a line must be cut
        assert not any(ends.match(line) for line in wrap(inert(text), columns)[1:])


def test_a_flag_and_a_family_are_never_torn_by_a_line() -> None:
    family = "👩\u200d👩\u200d👧"
    assert wrap(f"あいう{family}え", 8) == ["あいう", f"{family}え"]
    assert wrap("あ🇯🇵🇩🇪🇫🇷", 5) == ["あ🇯🇵", "🇩🇪🇫🇷"]


@given(st.text(max_size=300), st.integers(10, 80))
def test_wrapping_loses_nothing_but_blanks(text: str, columns: int) -> None:
    line = inert(text)
    lines = wrap(line, columns)
    assert "".join("".join(lines).split()) == "".join(line.split())
    assert all(width(made) <= columns for made in lines)


ANY = st.text(max_size=200)


@given(title=ANY, text=ANY, name=ANY, locale=st.sampled_from(["ja", "en"]))
def test_whatever_people_write_the_letter_is_whole(
    title: str, text: str, name: str, locale: Any
) -> None:
    facts = letter(
        task("T-1", title, last_on=FRIDAY, last_by=name, last_text=text),
        task("T-2", text, TODAY),
        name=name,
        locale=locale,
    )
    message, page = compose(facts)
    assert page.headings == ["h1", "h2", "h2"]
    assert str(escape(shorten(title, 80))) in (message.html or "")
    assert words_of_text(message) == page.seen()
    tasks = [task_url(facts, task) for task in facts.tasks]
    rest = [facts.report_url, f"{facts.report_url}/later", f"{facts.report_url}/off"]
    assert pages(page.links) == links_of_text(message) == [*tasks, *rest, facts.stop_url]


@pytest.mark.parametrize(
    "char", ["あ", "a", "&", "<", "𝐀", "\u0301", "é\u0301", "👍🏽", "\u202e", " "]
)
@BOTH_LANGUAGES
def test_the_longest_letter_stays_under_90_kb(char: str, locale: Any) -> None:
    long = char * 10_000
    tasks = (
        task(
            f"T-{number:03}",
            long,
            FRIDAY,
            report_every="weekly",
            last_on=FRIDAY,
            last_by=long,
            last_percent=100,
            last_status="blocked",
            last_text=long,
            silent=1000,
            task_id=10**9,
        )
        for number in range(30)
    )
    url = "https://progress.it-department.long-company-name.example.co.jp/r/" + "x" * 36
    facts = letter(*tasks, name=long, locale=locale, report_url=url)
    assert len(on_the_wire(reminder(facts))) < 90_000


# --- looks ----------------------------------------------------------------------------------


def luminance(colour: str) -> float:
    """WCAG 2.2, relative luminance of #rrggbb."""
    parts = (int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5))
    red, green, blue = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    dark, bright = sorted([luminance(one), luminance(other)])
    return (bright + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("theme", [LIGHT, DARK], ids=["light", "dark"])
def test_every_colour_of_words_has_a_contrast_of_4_5(theme: dict[str, str]) -> None:
    for name in ("ink", "muted", "accent", "red", "amber", "teal"):
        assert contrast(theme[name], theme["paper"]) >= 4.5, name
    assert contrast(theme["on_accent"], theme["accent"]) >= 4.5


@EVERY_LETTER
def test_a_letter_uses_no_other_colour_and_each_has_its_dark_one(facts: ReminderFacts) -> None:
    html = reminder(facts).html or ""
    style = html[html.index("@media (prefers-color-scheme:dark)") : html.index("</style>")]
    assert set(re.findall("#[0-9a-f]{6}", style)) <= set(DARK.values())
    assert set(re.findall("#[0-9a-f]{6}", html.replace(style, ""))) <= set(LIGHT.values())


@EVERY_LETTER
def test_a_letter_is_readable_by_screen_readers_and_loads_nothing(facts: ReminderFacts) -> None:
    html = reminder(facts).html or ""
    assert f'<html lang="{facts.locale}">' in html
    assert html.count("<table") == html.count('<table role="presentation"')
    assert Counter(re.findall("<h1", html)) == {"<h1": 1}
    assert not re.search(r"<img|<link|<script|url\(|@import|src=", html)


@pytest.mark.parametrize(("said", "shown"), [("", "…"), ("ok", "ok…")])
def test_a_text_cut_among_its_blanks_says_that_it_was_cut(said: str, shown: str) -> None:
    assert shorten(said + " " * 1000 + "hello", 80) == shown


def test_the_main_button_can_be_read_where_styles_are_stripped() -> None:
    bare = re.sub(r' style="[^"]*"', "", reminder(SUZUKI).html or "")
    ((paper, ink),) = re.findall(r'bgcolor="(#\w+)"[^>]*><a [^>]*><font color="(#\w+)">', bare)
    assert contrast(paper, ink) >= 4.5


# --- filled forms say what rendered templates say ---------------------------------------------


def rendered(facts: ReminderFacts) -> tuple[str, str]:
    """Both parts as Jinja renders them with everything in place: slow, and right."""
    words = sys.modules["app.compose.reminder"]._words(facts)
    links = sys.modules["app.compose.reminder"].links_of(words)
    lines = rendering.render(f"reminder.{facts.locale}.txt", words).splitlines()
    text = [part for line in lines for part in ([line] if line.strip() in links else wrap(line))]
    return "\n".join(text) + "\n", rendering.render(f"reminder.{facts.locale}.html", words)


@EVERY_LETTER
def test_a_filled_form_says_what_the_rendered_template_says(facts: ReminderFacts) -> None:
    for _ in "12":  # the second one comes from the kept form
        message = reminder(facts)
        assert (message.text, message.html) == rendered(facts)


TASKS = st.builds(
    task,
    ref=st.text(max_size=40),
    title=ANY,
    due_on=st.none() | st.dates(date(2026, 1, 1), date(2027, 12, 31)),
    report_every=st.sampled_from(["daily", "weekly"]),
    last_on=st.none() | st.dates(date(2025, 1, 1), TODAY),
    last_by=st.none() | ANY,
    last_percent=st.none() | st.integers(0, 100),
    last_status=st.none() | st.sampled_from(["on_track", "at_risk", "blocked", "done"]),
    last_text=st.none() | ANY,
    silent=st.integers(1, 9),
    task_id=st.integers(1, 2**40),
)


@given(
    tasks=st.lists(TASKS, min_size=1, max_size=4),
    name=ANY | st.sampled_from(["", "\ue0000\ue001", "\ue0003\ue001<b>"]),
    reply_to=st.none() | ANY,
    locale=st.sampled_from(["ja", "en"]),
    kind=st.sampled_from(["reminder", "asked_reminder"]),
)
def test_a_filled_form_says_the_same_whatever_people_write(
    tasks: list[Any], name: str, reply_to: str | None, locale: Any, kind: Any
) -> None:
    facts = letter(*tasks, name=name, reply_to_shown=reply_to, locale=locale, kind=kind)
    message = reminder(facts)
    assert (message.text, message.html) == rendered(facts)
    assert html_of(received(message)) == f"{message.html}\n"


# --- kinds of mail ------------------------------------------------------------------------------


def test_every_kind_of_mail_has_its_letter_and_its_name() -> None:
    assert set(letters.LETTERS) == set(Kind)
