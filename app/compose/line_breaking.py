"""PURE. Lines of a stated width, broken between words; and what belongs to one character.

Japanese has no blanks between words, but nearly each phrase begins with a kanji, a katakana or a
letter after the kana that end the one before it: there lines break. Text that gives no such place is
broken between characters, by the rules of JIS X 4051 (kinsoku).
"""

import re
import unicodedata
from itertools import pairwise

from app.mime.headers import width

LINE = 68  # columns of a letter's text part


def within(text: str, columns: int) -> bool:
    """Whether `text` fits into so many columns; the cheap answers first, as every line asks."""
    if text.isascii():
        return len(text) <= columns
    return 2 * len(text) <= columns or width(text) <= columns


def wrap(line: str, columns: int = LINE) -> list[str]:
    """One line as several of at most `columns` columns; further ones are indented like the first."""
    if within(line, columns):
        return [line]
    lead = _INDENT.match(line)
    indent = lead.end() if lead else 0
    lines = [line[:indent]]
    for piece in _pieces(line[indent:], columns - indent):
        if not within(lines[-1] + piece.rstrip(), columns):
            lines.append(" " * indent)
        lines[-1] += piece
    return [made.rstrip() for made in lines]


def clings(text: str, at: int) -> bool:
    """True when the character at `at` belongs to the one before it: no cut between them."""
    char, before = text[at], text[at - 1]
    return (
        width(char) == 0
        or unicodedata.category(char) == "Mc"
        or before == "\u200d"
        or unicodedata.combining(before) == 9  # a virama joins two consonants
        or "\U0001f3fb" <= char <= "\U0001f3ff"  # a skin tone
        or "\u1160" <= char <= "\u11ff"  # the rest of a Hangul syllable
        or char in "\uff9e\uff9f"  # ﾞ and ﾟ
        or ("\U0001f1e6" <= char <= "\U0001f1ff" and _halves_before(text, at) % 2 == 1)
    )


def _halves_before(text: str, at: int) -> int:
    """How many halves of flags stand right before `at`: two make one."""
    return at - len(text[:at].rstrip(_HALVES))


_HALVES = "".join(map(chr, range(0x1F1E6, 0x1F200)))
_INDENT = re.compile(r" *(?:\d+\. )?")
# JIS X 4051: what ends no line, and what begins none.
_OPENERS = "「『（〔［｛〈《【〘〖｟«“‘｢([{"
_CLOSERS = (
    "、。，．・：；？！」』）〕］｝〉》】〙〗｠»”’…‥％‰℃‼⁇⁈⁉〜～‐–ー々〻ゝゞヽヾ゛゜"
    "ぁぃぅぇぉっゃゅょゎゕゖァィゥェォッャュョヮヵヶㇰ-ㇿ｡､･｣ｧ-ｰﾞﾟ)\\]}!?,.:;%"
)
_KANA, _KANJI = "ぁ-ゟ", "々一-鿿"
_STEM = "いきぎしちびみりえけげせねべめれ"  # 取り込む, 打ち合わせ: the word goes on after these
_CLINGING = "\u3099\u309a\u200c\ufe00-\ufe0f\U0001f3fb-\U0001f3ff\U000e0020-\U000e01ef"
# Where a phrase begins: after a blank or a full stop, before a bracket, at a change from kana.
_PHRASE = re.compile(
    f"(?:(?<= )|(?<=[、。，．：；？！・])|(?=[「『（【])|(?<=[」』）】])(?![{_KANA}])"
    f"|(?<=[{_KANA}])(?<![おご])(?<![{_KANJI}][{_STEM}])(?![{_KANA}])"
    f"|(?<=[{_KANA}])(?=[おご][{_KANJI}]))"
    f"(?<![{re.escape(_OPENERS)}])(?![ {_CLOSERS}{_CLINGING}\u200d])"
)
# What stays together in any case: a word of narrow letters, a flag, or one character.
_PIECE = re.compile(
    f"[{re.escape(_OPENERS)}]*(?:[!-\u10ff]+|[\U0001f1e6-\U0001f1ff]{{2}}|.)"
    f"(?:[{_CLOSERS}{_CLINGING}]|\u200d.?)* *"
)


def _pieces(text: str, columns: int) -> list[str]:
    """`text` as pieces that may each begin a line, none of them too long for one."""
    pieces: list[str] = []
    places = [0, *(found.start() for found in _PHRASE.finditer(text)), len(text)]
    for start, end in pairwise(places):
        phrase = text[start:end]
        if within(phrase.rstrip(), columns):
            pieces.append(phrase)
        else:
            for piece in _PIECE.findall(phrase):
                pieces += _cut(piece, columns)
    return pieces


def _cut(piece: str, columns: int) -> list[str]:
    """A piece too long for any line in several, each as long as fits; a character stays whole."""
    cut: list[str] = []
    while not within(piece.rstrip(), columns):
        fitting = [at for at in range(1, len(piece)) if width(piece[:at]) <= columns]
        whole = [at for at in fitting if not clings(piece, at)]
        end = (whole or fitting)[-1]
        cut.append(piece[:end])
        piece = piece[end:]
    return [*cut, piece]
