"""The server: from a connection to a route and back. Nothing below it knows that requests come by HTTP."""
