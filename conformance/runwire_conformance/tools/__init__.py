"""Tools beside the cases: validate, record, replay, load, try."""
