"""How much of the pose a frozen backbone already tells: a linear probe, beside every epoch of a pre-training."""

import lightning.pytorch as pl
import numpy as np
import torch
from torch import Tensor

from pipeline_steps.network.backbones import Backbone
from pipeline_steps.training.data import CropDataset, validation_loader


def probe_error_deg(features: np.ndarray, euler_deg: np.ndarray, subjects: np.ndarray, ridge: float = 0.1) -> float:
    """Mean absolute error, in degrees, of a linear map from features (N, F) to yaw, pitch and roll (N, 3) in degrees.

    Ridge regression on standardised features, fitted to all subjects (N,) but one and tested on that one, for each in
    turn; every subject counts alike. ridge: the penalty, as a share of the number of images fitted to.
    """
    errors = []
    for subject in np.unique(subjects):
        fitted = subjects != subject
        mean, deviation = features[fitted].mean(0), features[fitted].std(0) + 1e-6
        x, centre = (features - mean) / deviation, euler_deg[fitted].mean(0)
        penalty = ridge * fitted.sum() * np.eye(x.shape[1])
        weights = np.linalg.solve(x[fitted].T @ x[fitted] + penalty, x[fitted].T @ (euler_deg[fitted] - centre))
        errors.append(np.abs(x[~fitted] @ weights + centre - euler_deg[~fitted]).mean())
    return float(np.mean(errors))


class PoseProbe(pl.Callback):
    """Logs `val_probe_mae_deg` after every epoch, from the images of `data` whose pose is known."""

    def __init__(self, data: CropDataset) -> None:
        self.known = torch.isfinite(data.euler_deg).all(1).numpy()
        self.subjects = np.array(data.subjects)[self.known]
        self.euler_deg = data.euler_deg.numpy().astype(np.float64)[self.known]
        self.data = data

    @property
    def possible(self) -> bool:
        """Whether there are two subjects to fit to and to test on."""
        return len(set(self.subjects)) > 1

    @torch.inference_mode()
    def measure(self, backbone: Backbone) -> float:
        """The probe's error in degrees with the backbone as it is now."""
        device, was_training = next(backbone.parameters()).device, backbone.training
        backbone.eval()
        features: list[Tensor] = []
        for batch in validation_loader(self.data, 256):
            images = batch["images"].to(device).float().div(255).contiguous(memory_format=torch.channels_last)
            features.append(backbone(images).double().cpu())
        backbone.train(was_training)
        return probe_error_deg(torch.cat(features).numpy()[self.known], self.euler_deg, self.subjects)

    def on_validation_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Measure and log."""
        if self.possible:
            pl_module.log("val_probe_mae_deg", self.measure(pl_module.network.backbone))  # type: ignore[arg-type,union-attr]
