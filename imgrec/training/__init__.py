"""Training: the LightningModule, the Trainer, callbacks, losses, optimizers, resume, sweeps."""
