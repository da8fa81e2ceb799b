"""Servers that say the same as the agent of `agent.py`, each in the way of its own protocol or library.

A prompt such as `10000 turn` asks for so many tokens, one in each turn of the event loop; `10000 ready` for all at
once.
"""
