"""What goes over connections, made readable: as text, and as a capture that Wireshark opens."""
