"""What a person reads of a recording on the terminal, or in a file that the output goes to."""

from rich.bar import Bar
from rich.cells import cell_len
from rich.console import Console
from rich.measure import Measurement
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from lddu.channels import BLOCKS
from lddu.prediction.inference import Utterance
from preprocess.media.notes import About

BAR = 12  # characters of the bar of a probability
LABEL, TIME, SIGMA = 6, 8, 8  # characters of a column, at least
WORDS = 24  # characters that the column of words needs; where fewer are left, each utterance gets a table of its own
LINE = 100  # characters of a line of words with their times, at most
MEANINGS = {about.value: about.meaning for about in About}
UNLIMITED = 100_000  # characters of a line of a file
MARKS = {"yes": "*", "no": " ", "unsure": "?"}
UNLIKE = "unlike anything that the network learned from: trust neither its probabilities nor its doubts"


def console_of_output() -> Console:
    """As wide as the terminal; without colours, and with a line a row however long, where the output is no terminal."""
    console = Console(markup=False, emoji=False, highlight=False)
    return console if console.is_terminal else Console(markup=False, emoji=False, highlight=False, width=UNLIMITED)


class Terminal:
    """A table of the labels of a recording; of several utterances a time line with a row each, where it is wide enough."""

    def __init__(self, name: str, modalities: tuple[str, ...], full: bool, console: Console | None = None) -> None:
        self.name, self.modalities, self.full = name, modalities, full
        self.console = console or console_of_output()
        self.shown = 0

    def show(self, utterance: Utterance, alone: bool) -> None:
        if not self.shown:
            self.console.print(Text(f"\n{printable(self.name)}", style="bold"))
            for note in utterance.notes:
                self.print(Text(printable(f"note: {MEANINGS[note.code]} ({note.detail})"), style="yellow"), 2)
        if alone or self.full or not self.has_room(utterance):
            self.show_table(utterance)
        else:
            self.print(self.row(utterance, head=not self.shown), 1)
        self.shown += 1

    def show_table(self, utterance: Utterance) -> None:
        when = f"{utterance.start:.2f} to {utterance.end:.2f} s, " if utterance.end > utterance.start else ""
        self.console.print(Text(f"  {when}from {', '.join(utterance.modalities) or 'nothing that could be judged'}"))
        for line in words(utterance, min(LINE, self.console.width - 4)):
            self.print(Text(line), 4)
        for refused in utterance.refused:
            self.print(Text(printable(f"missing: {refused.stage}: {refused.detail}"), style="yellow"), 4)
        if utterance.unlike:
            self.print(Text(UNLIKE, style="yellow"), 4)
        for m, channel in utterance.channels.items():
            if sentence := channel.sentence(m):
                self.print(Text(f"{m}: {sentence}", style="yellow"), 4)
        if utterance.modalities:
            table = self.table(utterance)
            needed = Measurement.get(self.console, self.console.options.update(width=UNLIMITED), table).maximum
            fits = 3 + needed <= self.console.width
            for content in [table] if fits else self.lines(utterance):
                self.print(content, 3 if fits else 4)
            for block in BLOCKS if utterance.channels else ():
                shares = (f"{m} {percent(getattr(channel, block))}" for m, channel in utterance.channels.items())
                self.print(Text(f"{block}: {', '.join(shares)}"), 4)

    def print(self, content: Table | Text, indent: int) -> None:
        self.console.print(Padding(content, (0, 0, 0, indent), expand=False))

    def table(self, utterance: Utterance) -> Table:
        """A row a label: probability as number and bar, decision, the chance that it is wrong, σ of each modality."""
        table = Table(box=None, padding=(0, 0, 0, 1), header_style="dim")
        table.add_column("label", min_width=self.longest(utterance))
        table.add_column("probability")
        table.add_column("", width=BAR)
        table.add_column("decision", justify="right")
        table.add_column("doubt", justify="right")
        for m in self.modalities:
            table.add_column(f"σ {m}", justify="right", min_width=sigma_width(m))
        for label, decision in utterance.labels.items():
            bar = Bar(1, 0, decision.probability, width=BAR)
            sigma = [percent(decision.sigma.get(m)) for m in self.modalities]
            style = "bold" if decision.predicted else ""
            doubt = percent(decision.doubt)
            table.add_row(label, f"{decision.probability:.2f}", bar, decision.answer, doubt, *sigma, style=style)
        return table

    def lines(self, utterance: Utterance) -> list[Text]:
        """What the table says, a line a label, which breaks wherever the terminal ends."""
        width = self.longest(utterance)
        return [
            Text(
                f"{label:{width}} {decision.probability:.2f} {decision.answer:>6}, doubt {percent(decision.doubt)}, σ "
                + ", ".join(f"{m} {percent(decision.sigma.get(m))}" for m in self.modalities),
                style="bold" if decision.predicted else "",
            )
            for label, decision in utterance.labels.items()
        ]

    def longest(self, utterance: Utterance) -> int:
        """Characters of the longest label."""
        return max(map(cell_len, ["label", *utterance.labels]))

    def has_room(self, utterance: Utterance) -> bool:
        labels = sum(1 + label_width(label) for label in utterance.labels)
        sigma = sum(1 + sigma_width(m) for m in self.modalities)
        return self.console.width >= 1 + 2 * (1 + TIME) + labels + sigma + WORDS

    def row(self, utterance: Utterance, head: bool) -> Table:
        """Start, end, probabilities (* where the label is there, ? where that is unsure), mean σ of each modality, words; "new"
        before words of an utterance unlike anything that the network learned from."""
        table = Table(box=None, padding=(0, 0, 0, 1), show_header=head, header_style="dim")
        for name in ("start", "end"):
            table.add_column(name, justify="right", width=TIME)
        for label in utterance.labels:
            table.add_column(right(label, label_width(label)), width=label_width(label))
        for m in self.modalities:
            table.add_column(f"σ {m}", justify="right", width=sigma_width(m))
        table.add_column(" words", overflow="fold")
        timed = utterance.end > utterance.start
        times = [f"{seconds:.2f}" if timed else "" for seconds in (utterance.start, utterance.end)]
        decisions = [
            right(f"{decision.probability:.2f}{MARKS[decision.answer]}" if utterance.modalities else "– ", width)
            for decision, width in zip(utterance.labels.values(), map(label_width, utterance.labels), strict=True)
        ]
        sigma = [percent(mean_sigma(utterance, m)) for m in self.modalities]
        text = printable(utterance.transcript.text) if utterance.transcript else ""
        table.add_row(*times, *decisions, *sigma, Text(f" new: {text}" if utterance.unlike else f" {text}"))
        return table


def right(text: str, width: int) -> str:
    """At the right of a column; rich would drop the blank that stands in the star's place."""
    return " " * (width - cell_len(text)) + text


def label_width(label: str) -> int:
    return max(LABEL, cell_len(label))


def sigma_width(modality: str) -> int:
    return max(SIGMA, cell_len(f"σ {modality}"))


def percent(share: float | None) -> str:
    return "–" if share is None else f"{share:.0%}"


def printable(text: str) -> str:
    """Without the control characters that a terminal would obey."""
    return "".join(letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in text)


def mean_sigma(utterance: Utterance, modality: str) -> float | None:
    """Over the labels; None where the modality is absent."""
    shares = [decision.sigma[modality] for decision in utterance.labels.values() if modality in decision.sigma]
    return sum(shares) / len(shares) if shares else None


def words(utterance: Utterance, width: int) -> list[str]:
    """The words in lines of up to `width` characters, each after the second at which it begins."""
    if utterance.transcript is None:
        return []
    lines = [""]
    for word in utterance.transcript.words:
        shown = printable(word.word if word.start is None else f"{word.start:.2f} {word.word}")
        if lines[-1] and cell_len(lines[-1]) + 2 + cell_len(shown) > width:
            lines.append("")
        lines[-1] += ("  " if lines[-1] else "") + shown
    return lines
