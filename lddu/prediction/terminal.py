"""What a person reads of a recording on the terminal."""

from lddu.prediction.inference import Utterance

WIDTH, BAR = 100, 12  # characters of a line of words, and of the bar of a probability


class Terminal:
    """A table of the labels of a recording, or of its several utterances a time line, a row each."""

    def __init__(self, name: str, modalities: tuple[str, ...], full: bool) -> None:
        self.name, self.modalities, self.full = name, modalities, full
        self.shown = 0

    def show(self, utterance: Utterance, alone: bool) -> None:
        lines = [] if self.shown else ["", self.name]
        if alone or self.full:
            lines += self.table(utterance)
        else:
            lines += [*([] if self.shown else [self.head(utterance)]), self.row(utterance)]
        print("\n".join(lines), flush=True)
        self.shown += 1

    def table(self, utterance: Utterance) -> list[str]:
        when = f"{utterance.start:.2f} to {utterance.end:.2f} s, " if utterance.end > utterance.start else ""
        lines = [f"  {when}from {', '.join(utterance.modalities) or 'nothing that could be judged'}", *words(utterance)]
        lines += [f"    missing: {row.stage}: {row.detail}" for row in utterance.refused]
        if not utterance.modalities:
            return lines
        width = max(len("label"), *map(len, utterance.labels))
        lines.append(f"    {'label':{width}}  probability        decision" + "".join(f"  σ {m:>6}" for m in self.modalities))
        for label, decision in utterance.labels.items():
            bar = "█" * round(decision.probability * BAR)
            sigma = "".join(f"  {percent(decision.sigma.get(m)):>8}" for m in self.modalities)
            said = "yes" if decision.predicted else "no"
            lines.append(f"    {label:{width}}  {decision.probability:.2f}  {bar:{BAR}} {said:>8}{sigma}")
        return lines

    def head(self, utterance: Utterance) -> str:
        sigma = "".join(f" {f'σ {m}':>8}" for m in self.modalities)
        return f"  {'start':>8} {'end':>8} " + "".join(f" {column(label)}" for label in utterance.labels) + f"{sigma}  words"

    def row(self, utterance: Utterance) -> str:
        timed = utterance.end > utterance.start
        start, end = (f"{seconds:.2f}" if timed else "" for seconds in (utterance.start, utterance.end))
        cells = [f"{found.probability:.2f}{'*' if found.predicted else ' '}" for found in utterance.labels.values()]
        cells = cells if utterance.modalities else ["– "] * len(cells)
        labels = "".join(f" {cell:>{len(column(label))}}" for cell, label in zip(cells, utterance.labels, strict=True))
        sigma = "".join(f" {percent(mean_sigma(utterance, m)):>8}" for m in self.modalities)
        return f"  {start:>8} {end:>8} {labels}{sigma}  {utterance.transcript.text if utterance.transcript else ''}"


def column(label: str) -> str:
    return f"{label:>6}"


def percent(share: float | None) -> str:
    return "–" if share is None else f"{share:.0%}"


def mean_sigma(utterance: Utterance, modality: str) -> float | None:
    """Over the labels; None where the modality is absent."""
    found = [decision.sigma[modality] for decision in utterance.labels.values() if modality in decision.sigma]
    return sum(found) / len(found) if found else None


def words(utterance: Utterance) -> list[str]:
    """The words, each behind the second at which it begins."""
    if utterance.transcript is None:
        return []
    lines = [""]
    for word in utterance.transcript.words:
        shown = word.word if word.start is None else f"{word.start:.2f} {word.word}"
        if lines[-1] and len(lines[-1]) + len(shown) > WIDTH:
            lines.append("")
        lines[-1] += ("  " if lines[-1] else "") + shown
    return [f"    {line}" for line in lines]
