"""A client of the Runwire protocol, version 1: start an agent's run, watch it, stop it, answer it, and come back to it.

It tries the WebSocket, falls back to server-sent events, resumes after a loss, and stops for what a new connection
cannot mend. Ids such as [RESUME-19] lead to the sentence of the specification that the line beside them obeys.
"""

from runwire_client.messages import RunEvent
from runwire_client.problem import RunwireError
from runwire_client.run import Run

__all__ = ["Run", "RunEvent", "RunwireError"]
