"""Time, bytes and cost of sizes that cannot be run here, from rates that are measured here."""
