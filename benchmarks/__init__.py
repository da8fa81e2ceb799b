"""What an event, a reader and a connection cost here and elsewhere: `make bench`."""
