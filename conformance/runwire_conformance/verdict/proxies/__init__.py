"""What a proxy in between did, told from what the server did."""
