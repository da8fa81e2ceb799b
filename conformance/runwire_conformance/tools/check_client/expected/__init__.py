"""What a client has to do in a play, as functions of what was seen."""
