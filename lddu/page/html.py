"""The templates of the page, filled into one file that needs nothing but itself.

Jinja2 escapes every value that a template writes, so a corpus may hold any text. The file's bytes depend on the values alone.
"""

import base64
from collections.abc import Iterable
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

PAGE = "report.html"
# Characters that UTF-8 cannot hold (half of a surrogate pair) are written as character references.
UNENCODABLE = "xmlcharrefreplace"
MINUS = str.maketrans("-", "−")


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


def extract(key: str, values: dict[str, str]) -> str:
    return values[key]


def write(path: Path, template: str = PAGE, **values: object) -> None:
    """Fill a page's template with these values and write it."""
    templates = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=False,
    )
    templates.filters |= {"number": number, "several": several, "listed": listed, "data_uri": data_uri, "extract": extract}
    path.parent.mkdir(parents=True, exist_ok=True)
    page = templates.get_template(template).render(values)
    path.unlink(missing_ok=True)  # it may be a hard link to a file in DVC's cache
    path.write_text(page + "\n", encoding="utf-8", errors=UNENCODABLE, newline="\n")
