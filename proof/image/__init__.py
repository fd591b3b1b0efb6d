"""The service's image: built without an engine, and tried as a hardened cluster would run it."""
