"""Finds the lines that contain a text, in a stream of pieces, in bounded memory. Pure; no patterns, so no bad ones."""

from contracts.runs import Match

MOST_MATCHES = 5
"""Lines shown per host; all are counted."""
SHOWN = 300
"""Characters of a line that are shown."""


class LineSearch:
    """Feed it an output piece by piece, then call `end`.

    A line may be of any length: of an unfinished one only its beginning, for showing, and its last characters, in
    which a match may have begun, are kept.
    """

    def __init__(self, text: str, *, ignore_case: bool) -> None:
        self._fold = str.casefold if ignore_case else str
        self._text = self._fold(text)
        self.matches: list[Match] = []
        self.count = 0
        self._line = 1
        self._offset = 0
        """Of the line at hand."""
        self._bytes = 0
        """Of the line at hand, so far."""
        self._start = ""
        self._tail = ""
        self._matched = False

    def feed(self, piece: str) -> None:
        *whole, rest = piece.split("\n") if self._may_match(piece) else self._skimmed(piece)
        for line in whole:
            self._take(line)
            self._finish()
        self._take(rest)

    def end(self) -> None:
        self._finish()

    def _may_match(self, piece: str) -> bool:
        return self._text in self._tail + self._fold(piece)

    def _skimmed(self, piece: str) -> list[str]:
        """The same as splitting, for a piece without a match: only its last line counts."""
        first, newline, rest = piece.partition("\n")
        if not newline:
            return [piece]
        self._take(first)
        self._finish()
        inner, newline, last = rest.rpartition("\n")
        if newline:
            self._line += inner.count("\n") + 1
            self._offset += len(inner.encode()) + 1
        return [last]

    def _take(self, part: str) -> None:
        if len(self._start) < SHOWN:
            self._start += part[: SHOWN - len(self._start)]
        self._bytes += len(part.encode())
        if self._matched:
            return
        folded = self._tail + self._fold(part)
        self._matched = self._text in folded
        keep = len(self._text) - 1
        self._tail = folded[-keep:] if keep else ""

    def _finish(self) -> None:
        if self._matched:
            self.count += 1
            if len(self.matches) < MOST_MATCHES:
                self.matches.append(Match(line=self._line, offset=self._offset, text=self._start))
        self._line += 1
        self._offset += self._bytes + 1
        self._bytes = 0
        self._start = self._tail = ""
        self._matched = False
