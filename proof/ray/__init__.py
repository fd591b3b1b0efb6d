"""The service behind Ray Serve, on two nodes of one machine, while things go wrong."""
