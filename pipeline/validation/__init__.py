"""What may be wrong with data: statistics, duplicates, schema, the checks (`checks/`) and the anomalies that they find."""
