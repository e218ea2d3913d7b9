"""What a filter leaves open for one attribute: a set of texts, and whether the attribute may be missing. Exact.

A set is either finite, or all texts with a beginning, an end and a least length, but for some texts, beginnings and
ends. The second kind is empty only if a forbidden beginning begins the beginning, or a forbidden end
ends the end: else there are texts with enough of some other letter in between, which nothing forbids.
"""

from __future__ import annotations

from dataclasses import dataclass

NO_TEXTS: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Values:
    """All values that are left. Without arguments, any text and none at all."""

    absent: bool = True
    """The attribute may be missing."""
    texts: frozenset[str] | None = None
    """All texts, if they can be listed; then nothing below counts."""
    prefix: str = ""
    suffix: str = ""
    least: int = 0
    """Characters: `LIKE 'ab%ba'` does not let "aba" pass."""
    banned: frozenset[str] = NO_TEXTS
    heads: frozenset[str] = NO_TEXTS
    """Beginnings that it does not have."""
    tails: frozenset[str] = NO_TEXTS
    """Ends that it does not have."""

    def __bool__(self) -> bool:
        """Whether any value is left."""
        return self.absent or self.texts != NO_TEXTS

    def meet(self, other: Values) -> Values:
        """The values that are in both."""
        absent = self.absent and other.absent
        texts = self._common(other)
        if texts is not None:
            return Values(absent, texts)
        prefix, suffix = _longer(self.prefix, other.prefix), _longer(self.suffix, other.suffix)
        heads, tails = self.heads | other.heads, self.tails | other.tails
        begins = prefix.startswith(self.prefix) and prefix.startswith(other.prefix)
        ends = suffix.endswith(self.suffix) and suffix.endswith(other.suffix)
        if not begins or not ends or prefix.startswith(tuple(heads)) or suffix.endswith(tuple(tails)):
            return Values(absent, NO_TEXTS)
        least, banned = max(self.least, other.least), self.banned | other.banned
        return Values(absent, None, prefix, suffix, least, banned, heads, tails)

    def _common(self, other: Values) -> frozenset[str] | None:
        """The texts of both, if one of them lists its own."""
        if self.texts is None:
            return None if other.texts is None else frozenset(filter(self._fits, other.texts))
        if other.texts is None:
            return frozenset(filter(other._fits, self.texts))
        return self.texts & other.texts

    def _fits(self, text: str) -> bool:
        """Whether a set that is not listed has this text."""
        return (
            text.startswith(self.prefix)
            and text.endswith(self.suffix)
            and len(text) >= self.least
            and text not in self.banned
            and not text.startswith(tuple(self.heads))
            and not text.endswith(tuple(self.tails))
        )


def _longer(one: str, other: str) -> str:
    return max(one, other, key=len)


ANY = Values()
PRESENT = Values(absent=False)
MISSING = Values(texts=NO_TEXTS)


def among(texts: frozenset[str]) -> Values:
    """One of these texts."""
    return Values(absent=False, texts=texts)


def affixes(prefix: str, suffix: str, *, apart: bool) -> Values:
    """Texts that begin and end so; `apart`: the two do not overlap."""
    least = len(prefix) + len(suffix) if apart else 0
    return Values(absent=False, prefix=prefix, suffix=suffix, least=least)


def overlaps(prefix: str, suffix: str) -> frozenset[str]:
    """The texts that begin with the one and end with the other and are too short for both in full."""
    shared = range(1, min(len(prefix), len(suffix)) + 1)
    return frozenset(prefix + suffix[i:] for i in shared if prefix.endswith(suffix[:i]))
