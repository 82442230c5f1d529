"""What is trained on which devices, as far as memory and time depend on it."""

from __future__ import annotations

from dataclasses import dataclass

from arcface_mx.config import TrainConfig
from arcface_mx.losses.base import Loss
from arcface_mx.model.backbone import Backbone, make_backbone
from arcface_mx.parallel.sampling import sample_size
from arcface_mx.parallel.split import class_ranges
from arcface_mx.util.devices import device_names


@dataclass(frozen=True)
class Workload:
    """What is trained on which devices.

    Parameters
    ----------
    backbone : Backbone
    loss : Loss
    batch_size : int
        Images a step, over all devices of all workers.
    devices : str
        Device list of one worker, such as "gpu(0),gpu(1)". The devices need not exist.
    parallel : {"data", "centres"}
        Whether each device holds all class centres, or its share of them.
    workers : int
        Number of processes.
    kvstore : str
        What adds the gradients over the devices.
    evaluates : bool
        Whether the run verifies, which takes memory beside the training.
    """

    backbone: Backbone
    loss: Loss
    batch_size: int
    devices: str
    parallel: str
    workers: int = 1
    kvstore: str = "device"
    evaluates: bool = False

    @classmethod
    def of(cls, config: TrainConfig, workers: int = 1) -> Workload:
        """Return the workload of a configuration."""
        backbone = make_backbone(config.network, config.data.image_size, config.run.init, config.run.devices)
        data, run = config.data, config.run
        return cls(
            backbone, config.loss, data.batch_size, run.devices, run.parallel, workers, run.kvstore, bool(data.eval)
        )

    @property
    def on_gpus(self) -> bool:
        """Whether the devices are GPUs."""
        return device_names(self.devices)[0][0] == "gpu"

    @property
    def devices_of_a_worker(self) -> int:
        """Number of devices of one process."""
        return len(device_names(self.devices))

    @property
    def device_count(self) -> int:
        """Number of devices over all workers."""
        return self.devices_of_a_worker * self.workers

    @property
    def images(self) -> int:
        """Number of images whose logits a device computes in a step."""
        return self.batch_size if self.parallel == "centres" else max(1, self.batch_size // self.device_count)

    def held_classes(self, num_classes: int) -> int:
        """Return the number of class centres on the device that has the most."""
        if self.parallel == "data":
            return num_classes
        first, last = class_ranges(num_classes, self.device_count)[0]
        return last - first

    def sampled_classes(self, num_classes: int) -> int:
        """Return the number of class centres that take part in a step on that device."""
        held, rate = self.held_classes(num_classes), getattr(self.loss, "sample_rate", 1.0)
        return held if rate == 1.0 else sample_size(rate, held, self.batch_size)
