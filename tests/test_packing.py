"""The bytes of a mail in the database: what was sent can be read for ever."""

import zlib
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from app.mime.message import Envelope
from app.outbox import compression
from app.outbox.compression import pack, unpack

SHARED = Path(compression.__file__).with_name("packing-1.txt").read_bytes().replace(b"\n", b"\r\n")
PLAIN = b"app@example.jp\nsuzuki@example.jp\nSubject: x\r\n"
EXPECTED = Envelope("app@example.jp", "suzuki@example.jp", b"Subject: x\r\n")


@given(st.binary(max_size=2000))
def test_what_was_packed_is_read_back_byte_for_byte(data: bytes) -> None:
    envelope = Envelope("app@example.jp", "suzuki@example.jp", data)
    assert unpack(pack(envelope)) == envelope


def test_one_packer_serves_many_mails() -> None:
    envelopes = [Envelope("a@example.jp", f"{n}@example.jp", SHARED[n:]) for n in range(50)]
    assert [unpack(stored) for stored in map(pack, envelopes)] == envelopes


def test_what_earlier_versions_packed_is_still_read() -> None:
    """zlib without a text, then zlib with one."""
    assert unpack(zlib.compress(PLAIN, level=1)) == EXPECTED
    packer = zlib.compressobj(level=1, wbits=14, zdict=SHARED)
    assert unpack(packer.compress(PLAIN) + packer.flush()) == EXPECTED


def test_the_shared_text_is_never_changed() -> None:
    """Whoever changes packing-1.txt makes mails unreadable that were packed with it."""
    assert zlib.adler32(SHARED) == 0x6C17C040
    assert pack(EXPECTED)[0] == compression.NEWEST
