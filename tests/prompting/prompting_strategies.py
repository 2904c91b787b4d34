"""Generated texts and images for the tests of this room."""

from __future__ import annotations

import numpy as np
import PIL.Image
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

# Shared by every generated test of the room: machines differ, so no deadline.
GENERATED = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow], print_blob=True)

# What prompts are made of: any Unicode, words of reports, runs of white space (beyond 31, the longest token), HTML and
# byte tokens spelt out, and what almost spells a control token.
MEDICAL = ("Cardiomediastinal silhouette", "pneumothorax", "SpO₂ 94 %", "38.5 °C", "β-blocker", "µg/dL", "T2-weighted",
           "Röntgen", "胸部X線", "أشعة", "рентген", "🫁", "👩🏽‍⚕️", "10,000", "R→L", "é", "ﬁbrosis")  # fmt: skip
LOOK_ALIKES = ("<start_of_turn", "start_of_turn>", "< eos>", "<BOS>", "<unused>", "<0x41>", "<table>", "</b>", "<h1>",
               "[multimodal", "\r\n", "\u200b", "\x00", "<|im_end|>", "</s>")  # fmt: skip
CONTROL = ("<pad>", "<eos>", "<bos>", "<unk>", "<mask>", "[multimodal]", "<unused0>", "<unused94>", "<unused6241>",
           "<start_of_turn>", "<end_of_turn>", "<start_of_image>", "<end_of_image>", "<image_soft_token>")  # fmt: skip


def _texts() -> st.SearchStrategy[str]:
    runs = st.builds(lambda char, count: char * count, st.sampled_from(" \n\t"), st.integers(1, 70))
    words = st.text(st.sampled_from("abcdefghijklmnopqrstuvwxyzABC0123456789.,:;-()' "), max_size=20)
    any_text = st.text(st.characters(exclude_categories=("Cs",)), max_size=8)
    piece = st.one_of(words, runs, any_text, st.sampled_from(MEDICAL), st.sampled_from(LOOK_ALIKES))
    return st.lists(piece, max_size=12).map("".join)


TEXTS = _texts()


@st.composite
def pil_images(draw: st.DrawFn, modes: tuple[str, ...] = ("RGB", "L"), most: int = 700) -> PIL.Image.Image:
    """Pillow images of any mode and proportion: noise laid on a gradient, so that a shift or a swap shows."""
    width, height = draw(st.integers(1, most)), draw(st.integers(1, most))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    pixels = rng.integers(0, 256, (height, width, 4), dtype=np.uint8)
    pixels[..., 0] = np.linspace(0, 255, width)[None]
    pixels[..., 1] = np.linspace(0, 255, height)[:, None]
    image = PIL.Image.fromarray(pixels)
    mode = draw(st.sampled_from(modes))
    if mode == "P+transparency":
        image = image.convert("RGB").convert("P")
        image.info["transparency"] = draw(st.integers(0, 255))
        return image
    if mode == "P":
        return image.convert("RGB").convert("P")
    return image if mode == "RGBA" else image.convert("LA" if mode == "LA" else "RGB").convert(mode)
