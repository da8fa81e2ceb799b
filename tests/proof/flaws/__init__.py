"""What proves the judge: a rewriting proxy, a catalogue of flaws made with it, and the runner of both."""
