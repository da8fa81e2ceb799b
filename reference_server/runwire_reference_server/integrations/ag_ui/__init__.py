"""Any agent behind an endpoint of AG-UI."""
