"""The judge: proves requirement by requirement whether a server speaks Runwire.

In a wheel its modules are one archive, `modules.zip`, which `hatch_build.py` packs; a clone has them as files.
"""

from pathlib import Path

__version__ = "1.0.0.dev0"

if (_packed := Path(__file__).with_name("modules.zip")).is_file():
    __path__.append(str(_packed))
