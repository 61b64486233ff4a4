"""What the user reads: fixed sentences, and an answer split into chat messages."""

from __future__ import annotations

import re

SORRY = "Sorry, I couldn't process your request"
NOT_TYPED = "Please type your question: this chatbot reads text."
TOO_LONG = "Please ask in at most 1,024 characters."
BUDGET_SPENT = "This chatbot has used up its budget. Please try again later, or tell its owner."
CUT_NOTE = "\n\n[The answer is cut here: it is longer than a chat takes.]"

LONGEST_MESSAGE = 1024
"""Characters of one message, the user's and the bot's."""
MAX_MESSAGES = 5
LONGEST_ANSWER = 4500
"""Characters of an answer that arrives whole wherever its sentences end; a longer answer is cut."""

_SENTENCE_END = re.compile(r"[.!?…]+[\"'”’»)\]]*(?=\s)|[。！？]+[”’」』）]*|(?=\n)")


class NoAnswer(Exception):
    """A turn without an answer of the model."""

    def __init__(self, outcome: str, reason: str, sentence: str = SORRY) -> None:
        """
        Args:
            outcome: The name of the outcome, as experiments count it.
            reason: One word for the log.
            sentence: What the user reads instead of an answer.
        """
        super().__init__(outcome, reason)
        self.outcome, self.reason, self.sentence = outcome, reason, sentence


def split(answer: str) -> list[str]:
    """Split an answer into at most 5 messages of 1 to 1,024 characters, at sentence ends, else at spaces.

    An answer of up to 4,500 characters arrives whole, apart from white space at the cuts; a longer one is shortened
    and ends with `CUT_NOTE`.
    """
    rest, tail = answer.strip(), ""
    if len(rest) > LONGEST_ANSWER:
        rest, tail = rest[: _cut(rest, LONGEST_ANSWER // 2, LONGEST_ANSWER)].rstrip(), CUT_NOTE
    units = _utf16_units(rest)
    if len(units) + len(tail) <= MAX_MESSAGES * (LONGEST_MESSAGE - 1):
        rest = units
    pieces: list[str] = []
    while len(rest) + len(tail) > LONGEST_MESSAGE:
        room_after = (MAX_MESSAGES - len(pieces) - 1) * (LONGEST_MESSAGE - 1)
        at = _cut(rest, len(rest) + len(tail) - room_after, min(LONGEST_MESSAGE, len(rest)))
        pieces.append(rest[:at].rstrip())
        rest = rest[at:].lstrip()
    return [without_surrogates(piece) for piece in (*pieces, (rest + tail).strip())]


def without_surrogates(text: str) -> str:
    """Join surrogate pairs, and replace lone surrogates, which no server accepts."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _cut(text: str, low: int, high: int) -> int:
    """Where to cut, between `low` and `high`: after the last sentence, else at the last space, else at `high`."""
    low = max(low, 1)
    ends = [match.end() for match in _SENTENCE_END.finditer(text, low - 1, high + 1) if low <= match.end() <= high]
    spaces = (at for at in range(min(high, len(text) - 1), low - 1, -1) if text[at].isspace())
    at = ends[-1] if ends else next(spaces, high)
    return at - 1 if "\ud800" <= text[at - 1] <= "\udbff" and at > 1 else at


def _utf16_units(text: str) -> str:
    """The text with each character beyond 16 bits as a surrogate pair: AWS documents that Lex counts UTF-16 units."""
    return re.sub("[^\0-\uffff]", lambda match: _surrogate_pair(match[0]), text)


def _surrogate_pair(character: str) -> str:
    offset = ord(character) - 0x10000
    return chr(0xD800 + (offset >> 10)) + chr(0xDC00 + (offset & 0x3FF))
