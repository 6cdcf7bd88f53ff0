"""One report object, rendered as canonical JSON and self-contained HTML."""
