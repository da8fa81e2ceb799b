"""Which server stands at a URL, what is known of it, and why there is none to judge."""
