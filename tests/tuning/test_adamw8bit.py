"""8-bit AdamW against PyTorch's own in float32."""

from __future__ import annotations

import torch
from torch import nn

from aris.tuning.layers.adamw8bit import AdamW8bit, dynamic_map, quantize_blocks, restore_blocks


def test_the_maps_have_256_values_and_each_finds_its_own_code() -> None:
    for signed in (True, False):
        table = dynamic_map(signed)
        assert len(table.unique()) == 256 and table.max() == 1 and table.min() == (-table[-2] if signed else 0)
        codes, largest = quantize_blocks(table, table)
        torch.testing.assert_close(restore_blocks(codes, largest, table, table.shape), table)


def test_small_values_beside_large_ones_keep_their_magnitude() -> None:
    values = torch.tensor([1.0, -1e-4, 3e-3, 0.0, -0.5])
    table = dynamic_map(True)
    back = restore_blocks(*quantize_blocks(values, table), table, values.shape)
    torch.testing.assert_close(back, values, rtol=0.15, atol=1e-7)
    assert back[3] == 0


def fit(kind: type[torch.optim.Optimizer], cut: int | None = None) -> tuple[list[float], list[torch.Tensor], int]:
    """Losses and weights of a small net, the optimizer saved and loaded after `cut` steps; and its state's bytes."""
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(64, 128), nn.GELU(), nn.Linear(128, 64))
    x, y = torch.randn(256, 64), torch.randn(256, 64)
    options = {"lr": 3e-3, "betas": (0.9, 0.99), "weight_decay": 0.01}
    optimizer = kind(net.parameters(), **options)
    losses = []
    for step in range(150):
        if step == cut:
            saved = optimizer.state_dict()
            optimizer = kind(net.parameters(), **options)
            optimizer.load_state_dict(saved)
        loss = (net(x) - y).square().mean()
        losses.append(loss.item())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    size = sum(v.numel() * v.element_size() for s in optimizer.state.values() for v in s.values())
    return losses, [parameter.detach().clone() for parameter in net.parameters()], size


def test_the_path_is_that_of_float32() -> None:
    plain, _, plain_size = fit(torch.optim.AdamW)
    ours, weights, size = fit(AdamW8bit)
    assert ours[-1] < 0.5 * ours[0]
    for one, two in zip(ours, plain, strict=True):
        assert abs(one - two) < 0.03 * plain[0]
    assert size < 0.3 * plain_size
    again, same, _ = fit(AdamW8bit, cut=70)
    assert again == ours and all(torch.equal(a, b) for a, b in zip(weights, same, strict=True))
