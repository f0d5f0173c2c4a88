"""Small text files as editors leave them: UTF-8 or UTF-16, with or without a byte order mark, names in one form."""

from __future__ import annotations

import codecs
import unicodedata
from pathlib import Path

from nas.errors import UserError

__all__ = ["one_form", "read_text"]


def one_form(name: str) -> str:
    """A name with composed accents (Unicode NFC): macOS writes them decomposed, and both look the same."""
    return unicodedata.normalize("NFC", name)


def read_text(path: Path, what: str) -> str:
    """The text of a file, in composed Unicode.

    Args:
        path: the file, in UTF-8, or in UTF-16 as Windows writes it.
        what: what it should be, for the message.

    Raises:
        UserError: it cannot be read, or is in another encoding.
    """
    try:
        data = path.read_bytes()
        return one_form(data.decode(_encoding(data)))
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "save it in UTF-8"
        raise UserError(f"{path} cannot be read as {what}: {reason}") from error


def _encoding(data: bytes) -> str:
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "utf-16"
    # Without a mark, the zero bytes of UTF-16 stand at the odd or the even places of a Latin text.
    if b"\0" in data[:200]:
        return "utf-16-be" if data[:1] == b"\0" else "utf-16-le"
    return "utf-8-sig"
