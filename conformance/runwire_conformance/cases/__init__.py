"""The conformance cases, one module per chapter of the specification."""

from pathlib import Path

# In a wheel this file stands alone: the cases are in the archive beside its folder.
if (_packed := Path(__file__).parent.with_name("modules.zip")).is_file():
    __path__.append(str(_packed / "cases"))
