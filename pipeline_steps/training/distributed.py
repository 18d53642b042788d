"""One training in several processes, each with its shard of every batch, to the result that one process would reach.

Every process makes the whole batch with its augmentations and views, because all randomness is drawn for the whole
batch, but passes only its own images through the network. The heads' outputs are gathered, and the losses are computed
for the whole batch, so that no loss and no pretext task needs to know. What still differs: dropout, and batch
statistics where they are not synchronised (torch synchronises them on GPUs alone).
"""

from dataclasses import dataclass

import torch
import torch.distributed as dist
from torch import Tensor
from torch.distributed.nn.functional import all_gather

from pipeline_steps.job.errors import UserError


@dataclass(frozen=True)
class BatchShard:
    """The part of a batch of `batch_size` images that one process computes: of image i, process i % processes."""

    batch_size: int
    processes: int = 1
    rank: int = 0

    @classmethod
    def of_this_process(cls, batch_size: int) -> "BatchShard":
        """This process's shard; raises UserError where the batch cannot be divided equally."""
        if not dist.is_initialized():
            return cls(batch_size)
        processes = dist.get_world_size()
        if batch_size % processes:
            raise UserError(f"--devices {processes}: batches of {batch_size} images cannot be divided equally by it")
        return cls(batch_size, processes, dist.get_rank())

    def take(self, inputs: Tensor) -> Tensor:
        """This process's images (V*B/N, ...) of inputs (V*B, ...): V views of each of the B images, view by view."""
        if self.processes == 1:
            return inputs
        views = inputs.reshape(-1, self.batch_size, *inputs.shape[1:])
        return views[:, self.rank :: self.processes].flatten(0, 1)

    def gather(self, outputs: Tensor) -> Tensor:
        """Outputs (V*B, ...) of the whole batch, from those (V*B/N, ...) of every process's shard.

        Every process computes the same loss of them, so that gradients arrive N times at each shard; the mean that DDP
        takes over N processes undoes this.
        """
        if self.processes == 1:
            return outputs
        if torch.is_grad_enabled():
            shards = list(all_gather(outputs.contiguous()))  # type: ignore[no-untyped-call]
        else:
            shards = [torch.empty_like(outputs) for _ in range(self.processes)]
            dist.all_gather(shards, outputs.contiguous())
        by_view = (-1, self.batch_size // self.processes, *outputs.shape[1:])
        return torch.stack([shard.reshape(by_view) for shard in shards], 2).flatten(0, 2)
