"""Read small text files in UTF-8 or UTF-16, with or without a byte order mark, in composed Unicode."""

from __future__ import annotations

import codecs
import unicodedata
from pathlib import Path

from nas.errors import UserError

__all__ = ["composed", "read_text"]


def composed(name: str) -> str:
    """Return a name with composed accents (Unicode NFC); macOS writes them decomposed, which looks the same."""
    return unicodedata.normalize("NFC", name)


def read_text(path: Path, what: str) -> str:
    """Read the text of a file in composed Unicode.

    Args:
        path: the file, in UTF-8 or, as Windows writes it, in UTF-16.
        what: what the file should hold, for the error message.

    Raises:
        UserError: the file cannot be read or has another encoding.
    """
    try:
        data = path.read_bytes()
        return composed(data.decode(_encoding(data)))
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "save it in UTF-8"
        raise UserError(f"{path} cannot be read as {what}: {reason}") from error


def _encoding(data: bytes) -> str:
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "utf-16"
    # Without a byte order mark: in UTF-16, every second byte of Latin text is zero.
    if b"\0" in data[:200]:
        return "utf-16-be" if data[:1] == b"\0" else "utf-16-le"
    return "utf-8-sig"
