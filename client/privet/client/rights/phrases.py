"""Sentences with places for names and numbers, so that a language is one mapping."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from privet.privacy.errors import InputError


@dataclass(frozen=True, kw_only=True)
class Phrases:
    """The sentences about one thing, in one language.

    Attributes:
        fields: For each sentence's key, the fields that it may use.
        templates: The sentences, by the same keys.

    Raises:
        InputError: A template is missing, unknown, or uses another field.
    """

    fields: Mapping[str, tuple[str, ...]]
    templates: Mapping[str, str]

    def __post_init__(self) -> None:
        """Check keys and fields."""
        wrong = set(self.fields).symmetric_difference(self.templates)
        if wrong:
            raise InputError(f"Templates missing or unknown: {', '.join(sorted(wrong))}.")
        for key, template in self.templates.items():
            try:
                template.format(**dict.fromkeys(self.fields[key], "x"))
            except (KeyError, IndexError, ValueError, AttributeError):
                known = ", ".join(self.fields[key]) or "none"
                raise InputError(
                    f"Expected the template {key!r} to use no other fields than: {known}."
                ) from None

    def translated(self, templates: Mapping[str, str]) -> "Phrases":
        """The same in another language.

        Raises:
            InputError: A template is missing, unknown, or uses another field.
        """
        return replace(self, templates=templates)

    def say(self, key: str, **fields: object) -> str:
        """A sentence."""
        return self.templates[key].format(**fields)
