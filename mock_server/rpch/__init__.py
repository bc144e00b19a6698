"""The proxy roles and the server role of [MS-RPCH], without sockets."""
