"""What ffmpeg writes on its error stream: signs of a full disk or of missing memory, and the line that names the cause."""

import re
from collections import Counter
from collections.abc import Iterable

# What is counted in its lines, by the name of the group.
SIGNS = re.compile(
    r"^\[(?:out#|[av]ost#).*: (?P<disk_full>No space left on device|Disk quota exceeded)$"  # of an output, never of the medium
    r"|(?P<no_memory>(?i:cannot|could not|unable to|failed to) allocate|(?i:out of memory)|pthread_create\(\) failed)"
    r"|(?P<no_buffer>\bget_buffer\(\) failed)"  # for want of memory, unless the picture's header is wrong (next line)
    "|(?P<bad_header>image parameters invalid|exceeds max_samples)"
)
CONTEXT = re.compile(r"\[[^]]* @ 0x[0-9a-f]+\] ")  # the component of ffmpeg that writes a line, and its address
FILTERS = re.compile(r"\[(fc#|Parsed_|AVFilterGraph|[av]ost#)")  # components behind the decoder: filters and outputs
CONSEQUENCE = re.compile(  # lines that follow from an error named in another line
    "Nothing was written|Terminating thread|Task finished|Could not open encoder|Cannot determine format"
    "|Error (re|opening|while opening|binding|sending|submitting)|Failed to (configure|inject)"
)


def read(lines: Iterable[str]) -> tuple[Counter[str], str]:
    """How often each of SIGNS occurs, and the line that names the cause ("" without lines).

    Threads write their lines in another order each time; the result does not depend on it.
    """
    signs: Counter[str] = Counter()
    cause = (5, "")
    for line in lines:
        if CONTEXT.match(line):  # a line without a component may hold the medium's own name
            signs.update(str(match.lastgroup) for match in SIGNS.finditer(line))
        cause = min(cause, _ranked(line))
    return signs, cause[1]


def _ranked(line: str) -> tuple[int, str]:
    """(rank, line without paths and addresses of this machine); the line with the lowest rank names the cause.

    0: an error of a filter or an output. It ends the run while the medium is half read, and how much was read differs from
    run to run, so it goes before every message about the medium. 1: the decoder's sum of its errors. 2: one error in the
    medium. 3: a consequence of another error. 4: a line without a component, which may hold the medium's name.
    """
    text = re.sub(r"file:\S*/", "", CONTEXT.sub("", line)).strip()
    if not CONTEXT.match(line):
        return 4, text
    if CONSEQUENCE.match(text):
        return 3, text
    if FILTERS.match(line):
        return 0, text
    return 1 if text.startswith("Decode error rate") else 2, text
