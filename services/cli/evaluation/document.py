"""A report as blocks, written as Markdown or as one HTML file that needs nothing beside it."""

from __future__ import annotations

import html
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from services.cli.errors import CliError


@dataclass(frozen=True, slots=True)
class Heading:
    """Starts a part."""

    text: str


@dataclass(frozen=True, slots=True)
class Paragraph:
    """Plain text."""

    text: str


@dataclass(frozen=True, slots=True)
class Table:
    """The first column names the row; the others are set to the right."""

    columns: Sequence[str]
    rows: Sequence[Sequence[str]]


@dataclass(frozen=True, slots=True)
class Figure:
    """A drawing."""

    name: str
    """Of its file, where it has one."""
    caption: str
    svg: str


Block = Heading | Paragraph | Table | Figure

STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; color: #1d2733; }
h1, h2 { line-height: 1.2; } h2 { margin-top: 2.5rem; border-bottom: 1px solid #d6dde5; padding-bottom: .3rem; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; font-size: 13.5px;
  display: block; overflow: auto; }
th, td { padding: .25rem .7rem; text-align: right; border-bottom: 1px solid #e6ebf0; }
th:first-child, td:first-child { text-align: left; white-space: normal; } th { color: #5a6b7d; }
figure { margin: 1.5rem 0; } figure svg { max-width: 100%; height: auto; } figcaption { color: #5a6b7d; }
"""


def writer_for(path: Path, option: str = "--report") -> Callable[[Path, str, Sequence[Block]], None]:
    """The writer for the file's ending. Raises CliError for any but .html and .md."""
    writers = {".html": write_html, ".md": write_markdown}
    if path.suffix not in writers:
        raise CliError(f"{option}: {path.name} must end in .html or .md")
    return writers[path.suffix]


def write_html(path: Path, title: str, blocks: Sequence[Block]) -> None:
    """One self-contained file; drawings are in it as SVG."""
    body = "\n".join(_html(block) for block in blocks)
    heading = html.escape(title)
    path.write_text(
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{heading}</title>'
        f"<style>{STYLE}</style></head>\n<body><h1>{heading}</h1>\n{body}\n</body></html>\n",
        encoding="utf-8",
    )


def write_markdown(path: Path, title: str, blocks: Sequence[Block]) -> None:
    """The text, and each drawing as an SVG file beside it."""
    parts = [f"# {title}"]
    for block in blocks:
        if isinstance(block, Figure):
            drawing = path.with_name(f"{path.stem}-{block.name}.svg")
            drawing.write_text(block.svg, encoding="utf-8")
            parts.append(f"![{block.caption}]({drawing.name})")
        else:
            parts.append(_markdown(block))
    path.write_text("\n\n".join(parts) + "\n", encoding="utf-8")


def _html(block: Block) -> str:
    match block:
        case Heading(text):
            return f"<h2>{html.escape(text)}</h2>"
        case Paragraph(text):
            return f"<p>{html.escape(text)}</p>"
        case Figure(_, caption, svg):
            return f"<figure>{svg}<figcaption>{html.escape(caption)}</figcaption></figure>"
        case Table(columns, rows):
            lines = [_html_row(columns, "th"), *(_html_row(row, "td") for row in rows)]
            return f"<table>{''.join(lines)}</table>"


def _html_row(cells: Sequence[str], tag: str) -> str:
    return "<tr>" + "".join(f"<{tag}>{html.escape(cell)}</{tag}>" for cell in cells) + "</tr>"


def _markdown(block: Heading | Paragraph | Table) -> str:
    match block:
        case Heading(text):
            return f"## {text}"
        case Paragraph(text):
            return text
        case Table(columns, rows):
            rule = ["---"] + ["---:"] * (len(columns) - 1)
            cells = [[cell.replace("|", "\\|") for cell in row] for row in (columns, *rows)]
            return "\n".join("| " + " | ".join(row) + " |" for row in (cells[0], rule, *cells[1:]))
