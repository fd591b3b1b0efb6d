"""A Kronos that does not exist: what a scrape of it would say, on a day and through its faults."""
