"""Cross-entropy in chunks against the plain one."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from aris.tuning.layers import cross_entropy
from aris.tuning.layers.cross_entropy import chunked_cross_entropy


@pytest.mark.parametrize("trained_head", [False, True])
def test_chunks_give_the_losses_and_gradients_of_the_whole(trained_head: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cross_entropy, "CHUNK_BYTES", 4 * 500 * 7)  # 7 rows of 23 at a time
    generator = torch.Generator().manual_seed(2)
    hidden = torch.randn(23, 16, generator=generator, requires_grad=True)
    weight = torch.randn(500, 16, generator=generator).requires_grad_(trained_head)
    targets = torch.randint(0, 500, (23,), generator=generator)
    rate = torch.rand(23, generator=generator)
    wanted = [hidden, weight] if trained_head else [hidden]
    ours = chunked_cross_entropy(hidden, weight, targets)
    plain = F.cross_entropy(F.linear(hidden, weight), targets, reduction="none")
    torch.testing.assert_close(ours, plain)
    for one, two in zip(
        torch.autograd.grad((ours * rate).sum(), wanted), torch.autograd.grad((plain * rate).sum(), wanted), strict=True
    ):
        torch.testing.assert_close(one, two, rtol=1e-4, atol=1e-5)


def test_no_tensor_of_the_whole_logits_is_made(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cross_entropy, "CHUNK_BYTES", 4 * 500 * 7)
    seen = []
    plain = F.linear
    monkeypatch.setattr(F, "linear", lambda *given: seen.append(plain(*given).shape) or plain(*given))
    chunked_cross_entropy(torch.randn(23, 16, requires_grad=True), torch.randn(500, 16), torch.zeros(23).long())
    assert seen and max(shape[0] for shape in seen) == 7
