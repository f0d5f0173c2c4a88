"""Plotly figures as HTML for a page that fetches nothing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import plotly.graph_objects as go
    from markupsafe import Markup

__all__ = ["Drawn", "draw", "draw_all", "plotly_script"]

CONFIG = {"responsive": True, "displaylogo": False, "displayModeBar": False}


@dataclass(frozen=True)
class Drawn:
    """A figure as HTML, with its name and caption."""

    name: str
    html: Markup
    caption: str


def draw(name: str, figure: go.Figure, caption: str) -> Drawn:
    """Draw a figure. The same name and figure give the same HTML."""
    import plotly.io
    from markupsafe import Markup

    anchor = "figure-" + "".join(c if c.isalnum() and c.isascii() else "-" for c in name.lower())
    html = plotly.io.to_html(
        figure,
        full_html=False,
        include_plotlyjs=False,
        config=CONFIG,
        div_id=anchor,
        default_height=f"{figure.layout.height}px",
    )
    return Drawn(name, Markup(html), caption)


def draw_all(figures: Mapping[str, go.Figure], caption: str = "{name}") -> list[Drawn]:
    """Draw figures, by name, each with a caption in which `{name}` stands for that name."""
    return [draw(name, figure, caption.replace("{name}", name)) for name, figure in figures.items()]


def plotly_script() -> Markup:
    """The source of Plotly's JavaScript library."""
    from markupsafe import Markup
    from plotly.offline import get_plotlyjs

    return Markup(get_plotlyjs())
