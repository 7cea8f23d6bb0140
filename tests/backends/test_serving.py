"""A server's one thread computes in every framework what the framework computes elsewhere."""

import asyncio
import io

import numpy as np
from PIL import Image

from resnets import Architecture
from resnets.backends import Backend
from resnets.convert.fitting import number_classes
from resnets.data.images import Images
from resnets.inference.evaluate import make_framework_evaluator
from resnets.inference.explain import Explainer
from resnets.inference.predict import top_classes
from resnets.networks.initialization import initial_weights
from resnets.networks.network import Network, Preprocessing
from resnets.serve.service import Service
from strategies import SMALL_ARCHITECTURES


def saved(pixels: np.ndarray) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels.squeeze()).save(file, "PNG")
    return file.getvalue()


def test_what_is_asked_at_once_is_answered_each_as_alone(backend: Backend, fashion: Images) -> None:
    name = backend.__name__.rpartition(".")[2]  # type: ignore[attr-defined]
    a: Architecture = next(a for a in SMALL_ARCHITECTURES if a.channels == 1)
    preprocessing = Preprocessing(size=28, mean=(0.3,), std=(0.4,))
    network = Network(a, initial_weights(a), preprocessing, number_classes(a.classes))
    pixels = fashion.pixels[:7]
    logits = make_framework_evaluator(network, "network", framework=name, device="cpu")
    service = Service(
        network,
        make_framework_evaluator(network, "network", framework=name, device="cpu"),
        name,
        name,
    )

    async def asked() -> tuple[list[dict[str, float]], str]:
        jobs = (service.predict(saved(one), "image", top=a.classes) for one in pixels)
        found = await asyncio.gather(*jobs)
        return [dict(one.classes) for one in found], await service.explain(saved(pixels[0]), "one")

    with service:
        service.warm_up((2, 1))
        answers, svg = asyncio.run(asked())
    shares = np.exp(logits(pixels) - np.log(np.exp(logits(pixels)).sum(axis=1, keepdims=True)))
    for answer, share in zip(answers, shares, strict=True):
        expected = dict(top_classes(share, network.class_names, top=a.classes))
        assert answer.keys() == expected.keys()
        np.testing.assert_allclose(
            [answer[k] for k in expected], [*expected.values()], rtol=1e-4, atol=1e-6
        )
    first = top_classes(Explainer(network, name)(pixels[:1])[0][0], network.class_names, top=1)[0][
        0
    ]
    assert f"{first} " in svg and "one" in svg
