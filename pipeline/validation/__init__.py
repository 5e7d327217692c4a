"""What may be wrong with data: schema, anomalies, skew and drift, duplicates."""
