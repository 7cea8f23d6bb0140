"""Inference in torch at its fastest: batch norms folded, channels last, bf16, perhaps compiled."""

import copy

import torch
from torch import nn

from resnets.backends.malloc import keep_pages
from resnets.backends.protocol import Evaluator
from resnets.backends.torch.augmentation import Preparation
from resnets.backends.torch.models import Model
from resnets.networks.folding import fold_batch_norms, foldable_norms
from resnets.networks.network import Preprocessing
from resnets.networks.tracing import trace


def fold_norms(model: Model) -> nn.Module:
    """Return a copy for inference whose batch norms are part of the convolutions before them.

    The same function up to rounding, in evaluation mode; a norm that no convolution precedes
    stays. The copy has the model's submodules and names, ``nn.Identity`` where a norm was, and
    biases in the convolutions; its ``state_dict`` is not the canonical weights.
    """
    steps = trace(model.architecture, 32)
    state = model.state_dict()
    weights = {
        tensor.name: state[tensor.name].detach().cpu().numpy()
        for layer in steps.layers
        for tensor in layer.tensors
    }
    program = fold_batch_norms(steps, weights)
    made = copy.deepcopy(model).eval().requires_grad_(False)
    for norm, convolution in foldable_norms(steps).items():
        module = made.get_submodule(convolution)
        kernel, bias = (program.weights[f"{convolution}.{part}"] for part in ("weight", "bias"))
        module.weight.copy_(torch.from_numpy(kernel))
        module.bias = nn.Parameter(torch.from_numpy(bias).to(module.weight.device), False)
        made.set_submodule(norm, nn.Identity())
    return made


def plain_evaluator(model: nn.Module, preprocessing: Preprocessing) -> Evaluator:
    """Return a plain evaluator to compare with: NCHW, fp32, eval mode."""
    prepare = Preparation.of(preprocessing.mean, preprocessing.std, device=torch.device("cpu"))
    model = model.eval()

    def logits(pixels):
        with torch.inference_mode():
            return model(prepare(pixels).contiguous()).numpy()

    return logits


def fast_evaluator(
    model: Model, preprocessing: Preprocessing, *, compiled: bool = False
) -> Evaluator:
    """Return the function from stored images to logits in bf16 on the CPU.

    ``compiled`` has torch.compile make one program of it: up to a minute and more, once for each
    of the first two batch sizes.
    """
    keep_pages()
    prepare = Preparation.of(preprocessing.mean, preprocessing.std, device=torch.device("cpu"))
    made = fold_norms(model).to(dtype=torch.bfloat16, memory_format=torch.channels_last)
    forward = torch.compile(made) if compiled else made

    def logits(pixels):
        with torch.inference_mode():
            return forward(prepare(pixels).to(torch.bfloat16)).float().numpy()

    return logits
