"""The checks of example_validator by subject: each function yields the anomalies that it finds."""
