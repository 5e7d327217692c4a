"""From statistics, machine and budget to the settings of a training."""
