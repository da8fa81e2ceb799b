"""What a flaw breaks besides its own requirement, so that the judge is right to name that too."""

RELATED: dict[str, tuple[str, ...]] = {}
"""By the name of the flaw. Blame outside this table is a false accusation, and fails the proof."""
