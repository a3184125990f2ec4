"""From samples to batches: data module, dataset, samplers, loaders, workers, quarantine."""
