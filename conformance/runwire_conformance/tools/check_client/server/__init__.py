"""The server of a play, which executes the steps of a scenario."""
