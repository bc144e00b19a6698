"""The servers, each with its own sockets: a file per role."""
