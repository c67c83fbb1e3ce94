"""What a person takes away: masks, a report, polygons, examples for the next time."""
