"""What ends a server: ports, handles, memory, queues, recycling."""
