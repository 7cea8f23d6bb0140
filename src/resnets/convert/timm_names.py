"""timm's networks that can be described here: data.

timm's state dicts do not tell everything: ``resnetaa50`` has the tensors of ``resnet50`` and
another function. A folder that names one of these is read by its tensors; one that names another
network of timm's is refused. ``benchmarks/peers.py`` compares each with timm.
"""

READABLE = frozenset(
    [
        *("resnet18", "resnet34", "resnet26", "resnet50", "resnet101", "resnet152", "resnet200"),
        *("resnet50c", "resnet101c", "resnet152c", "resnet50s", "resnet101s", "resnet152s"),
        *("resnet18d", "resnet26d", "resnet34d", "resnet50d", "resnet101d", "resnet152d"),
        *("resnet200d", "resnet50_gn", "test_resnet"),
        *("wide_resnet50_2", "wide_resnet101_2"),
        *("resnext50_32x4d", "resnext50d_32x4d", "resnext101_32x4d", "resnext101_32x8d"),
        *("resnext101_32x16d", "resnext101_32x32d", "resnext101_64x4d"),
        *("seresnet18", "seresnet34", "seresnet50", "seresnet101", "seresnet152"),
        *("seresnet152d", "seresnet200d", "seresnet269d"),
        *("seresnext26d_32x4d", "seresnext50_32x4d", "seresnext101_32x4d", "seresnext101_32x8d"),
        *("seresnext101d_32x8d", "seresnext101_64x4d"),
        *("resnetv2_18", "resnetv2_34", "resnetv2_50", "resnetv2_101", "resnetv2_152"),
        *("regnetx_002", "regnetx_004", "regnetx_004_tv", "regnetx_006", "regnetx_008"),
        *("regnetx_016", "regnetx_032", "regnetx_040", "regnetx_064", "regnetx_080"),
        *("regnetx_120", "regnetx_160", "regnetx_320"),
        *("regnety_002", "regnety_004", "regnety_006", "regnety_008", "regnety_008_tv"),
        *("regnety_016", "regnety_032", "regnety_040", "regnety_064", "regnety_080"),
        *("regnety_080_tv", "regnety_120", "regnety_160", "regnety_320", "regnety_640"),
        *("regnety_1280", "regnety_2560"),
    ]
)

ACTIVATIONS = {
    "relu": "relu",
    "leaky_relu": "leaky_relu",
    "elu": "elu",
    "silu": "silu",
    "swish": "silu",
    "gelu": "gelu",
}
"""timm's ``act_layer``, and what it is called here."""

IN_TENSORS = frozenset(
    [
        *("num_classes", "in_chans", "layers", "channels", "cardinality", "base_width"),
        *("stem_width", "block_reduce_first", "down_kernel_size", "avg_down", "width_factor"),
        *("stem_chs", "bottle_ratio", "basic", "replace_stem_pool"),
    ]
)
"""Arguments of timm's networks that show in the tensors."""

IN_TRAINING = frozenset(
    ["drop_rate", "drop_path_rate", "drop_block_rate", "zero_init_last", "grad_checkpointing"]
)
"""Arguments that change training alone."""
