"""What the people of the corpus say: simple sentences, in which each emotion has its own phrases."""

from dataclasses import dataclass

import numpy as np

from sample.emotion import LABELS
from sample.speaker import Speaker

MOST_WORDS = 13
USED_PHRASES = 0.65  # share of an emotion's phrases that one person uses
CUE = 0.85  # chance that an average person says what they feel
KINDS = ("neutral", "contradicting")

PHRASES: dict[str, tuple[str, ...]] = {
    "happy": (
        "I am so happy",
        "it was wonderful",
        "I love it",
        "that is great news",
        "we had so much fun",
        "it made me smile",
        "I feel fantastic",
        "that is just perfect",
        "what a lovely day",
        "I enjoyed every minute",
        "we laughed and danced",
        "I am really glad",
        "it is my favorite",
        "thank you so much",
        "that was delightful",
        "I am proud of you",
    ),
    "sad": (
        "I am so sad",
        "it broke my heart",
        "I cried all night",
        "I miss him so much",
        "nothing will bring her back",
        "I feel so lonely",
        "we lost everything",
        "it is such a pity",
        "she passed away",
        "I feel empty inside",
        "I regret it every day",
        "it hurts so much",
        "all hope is gone",
        "we said our last goodbye",
        "I am heartbroken",
        "he left me alone",
    ),
    "anger": (
        "I am so angry",
        "that is completely unfair",
        "I am furious with them",
        "how dare they",
        "stop lying to me",
        "I have had enough",
        "it makes me mad",
        "they cheated us",
        "get out of here",
        "who is to blame",
        "I will not accept it",
        "shut up and listen",
        "that is an outrage",
        "he had no right",
        "I could scream",
        "leave me alone now",
    ),
    "surprise": (
        "I did not expect that",
        "wow what a surprise",
        "I was amazed",
        "I cannot believe it",
        "that is incredible",
        "who would have thought",
        "it came out of nowhere",
        "suddenly there it was",
        "I was speechless",
        "are you serious",
        "that is unbelievable",
        "how is that possible",
        "I had no idea",
        "it was quite a shock",
    ),
    "disgust": (
        "it was disgusting",
        "it makes me sick",
        "it smelled awful",
        "that is so gross",
        "it tasted rotten",
        "I wanted to vomit",
        "the filth was everywhere",
        "it is revolting",
        "what a nasty mess",
        "I cannot stand the sight",
        "it was covered in slime",
        "the stink was horrible",
        "it is a dirty business",
        "I find it repulsive",
    ),
    "fear": (
        "I am scared",
        "I was terrified",
        "it frightens me",
        "something bad will happen",
        "we are in danger",
        "I was shaking",
        "please help me",
        "I am afraid of it",
        "I had a nightmare",
        "someone is watching us",
        "I was in a panic",
        "it is too dangerous",
        "I worry all the time",
        "we had to run and hide",
    ),
    "neutral": (
        "it is on the list",
        "I wrote it down",
        "we will see",
        "that is the plan",
        "it takes an hour",
        "I have it here",
        "that is how it works",
        "it is the usual time",
        "there are two of them",
        "it is in the other room",
        "that is about it",
        "I told him already",
        "it was around noon",
        "they do it every week",
        "it is next to the door",
        "we talked about it",
        "it is half of the price",
        "I will look it up",
        "they keep it downstairs",
        "it has a number",
    ),
}
SHORT: dict[str, tuple[str, ...]] = {
    "happy": ("hooray", "wonderful", "great", "lovely"),
    "sad": ("sadly", "oh dear", "unfortunately"),
    "anger": ("damn it", "enough", "how rude"),
    "surprise": ("wow", "oh my god", "really"),
    "disgust": ("yuck", "how gross", "nasty"),
    "fear": ("oh no", "help", "be careful"),
    "neutral": ("well", "so", "okay", "now", "right", "anyway", "you know"),
}
WHO = (
    "my brother", "the neighbor", "our teacher", "my cousin", "the driver", "my boss", "the doctor", "a friend", "her father",
    "the manager", "my sister", "the lawyer", "his wife", "the student", "my uncle", "the woman next door", "the landlord",
    "our daughter", "the cook", "a colleague",
)  # fmt: skip
DID = (
    "called about", "brought back", "asked for", "talked about", "showed me", "moved", "picked up", "opened", "looked at",
    "wrote about", "finished with", "put away", "came with", "sold", "paid for", "found", "took", "sent me",
)  # fmt: skip
WHAT = (
    "the car", "the piano", "the letter", "the garden", "the kitchen", "the bicycle", "the ticket", "the phone", "the report",
    "the blue coat", "the old house", "the dog", "the soup", "the school", "the camera", "the office", "the money", "the boat",
    "the fish", "the window", "the train", "the book", "the table", "the movie", "the map", "the meeting", "the fridge",
    "the basement", "the computer", "the apartment", "the radio", "the cake",
)  # fmt: skip
WHEN = (
    "this morning", "on monday", "last night", "after lunch", "yesterday", "today", "in the evening", "on friday", "at noon",
    "last week", "two days ago", "before dinner",
)  # fmt: skip


@dataclass(frozen=True)
class _Slot:
    """A place in a sentence for a phrase: of an emotion, or a neutral one."""

    feeling: str
    short: bool


def sentence(felt: list[str], speaker: Speaker, level: float, kind: str, rng: np.random.Generator) -> str:
    """A sentence of a person who feels these labels; each phrase is replaced by one of `kind` with probability `level`."""
    slots = _slots(felt, rng)
    feelings = [_spoken(slot, felt, speaker, level, kind, rng) for slot in slots]
    parts = [_phrase(slot, feeling, speaker, rng) for slot, feeling in zip(slots, feelings, strict=True)]
    event = _event(speaker, rng)
    if sum(len(part.split()) for part in [*parts, event]) <= MOST_WORDS:
        parts.insert(int(slots[0].short), event)
    text = ", ".join(dict.fromkeys(parts))
    return text[0].upper() + text[1:] + "."


def _slots(felt: list[str], rng: np.random.Generator) -> list[_Slot]:
    """The emotions in random order; of three the first has a short phrase; a single one may come twice."""
    order = [str(name) for name in rng.permutation(felt or ["neutral"])]
    if len(order) == 1:
        return [_Slot(order[0], True), _Slot(order[0], False)] if rng.random() < 0.5 else [_Slot(order[0], False)]
    return [_Slot(name, len(order) == 3 and place == 0) for place, name in enumerate(order)]


def _spoken(slot: _Slot, felt: list[str], speaker: Speaker, level: float, kind: str, rng: np.random.Generator) -> str:
    """The emotion of the phrase that is really said: the slot's, another one, or none where the speaker does not show it."""
    shown = CUE * speaker.shows["text"] * speaker.colours["text"].get(slot.feeling, 1.0)
    held_back, replaced, other = (
        rng.random() > shown,
        rng.random() < level,
        str(rng.choice([x for x in LABELS if x not in felt])),
    )
    if replaced:
        return other if kind == "contradicting" else "neutral"
    return "neutral" if held_back else slot.feeling


def _phrase(slot: _Slot, feeling: str, speaker: Speaker, rng: np.random.Generator) -> str:
    if slot.short:
        return str(rng.choice(SHORT[feeling]))
    phrases = PHRASES[feeling]
    of_speaker = np.random.default_rng([speaker.number, len(phrases), *feeling.encode()])
    used = of_speaker.permutation(len(phrases))[: round(USED_PHRASES * len(phrases))]
    return phrases[int(rng.choice(used))]


def _event(speaker: Speaker, rng: np.random.Generator) -> str:
    """A neutral event, about people and things that this speaker often mentions."""
    of_speaker = np.random.default_rng([speaker.number, 4])
    who, what = of_speaker.permutation(WHO)[:8], of_speaker.permutation(WHAT)[:12]
    when = f" {rng.choice(WHEN)}" if rng.random() < 0.3 else ""
    return f"{rng.choice(who)} {rng.choice(DID)} {rng.choice(what)}{when}"
