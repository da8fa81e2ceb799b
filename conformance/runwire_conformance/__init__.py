"""The judge: proves requirement by requirement whether a server speaks Runwire."""

__version__ = "1.0.0.dev0"
