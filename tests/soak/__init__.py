"""The soak: three nodes on one Redis serve good, slow and hostile clients, restart, and end as they began."""
