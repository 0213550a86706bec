"""Pieces of a page that needs nothing but itself: escaped text, tables, pictures inside the page.

Whatever comes from a corpus goes through `text`; arguments named `cells`, `body` and `markup` are HTML already.
"""

import base64
import html
import struct
from collections.abc import Iterable
from importlib import resources
from pathlib import Path
from string import Template

SKELETON = "report.html"
# Bytes that no encoding holds (half a surrogate pair) are written as character references.
UNENCODABLE = "xmlcharrefreplace"
BROAD = 1000  # pixels from which on a picture cannot be read on a phone
MINUS = str.maketrans("-", "−")


def text(value: object) -> str:
    """Plain text as HTML shows it, in content and in attributes alike."""
    return html.escape(str(value), quote=True)


def number(value: float | None, digits: int = 3, sign: str = "") -> str:
    """A number as tables show it; a dash where there is none."""
    return "–" if value is None else f"{value:{sign}.{digits}f}".translate(MINUS)


def several(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def listed(names: Iterable[str]) -> str:
    """a, b and c."""
    *first, last = list(names) or [""]
    return f"{', '.join(first)} and {last}" if first else last


def data_uri(content: bytes, kind: str) -> str:
    return f"data:image/{kind};base64,{base64.b64encode(content).decode()}"


def table(caption: str, head: list[str], rows: list[list[str]], kind: str = "") -> str:
    """A table whose first column names its rows; wide ones scroll by themselves. Caption and cells are HTML."""
    columns = "".join(f'<th scope="col">{cell}</th>' for cell in head)
    body = "".join(f"<tr>{_row(cells)}</tr>" for cells in rows)
    return (
        f'<div class="wide" tabindex="0" role="group" aria-label="table"><table class="{text(kind)}">'
        f"<caption>{caption}</caption><thead><tr>{columns}</tr></thead><tbody>{body}</tbody></table></div>"
    )


def _row(cells: list[str]) -> str:
    first, *others = cells
    return f'<th scope="row">{first}</th>' + "".join(f"<td>{cell}</td>" for cell in others)


def folded(title: str, body: str) -> str:
    """Something that opens on demand."""
    return f"<details><summary>{text(title)}</summary>{body}</details>"


def figure(path: Path, title: str, reading: str) -> str:
    """A PNG file inside the page, with how to read it; one of many panels scrolls where the screen is narrow."""
    content = path.read_bytes()
    width, height = struct.unpack(">II", content[16:24])  # of the PNG's first chunk
    kind = ' class="broad"' if width > BROAD else ""
    image = f'<img{kind} width="{width}" height="{height}" src="{data_uri(content, "png")}" alt="{text(title)}">'
    caption = f"<figcaption><b>{text(title)}.</b> {text(reading)}</figcaption>"
    return f'<figure><div class="wide" tabindex="0" role="group" aria-label="picture">{image}</div>{caption}</figure>'


def write(path: Path, **markup: str) -> None:
    """Fill the skeleton's places; the bytes depend on the markup alone."""
    skeleton = resources.files("lddu.page").joinpath(SKELETON).read_text(encoding="utf-8")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(Template(skeleton).substitute(markup), encoding="utf-8", errors=UNENCODABLE, newline="\n")
