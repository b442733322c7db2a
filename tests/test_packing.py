"""The bytes of a mail in the database: what was sent can be read for ever."""

import zlib

from hypothesis import given
from hypothesis import strategies as st

from app.outbox.packing import pack, unpack
from app.util.message import Envelope


@given(st.binary(max_size=2000))
def test_what_was_packed_is_read_back_byte_for_byte(data: bytes) -> None:
    envelope = Envelope("app@example.jp", "suzuki@example.jp", data)
    assert unpack(pack(envelope)) == envelope


def test_what_an_earlier_version_packed_is_still_read() -> None:
    """The first one gave zlib no text; whoever changes packing-1.txt makes mails unreadable."""
    plain = zlib.compress(b"app@example.jp\nsuzuki@example.jp\nSubject: x\r\n", level=1)
    expected = Envelope("app@example.jp", "suzuki@example.jp", b"Subject: x\r\n")
    assert unpack(plain) == expected
    assert pack(expected)[2:6].hex() == "6c17c040"
