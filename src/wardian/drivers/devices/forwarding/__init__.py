"""What proxy devices are made of: listening sockets, and the process that carries their traffic."""
