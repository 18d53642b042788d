"""Trained models: loaded as their files describe them, and applied to crops."""

from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError, safe_open

from pipeline_steps.images.normalisation import to_unit_range
from pipeline_steps.job.errors import UserError
from pipeline_steps.network.hybrid import HybridNetwork


def load_model(path: Path) -> tuple[HybridNetwork, dict[str, str]]:
    """The network in evaluation mode, and the file's metadata (backbone, pose_head, image_size, crop).

    Raises UserError where the file is missing, truncated, or not written by `finetune`.
    """
    try:
        with safe_open(path, "pt") as file:
            about = file.metadata() or {}
            network = HybridNetwork(about["backbone"], about["pose_head"], {})
            network.load_state_dict({key: file.get_tensor(key) for key in file.keys()})  # noqa: SIM118
    except (OSError, SafetensorError, KeyError, RuntimeError) as error:
        raise UserError(f"{path}: not a model written by finetune ({str(error).splitlines()[0]})") from error
    return network.eval(), about


@torch.inference_mode()
def predict_rotations(network: HybridNetwork, images: np.ndarray, batch_size: int = 256) -> np.ndarray:
    """Rotations float64 (N, 3, 3) in the project's convention for crops uint8 (N, S, S, 3), computed in float32."""
    device = next(network.parameters()).device
    rotations = []
    for batch in torch.split(torch.from_numpy(images), batch_size):
        inputs = to_unit_range(batch.to(device).permute(0, 3, 1, 2))
        rotations.append(network(inputs).double().cpu())
    return torch.cat(rotations).numpy()
