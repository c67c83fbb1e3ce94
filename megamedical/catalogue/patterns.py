"""Path patterns with named fields: `{patient}/{patient}_frame{frame:[0-9]+}.nii.gz`.

A field matches anything but a slash, or what follows its colon; a field that comes again must match
the same text again.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cached_property, lru_cache

# What a folder of a person's scan is called, up to what says which visit it was.
PERSON = (
    r"[^/]+?(?=/|[._-](?i:ses(?:s|sion)?[-_]?[0-9a-z]+|visit[-_]?[0-9]*|(?:v|m|y|tp)[0-9]{1,3}"
    r"|bl|base|baseline|followup[0-9]*|long)(?=[/._-]))"
)
_TOKEN = re.compile(r"\{(?P<field>[a-z_]+)(?::(?P<what>(?:[^{}]|\{[0-9,]+\})+))?\}")


class Pattern:
    """A path pattern that can be matched against paths and filled in with fields.

    >>> Pattern("{patient}/{patient}_frame{frame:[0-9]+}.nii.gz").match("p1/p1_frame01.nii.gz")
    {'patient': 'p1', 'frame': '01'}
    >>> Pattern("{patient}-{frame}").fill({"patient": "p1", "frame": "01"})
    'p1-01'

    A field that does not say what it matches may have it from another pattern:

    >>> Pattern("{case}_{part}", Pattern("{case:a_[0-9]}/{part}")).match("a_1_2")
    {'case': 'a_1', 'part': '2'}

    `<person>` in what a field matches stands for a name up to what says the visit:

    >>> Pattern("{who:<person>}{visit:[^/]*}/mri/norm.mgz").match("Sub0003_Ses1/mri/norm.mgz")
    {'who': 'Sub0003', 'visit': '_Ses1'}
    """

    def __init__(self, text: str, like: Pattern | None = None) -> None:
        self.text = text
        self._like = like

    @cached_property
    def fields(self) -> tuple[str, ...]:
        """The names of the fields, each once, in order."""
        return tuple(dict.fromkeys(token["field"] for token in _TOKEN.finditer(self.text)))

    @property
    def meanings(self) -> dict[str, str]:
        """What the fields match that say so, as regular expressions."""
        tokens = _TOKEN.finditer(self.text)
        return {token["field"]: token["what"] for token in tokens if token["what"]}

    def match(self, path: str) -> dict[str, str] | None:
        """The fields of a path that fits the whole pattern, or None."""
        found = self._expression.fullmatch(path)
        return found.groupdict() if found else None

    def fill(self, fields: Mapping[str, str]) -> str:
        """The pattern's text with its fields filled in."""
        return _template(self.text) % fields

    def check(self) -> None:
        """Make sure that every brace is a field's.

        Raises:
            ValueError: one is not, or what a field may match is no regular expression.
        """
        if re.search("[{}]", _TOKEN.sub("", self.text)):
            raise ValueError(
                f"{self.text!r} has a brace that is no field's: write {{name}} or "
                "{name:expression}, the name in small letters and underscores"
            )
        try:
            self.match("")
        except re.error as error:
            raise ValueError(f"{self.text!r} holds no regular expression: {error}") from error

    @cached_property
    def _expression(self) -> re.Pattern[str]:
        elsewhere = self._like.meanings if self._like else {}
        parts: list[str] = []
        seen: set[str] = set()
        position = 0
        for token in _TOKEN.finditer(self.text):
            parts.append(re.escape(self.text[position : token.start()]))
            position = token.end()
            field = token["field"]
            if field in seen:
                parts.append(f"(?P={field})")
            else:
                seen.add(field)
                what = token["what"] or elsewhere.get(field, "[^/]+?")
                parts.append(f"(?P<{field}>{what.replace('<person>', PERSON)})")
        parts.append(re.escape(self.text[position:]))
        return re.compile("".join(parts))


@lru_cache(maxsize=1024)
def _template(text: str) -> str:
    """A pattern as `%` takes it, which fills it in several times as fast as an expression would."""
    literals = _TOKEN.sub("\0", text).replace("%", "%%").split("\0")
    fields = (f"%({token['field']})s" for token in _TOKEN.finditer(text))
    return "".join(part for pair in zip(literals, [*fields, ""], strict=True) for part in pair)
