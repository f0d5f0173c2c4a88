"""Reports of a run: the final ranking as text, and one self-contained HTML page."""

from nas.report.page import write_report
from nas.report.text import ranking_text, unbeaten_text

__all__ = ["ranking_text", "unbeaten_text", "write_report"]
