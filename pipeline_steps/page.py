"""A page on this machine that shows head poses in a photograph or in front of the camera.

python -m pipeline_steps.page model.onnx [--port 8000]

Images are sent to this machine alone and are not stored.
"""

import io
import socket
from pathlib import Path
from typing import Annotated, Any

import uvicorn
from fastapi import FastAPI, HTTPException, Request
from fastapi.middleware.trustedhost import TrustedHostMiddleware
from fastapi.responses import FileResponse
from starlette.concurrency import run_in_threadpool
from typer import Argument, Option

from pipeline_steps.images.image_files import UNREADABLE
from pipeline_steps.job.command_line import main
from pipeline_steps.job.errors import UserError, brief
from pipeline_steps.prediction.head_pose import HeadPose
from pipeline_steps.prediction.pictures import open_picture
from pipeline_steps.prediction.tested import notice

HOST = "127.0.0.1"
LARGEST = 32 * 2**20
"""Bytes of the largest image that is accepted."""
HTML = Path(__file__).parent / "prediction" / "page.html"


def page_for(head_pose: HeadPose) -> FastAPI:
    """The page at `/`, facts about the model at `/about`, and `/predict`, which takes the bytes of an image."""
    about = head_pose.model.about
    app = FastAPI(openapi_url=None)
    # scripts of other sites must not reach the page under a host name of theirs
    app.add_middleware(TrustedHostMiddleware, allowed_hosts=[HOST, "localhost"])

    @app.get("/")
    def page() -> FileResponse:
        return FileResponse(HTML)

    @app.get("/about")
    def say() -> dict[str, Any]:
        return {
            "text": f"{head_pose.path.name}: {about['backbone']} at {about['image_size']} pixels, "
            f"trained on {about['trained_on']}",
            "tested": notice(about),
            "finds_faces": head_pose.place is not None,
        }

    @app.post("/predict")
    async def predict(request: Request, whole_image: bool = False, flip_test: bool = False) -> list[dict[str, Any]]:
        content = bytearray()
        async for part in request.stream():
            content += part
            if len(content) > LARGEST:
                raise HTTPException(413, f"The image is larger than {LARGEST // 2**20} MB.")
        try:
            image = open_picture(io.BytesIO(content)).image
            poses = await run_in_threadpool(head_pose, image, whole_image, flip_test)
        except UNREADABLE as error:
            raise HTTPException(422, f"Not an image that can be read: {brief(error)}") from error
        except UserError as error:
            raise HTTPException(409, str(error)) from error
        return [pose.record() for pose in poses]

    return app


def page(
    model: Annotated[Path, Argument(help="model.onnx or model_int8.onnx of export_model")],
    port: Annotated[int, Option(min=0, max=65535, help="of 127.0.0.1; 0 for a free one")] = 8000,
    threads: Annotated[int, Option(min=0, help="CPU threads, 0 for as many as there are cores")] = 0,
) -> None:
    """Serve a page on this machine that shows the head poses in a dropped photograph or in the camera's images."""
    head_pose = HeadPose.load(model, threads)
    if head_pose.place is not None:
        head_pose.detector  # noqa: B018 - loaded now, not while the first visitor waits
    try:
        listening = socket.create_server((HOST, port))
    except OSError as error:
        raise UserError(f"port {port}: cannot be used ({brief(error)}); give another with --port, or 0") from error
    with listening:
        print(f"page     http://{HOST}:{listening.getsockname()[1]}  (Ctrl-C ends it)", flush=True)
        uvicorn.Server(uvicorn.Config(page_for(head_pose), log_level="warning")).run([listening])


if __name__ == "__main__":
    main(page)
