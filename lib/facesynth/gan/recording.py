"""Training steps that a GPU replays from CUDA graphs, without waiting for Python.

The kernels of small networks take less time than PyTorch takes to launch them.
"""

from collections import Counter
from collections.abc import Callable, Hashable, Sequence

import torch
from torch import Tensor

WARM_UP = 3  # steps before a recording, in which libraries choose their algorithms


class Recorder:
    """Runs a step of `(what, *inputs)`, records it after `WARM_UP` runs, and then replays it.

    `step` takes a hashable `what`, which is the kind of step, and tensors on the GPU; it returns
    one tensor. Everything else that it reads or changes, such as weights, must keep its address in
    memory.
    """

    def __init__(self, step: Callable[..., Tensor]) -> None:
        self.step = step
        self.runs: Counter[Hashable] = Counter()
        self.recordings: dict[Hashable, tuple[torch.cuda.CUDAGraph, list[Tensor], Tensor]] = {}
        self.stream = torch.cuda.Stream()
        # shared memory: recordings are replayed one by one
        self.pool = torch.cuda.graph_pool_handle()

    def __call__(self, what: Hashable, inputs: Sequence[Tensor]) -> Tensor:
        """Run or replay a step; other shapes of the inputs make another recording."""
        key = (what, *(tuple(x.shape) for x in inputs))
        if key not in self.recordings:
            self.runs[key] += 1
            if self.runs[key] <= WARM_UP:
                return self._run(what, inputs)
            self.recordings[key] = self._record(what, inputs)
        graph, places, result = self.recordings[key]
        torch._foreach_copy_(places, list(inputs))
        graph.replay()
        return result.clone()

    def _run(self, what: Hashable, inputs: Sequence[Tensor]) -> Tensor:
        self.stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(self.stream):
            result = self.step(what, *inputs)
        torch.cuda.current_stream().wait_stream(self.stream)
        return result

    def _record(
        self, what: Hashable, inputs: Sequence[Tensor]
    ) -> tuple[torch.cuda.CUDAGraph, list[Tensor], Tensor]:
        graph, places = torch.cuda.CUDAGraph(), [x.clone() for x in inputs]
        with torch.cuda.graph(graph, pool=self.pool, stream=self.stream):
            result = self.step(what, *places)
        return graph, places, result
