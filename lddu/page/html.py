"""The templates of the page, filled into one file that needs nothing but itself.

Jinja2 escapes every value that a template writes, so a corpus may hold any text. A content security policy lets a browser run
nothing but the page's own script, fetch nothing, and never read text as markup. The file's bytes depend on the values alone.
"""

import base64
import hashlib
import json
from collections.abc import Iterable, Sequence
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

FOLDER = Path(__file__).parent
PAGE = "report.html"
STYLES = ("style.css",)
# Characters that UTF-8 cannot hold (half of a surrogate pair) are written as character references.
UNENCODABLE = "xmlcharrefreplace"
MINUS = str.maketrans("-", "−")


def number(value: float | None, digits: int = 3, sign: str = "") -> str:
    """A number as tables show it; a dash where there is none."""
    return "–" if value is None else f"{value:{sign}.{digits}f}".translate(MINUS)


def thousandths(share: float | None) -> int | None:
    """A share as a page's script reads it: in a whole number, which keeps the page small."""
    return None if share is None else round(1000 * share)


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


def policy(style: str, script: str) -> str:
    """The content security policy of a page with this style and script; "" is none. Only a page with a script plays films."""
    allowed = ["default-src 'none'", "base-uri 'none'", "form-action 'none'", "img-src data:"]
    allowed += [f"style-src-elem {_digest(style)}", "style-src-attr 'unsafe-inline'"]
    if script:
        allowed += [f"script-src {_digest(script)}", "media-src 'self' file: data: blob:", "require-trusted-types-for 'script'"]
    return "; ".join(allowed)


def _digest(content: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()}'"


def data(tree: object) -> Markup:
    """JSON that can stand in a script element: it holds no <, and is ASCII whatever the texts are."""
    return Markup(json.dumps(tree, separators=(",", ":"), allow_nan=False).replace("<", "\\u003c"))  # noqa: S704


def _joined(names: Sequence[str]) -> Markup:
    """Files of this folder, one after another, as they are."""
    return Markup("\n".join((FOLDER / name).read_text(encoding="utf-8") for name in names))  # noqa: S704


def write(
    path: Path, template: str = PAGE, styles: Sequence[str] = STYLES, scripts: Sequence[str] = (), **values: object
) -> None:
    """Fill a page's template with these values, and with the style sheets and scripts of these names, and write it."""
    templates = Environment(
        loader=FileSystemLoader(FOLDER),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=False,
    )
    templates.filters |= {"number": number, "several": several, "listed": listed, "data_uri": data_uri, "extract": extract}
    style, script = _joined(styles), _joined(scripts)
    own = {"style": style, "script": script, "policy": policy(style, script)}
    path.parent.mkdir(parents=True, exist_ok=True)
    page = templates.get_template(template).render(values | own)
    path.unlink(missing_ok=True)  # it may be a hard link to a file in DVC's cache
    path.write_text(page + "\n", encoding="utf-8", errors=UNENCODABLE, newline="\n")
