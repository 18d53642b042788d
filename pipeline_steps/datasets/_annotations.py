"""The `.mat` annotations that 300W-LP and AFLW2000-3D have in common."""

from pathlib import Path

import numpy as np


def read_annotation(path: Path, landmarks: str) -> tuple[np.ndarray, np.ndarray]:
    """Yaw, pitch, roll (3,) in degrees, and landmarks (68, 2) in pixels, of one picture's `.mat` file.

    landmarks: the field that holds them as (2 or 3, 68). Pose_Para starts with pitch, yaw, roll in radians.
    Raises ValueError that says what is missing or wrong.
    """
    from scipy.io import loadmat

    try:
        fields = loadmat(str(path), appendmat=False, variable_names=["Pose_Para", landmarks])
    except FileNotFoundError as error:
        raise ValueError(f"{path.name} is missing") from error
    except Exception as error:  # whatever SciPy makes of a damaged file
        raise ValueError(f"{path.name} is not a readable .mat file ({error})") from error
    numbers = {}
    for name, wanted in (("Pose_Para", (1, 3)), (landmarks, (2, 68))):
        value = fields.get(name)
        if value is None:
            raise ValueError(f"{path.name} has no {name}")
        rows, columns = wanted
        if value.ndim != 2 or value.shape[0] < rows or value.shape[1] < columns or value.dtype.kind not in "fiu":
            raise ValueError(f"{path.name}: {name} has shape {value.shape}, expected {wanted} numbers")
        numbers[name] = value[:rows, :columns].astype(float)
        if not np.isfinite(numbers[name]).all():
            raise ValueError(f"{path.name}: {name} holds NaN or infinity")
    pitch, yaw, roll = np.degrees(numbers["Pose_Para"][0])
    return np.array([yaw, pitch, roll]), numbers[landmarks].T
