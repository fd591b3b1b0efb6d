"""What callers may say and what they hear: request and answer bodies, the checks on them, and problems. No server."""
