"""What the rules cost: `overview` over a day of history, and `evaluation` in a server that scrapes a fleet."""
