"""How well a linear probe predicts the pose from a frozen backbone's features, after every epoch of a pre-training."""

import lightning.pytorch as pl
import numpy as np
import torch
from sklearn.linear_model import Ridge
from sklearn.model_selection import LeaveOneGroupOut
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from pipeline_steps.images.normalisation import to_unit_range
from pipeline_steps.network.backbones import Backbone
from pipeline_steps.training.data import CropDataset, validation_loader
from pipeline_steps.training.multi_task import MultiTask


def probe_error_deg(features: np.ndarray, euler_deg: np.ndarray, subjects: np.ndarray, ridge: float = 0.1) -> float:
    """Mean absolute error, in degrees, of a linear map from features (N, F) to yaw, pitch and roll (N, 3) in degrees.

    Ridge regression on standardised features, fitted to all subjects (N,) but one and tested on that one, for each in
    turn; every subject counts alike. ridge: the penalty, as a share of the number of images fitted to.
    """
    errors = []
    for fitted, tested in LeaveOneGroupOut().split(features, groups=subjects):
        probe = make_pipeline(StandardScaler(), Ridge(alpha=ridge * len(fitted)))
        predicted = probe.fit(features[fitted], euler_deg[fitted]).predict(features[tested])
        errors.append(np.abs(predicted - euler_deg[tested]).mean())
    return float(np.mean(errors))


class PoseProbe(pl.Callback):
    """Logs `val_probe_mae_deg` after every epoch, from those images of `data` whose pose is known."""

    def __init__(self, data: CropDataset) -> None:
        self.known = torch.isfinite(data.euler_deg).all(1).numpy()
        self.subjects = np.array(data.subjects)[self.known]
        self.euler_deg = data.euler_deg.numpy().astype(np.float64)[self.known]
        self.data = data

    @property
    def possible(self) -> bool:
        """Whether there are at least two subjects, to fit to and to test on."""
        return len(set(self.subjects)) > 1

    @torch.inference_mode()
    def measure(self, backbone: Backbone) -> float:
        """The probe's error in degrees with the backbone as it is now."""
        device, was_training = next(backbone.parameters()).device, backbone.training
        backbone.eval()
        batches = (to_unit_range(batch["images"].to(device)) for batch in validation_loader(self.data, 256))
        features = torch.cat([backbone(images).double().cpu() for images in batches]).numpy()
        backbone.train(was_training)
        return probe_error_deg(features[self.known], self.euler_deg, self.subjects)

    def on_validation_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Measure and log."""
        assert isinstance(pl_module, MultiTask)
        if self.possible:
            pl_module.log("val_probe_mae_deg", self.measure(pl_module.network.backbone))
