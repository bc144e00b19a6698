"""Protocol state without sockets or clocks: bytes and `now` in, bytes and events out."""
